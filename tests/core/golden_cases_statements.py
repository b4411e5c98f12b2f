"""Golden cases of what people say: changes, dates, the five policies, the first run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_cells import ABSENT, TOPIC, agreed, cell, day, no, silent, with_hold, yes
from golden_cases import (
    AHEAD,
    APPROVED,
    ASKS,
    BOTH_OUT,
    FIRST,
    FRESH_YES,
    LATER_RUN,
    LATEST,
    LISTED_YES,
    MINE_WINS,
    OLD_YES,
    OPPOSED,
    QUIET,
    THEIRS_WINS,
    WERE_IN,
    WERE_OUT,
    GoldenCase,
)

from bridge.core.decision import Rule
from bridge.core.mapping import Direction
from bridge.core.model import Choice, HoldState

STATEMENTS: dict[str, GoldenCase] = {
    # nobody acts
    "Nothing changed: nothing is done": ("nothing: unchanged", TOPIC, cell(*QUIET, WERE_IN)),
    "Two opt-ins agree": ("agree opted_in: agreement", TOPIC, cell(*QUIET)),
    "Two opt-outs agree": ("agree opted_out: agreement", TOPIC, cell(*BOTH_OUT)),
    "Two silences say nothing": ("nothing: silence", TOPIC, cell(silent(), silent())),
    "Nobody at either side": ("nothing: nobody_there", TOPIC, cell(ABSENT, ABSENT)),
    "An opt-in repeated beside an opt-in is agreed again": (
        "agree opted_in: agreement",
        TOPIC,
        cell(yes(20), yes(6), WERE_IN),
    ),
    # one side changed
    "An opt-out at Dotdigital follows to MyPreferences": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        cell(yes(5), no(20), WERE_IN),
    ),
    "An opt-out at MyPreferences follows to Dotdigital": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        cell(no(20), yes(6), WERE_IN),
    ),
    "An opt-out without a date follows all the same": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        cell(yes(5), no(), WERE_IN),
    ),
    "A new dated opt-in is carried over": ("raise dotdigital: newer_opt_in", TOPIC, cell(yes(20), silent())),
    "So is one from Dotdigital": ("raise mypreferences: newer_opt_in", TOPIC, cell(silent(), yes(20))),
    "A genuine re-subscribe after an agreed opt-out arrives": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        cell(yes(20), no(6), WERE_OUT),
    ),
    "An opt-out beside silence at Dotdigital is agreed: never asked for is not opted in": (
        "agree opted_out: agreement",
        TOPIC,
        cell(no(20), silent()),
    ),
    "An opt-out beside silence at MyPreferences is written there": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        cell(silent(), no(20)),
    ),
    "An opt-out of a person whom the other side does not know is agreed": (
        "agree opted_out: nobody_there",
        TOPIC,
        cell(no(20), ABSENT),
    ),
    "An opt-in of a person whom the other side does not know creates nobody": (
        "nothing: nobody_there",
        TOPIC,
        cell(yes(20), ABSENT),
    ),
    # late, undated and impossible dates
    "A late opt-in does not undo the agreed opt-out": (
        "withdraw mypreferences: late_opt_in",
        TOPIC,
        cell(yes(5.5), no(6), WERE_OUT),
    ),
    "Nor does one within the skew of the two clocks": (
        "withdraw mypreferences: late_opt_in",
        TOPIC,
        cell(yes(day(6) + timedelta(seconds=2)), no(6), WERE_OUT),
    ),
    "One just past the skew does": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        cell(yes(day(6) + timedelta(seconds=2.001)), no(6), WERE_OUT),
    ),
    "An undated opt-in cannot undo an opt-out": (
        "withdraw mypreferences: undated_opt_in",
        TOPIC,
        cell(yes(), no(6), WERE_OUT),
    ),
    "An undated opt-in raises nobody": ("hold undated", TOPIC, cell(yes(), silent())),
    "An opt-in from the future raises nobody": ("hold future", TOPIC, cell(yes(AHEAD), silent())),
    "An opt-in from the future undoes no opt-out": (
        "withdraw mypreferences: undated_opt_in",
        TOPIC,
        cell(yes(AHEAD), no(6), WERE_OUT),
    ),
    "A listing's opt-in is looked at closely": ("wait needs_date: dotdigital", TOPIC, LISTED_YES),
    "A listing's silence may hide a refusal, so the target is looked at closely": (
        "wait needs_date: dotdigital",
        TOPIC,
        cell(yes(20), silent(undated=True)),
    ),
    "A person who opted in again at both sides without a newer date is withdrawn at both": (
        "withdraw mypreferences + withdraw dotdigital: late_opt_in",
        TOPIC,
        cell(yes(5.5), yes(5.6), WERE_OUT),
    ),
    "With a newer date at one side they are believed": (
        "agree opted_in: agreement",
        TOPIC,
        cell(yes(20), yes(5.6), WERE_OUT),
    ),
    "An opt-out from the future, once agreed, does not outlast every opt-in": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        cell(yes(36), no(AHEAD), agreed(Choice.OPTED_OUT, 6, theirs=no(AHEAD))),
    ),
    # opposite words, five policies
    "withdrawal_wins: the opt-out wins over a newer opt-in": (
        "withdraw mypreferences: withdrawal_wins",
        TOPIC,
        OPPOSED,
    ),
    "latest: the newer opt-in counts": ("raise dotdigital: newer_opt_in", LATEST, OPPOSED),
    "latest: the newer opt-out counts": (
        "withdraw mypreferences: late_opt_in",
        LATEST,
        cell(yes(10), no(20)),
    ),
    "latest: an opt-out without a date is never older": (
        "withdraw mypreferences: late_opt_in",
        LATEST,
        cell(yes(20), no()),
    ),
    "latest: an opt-in without a date is never newer": (
        "withdraw mypreferences: undated_opt_in",
        LATEST,
        cell(yes(), no(10)),
    ),
    "mypreferences: its newer opt-in counts": ("raise dotdigital: newer_opt_in", MINE_WINS, OPPOSED),
    "mypreferences: its older opt-in does not": (
        "withdraw mypreferences: late_opt_in",
        MINE_WINS,
        cell(yes(10), no(20)),
    ),
    "mypreferences: its opt-out wins over a newer opt-in": (
        "withdraw dotdigital: withdrawal_wins",
        MINE_WINS,
        cell(no(10), yes(20)),
    ),
    "dotdigital: its newer opt-in counts": (
        "raise mypreferences: newer_opt_in",
        THEIRS_WINS,
        cell(no(10), yes(20)),
    ),
    "dotdigital: the other side's opt-in does not": (
        "withdraw mypreferences: withdrawal_wins",
        THEIRS_WINS,
        OPPOSED,
    ),
    "hold: a person is asked": ("hold conflict (withdraw mypreferences)", ASKS, OPPOSED),
    "hold, released: the withdrawal goes": (
        "withdraw mypreferences: conflict",
        ASKS,
        with_hold(OPPOSED, Rule.CONFLICT, HoldState.RELEASED),
    ),
    "hold, dismissed: silence while nothing moves": (
        "nothing: dismissed",
        ASKS,
        with_hold(OPPOSED, Rule.CONFLICT, HoldState.DISMISSED),
    ),
    "hold, released against the direction: it is still held": (
        "hold direction",
        replace(ASKS, direction=Direction.TO_DOTDIGITAL),
        with_hold(OPPOSED, Rule.CONFLICT, HoldState.RELEASED),
    ),
    "hold against the direction: a release could do nothing": (
        "hold direction",
        replace(ASKS, direction=Direction.TO_DOTDIGITAL),
        OPPOSED,
    ),
    "A released hold binds only while its ground stands": (
        "hold conflict (withdraw mypreferences)",
        ASKS,
        with_hold(OPPOSED, Rule.CONFLICT, HoldState.RELEASED, ground="another"),
    ),
    # first run
    "First run: an opt-out found is delivered": (
        "withdraw mypreferences: withdrawal_wins",
        TOPIC,
        OPPOSED,
        FIRST,
    ),
    "First run: an opt-in from before waits for a person": (
        "hold first_run (raise dotdigital)",
        TOPIC,
        OLD_YES,
        FIRST,
    ),
    "First run: nobody is read closely only to be held": ("hold first_run", TOPIC, LISTED_YES, FIRST),
    "First run: an opt-in given meanwhile goes": ("raise dotdigital: newer_opt_in", TOPIC, FRESH_YES, FIRST),
    "A later run still holds an opt-in from before the bridge": (
        "hold first_run (raise dotdigital)",
        TOPIC,
        OLD_YES,
        LATER_RUN,
    ),
    "The moment the first run began still counts as before": (
        "hold first_run (raise dotdigital)",
        TOPIC,
        cell(yes(35), silent()),
        LATER_RUN,
    ),
    "What was agreed on once needs no approval, however old": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        cell(yes(20), no(6), WERE_OUT),
        LATER_RUN,
    ),
    "Approved as a whole, dated opt-ins go": ("raise dotdigital: newer_opt_in", TOPIC, OLD_YES, APPROVED),
    "Approval dates nothing: an undated opt-in stays held": (
        "hold undated",
        TOPIC,
        cell(yes(), silent()),
        APPROVED,
    ),
    "Approved as a whole, a listed opt-in is looked at": (
        "wait needs_date: dotdigital",
        TOPIC,
        LISTED_YES,
        APPROVED,
    ),
    "Released one by one, an opt-in goes": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        with_hold(OLD_YES, Rule.FIRST_RUN, HoldState.RELEASED),
        FIRST,
    ),
    "Released, a listed opt-in is looked at": (
        "wait needs_date: dotdigital",
        TOPIC,
        with_hold(LISTED_YES, Rule.FIRST_RUN, HoldState.RELEASED),
        FIRST,
    ),
    "The release outlasts the closer look": (
        "raise mypreferences: newer_opt_in",
        TOPIC,
        with_hold(cell(silent(), yes(20)), Rule.FIRST_RUN, HoldState.RELEASED, ground="before the look"),
        LATER_RUN,
    ),
    "What one person dismissed, approval as a whole does not raise": (
        "nothing: dismissed",
        TOPIC,
        with_hold(OLD_YES, Rule.FIRST_RUN, HoldState.DISMISSED),
        APPROVED,
    ),
}
