"""Golden cases of a state DB that was restored from an older copy: of days 15 to 25 it knows nothing."""

from __future__ import annotations

from dataclasses import replace

from core_cells import DD, MP, ORDINARY, TOPIC, cell, day, no, silent, with_hold, yes
from golden_cases import BACK, BY_MAIL, LATEST, THEIRS_WINS, WERE_IN, WERE_OUT, GoldenCase

from bridge.core.clocks import LostPeriod
from bridge.core.decision import Rule
from bridge.core.model import HoldState

LOST = replace(ORDINARY, lost=LostPeriod(day(15), day(25)))
SETTLED_SINCE = cell(no(18), yes(20), WERE_IN)

RESTORED: dict[str, GoldenCase] = {
    "Restored: who may have been asked by mail is not asked again": (
        "hold restored (raise dotdigital by challenge)",
        BY_MAIL,
        BACK,
        LOST,
    ),
    "Restored and released: they are asked": (
        "raise dotdigital by challenge: newer_opt_in",
        BY_MAIL,
        with_hold(BACK, Rule.RESTORED, HoldState.RELEASED),
        LOST,
    ),
    "Restored: an opt-in from after that may ask": (
        "raise dotdigital by challenge: newer_opt_in",
        BY_MAIL,
        replace(BACK, seen={MP: yes(30), DD: no(6)}),
        LOST,
    ),
    "Restored: an opt-in newer than the opt-out is not taken back unseen": (
        "hold restored (withdraw dotdigital)",
        TOPIC,
        SETTLED_SINCE,
        LOST,
    ),
    "Restored and released: the opt-out wins": (
        "withdraw dotdigital: withdrawal_wins",
        TOPIC,
        with_hold(SETTLED_SINCE, Rule.RESTORED, HoldState.RELEASED),
        LOST,
    ),
    "Restored: an opt-out newer than the opt-in goes at once": (
        "withdraw dotdigital: withdrawal_wins",
        TOPIC,
        cell(no(22), yes(20), WERE_IN),
        LOST,
    ),
    "Restored: an opt-out without a date goes at once": (
        "withdraw dotdigital: withdrawal_wins",
        TOPIC,
        cell(no(), yes(20), WERE_IN),
        LOST,
    ),
    "Restored: what was known before is decided as ever": (
        "withdraw dotdigital: withdrawal_wins",
        TOPIC,
        cell(no(10), yes(12), WERE_IN),
        LOST,
    ),
    "Restored: an opt-in that Dotdigital dated then may be our own, late write of one before the opt-out": (
        "hold restored (raise mypreferences)",
        TOPIC,
        cell(no(18), yes(20), WERE_OUT),
        LOST,
    ),
    "Restored: whichever is the latest, or whatever Dotdigital says, such an opt-in is nobody's word": (
        "hold restored (raise mypreferences)",
        LATEST,
        SETTLED_SINCE,
        LOST,
    ),
    "Restored: where Dotdigital wins, such an opt-in waits too": (
        "hold restored (raise mypreferences)",
        THEIRS_WINS,
        SETTLED_SINCE,
        LOST,
    ),
    "Restored and released: such an opt-in goes": (
        "raise mypreferences: newer_opt_in",
        LATEST,
        with_hold(SETTLED_SINCE, Rule.RESTORED, HoldState.RELEASED),
        LOST,
    ),
    "Restored: an opt-in that Dotdigital dated later goes": (
        "raise mypreferences: newer_opt_in",
        LATEST,
        cell(no(18), yes(30), WERE_IN),
        LOST,
    ),
    "Restored: an opt-in of MyPreferences carries its own date": (
        "raise dotdigital: newer_opt_in",
        LATEST,
        cell(yes(20), no(18), WERE_IN),
        LOST,
    ),
    "Restored: an opt-in of ours may land hours later": (
        "hold restored (raise mypreferences)",
        LATEST,
        cell(no(18), yes(25.2), WERE_IN),
        LOST,
    ),
    "Restored: an opt-in that no opt-out stands against goes": (
        "raise mypreferences: newer_opt_in",
        TOPIC,
        cell(silent(), yes(20)),
        LOST,
    ),
}
