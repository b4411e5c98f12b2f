"""Golden cases of a person who resubscribes to e-mail: held for the operator, asked by mail, or silently."""

from __future__ import annotations

from dataclasses import replace

from core_cells import DD, EMAIL, MAILABLE, MP, blocked, cell, day, no, with_hold, yes
from golden_cases import ASKED, BACK, BY_MAIL, SILENTLY, UNANSWERED, WERE_IN, WERE_OUT, GoldenCase

from bridge.core.decision import Rule
from bridge.core.mapping import Conflict
from bridge.core.model import Block, Challenge, HoldState

RESUBSCRIBING: dict[str, GoldenCase] = {
    "hold: resubscribing waits for the operator": (
        "hold resubscribe (raise dotdigital by challenge)",
        EMAIL,
        BACK,
    ),
    "hold, released: the subscriber is asked by mail": (
        "raise dotdigital by challenge: newer_opt_in",
        EMAIL,
        with_hold(BACK, Rule.RESUBSCRIBE, HoldState.RELEASED),
    ),
    "challenge: asked by mail at once": ("raise dotdigital by challenge: newer_opt_in", BY_MAIL, BACK),
    "silent: subscribed on newer evidence": ("raise dotdigital by silent: newer_opt_in", SILENTLY, BACK),
    "silent: an unsubscribe without a date is never older": (
        "withdraw mypreferences: late_opt_in",
        replace(SILENTLY, conflict=Conflict.LATEST),
        cell(yes(20), no()),
    ),
    "Asked once by mail, nobody is asked again": ("nothing: challenge_pending", BY_MAIL, ASKED),
    "Nor when only the unsubscribe's date becomes known": (
        "nothing: challenge_pending",
        BY_MAIL,
        replace(ASKED, seen={MP: yes(20), DD: no(5.5)}),
    ),
    "A new opt-in may ask again": (
        "raise dotdigital by challenge: newer_opt_in",
        BY_MAIL,
        replace(ASKED, seen={MP: yes(30), DD: no(6)}),
    ),
    "A withdrawal is written though the person was asked to confirm": (
        "withdraw dotdigital: withdrawal_follows",
        BY_MAIL,
        replace(ASKED, seen={MP: no(30), DD: MAILABLE}, agreed=WERE_IN),
    ),
    "A confirmation clicked is an agreement": (
        "agree opted_in: agreement",
        BY_MAIL,
        replace(ASKED, seen={MP: yes(20), DD: MAILABLE}),
    ),
    "An opt-in older than the one asked about asks nobody": (
        "nothing: challenge_pending",
        BY_MAIL,
        replace(ASKED, seen={MP: yes(19), DD: no(6)}),
    ),
    "A pending confirmation that shows as such is waited for": (
        "nothing: challenge_pending",
        BY_MAIL,
        replace(ASKED, seen={MP: yes(20), DD: blocked(Block.PENDING)}),
    ),
    "Nobody is asked again by another way either": ("nothing: challenge_pending", SILENTLY, ASKED),
    "Nor is the operator asked whether to ask": ("nothing: challenge_pending", EMAIL, ASKED),
    "An unanswered question is held for the operator": ("hold challenge_expired", BY_MAIL, UNANSWERED),
    "Also where it shows as pending for ever": (
        "hold challenge_expired",
        BY_MAIL,
        replace(UNANSWERED, seen={MP: yes(20), DD: blocked(Block.PENDING)}),
    ),
    "Releasing that asks nobody again": (
        "hold challenge_expired",
        BY_MAIL,
        with_hold(UNANSWERED, Rule.CHALLENGE_EXPIRED, HoldState.RELEASED),
    ),
    "Dismissed, it is silent": (
        "nothing: dismissed",
        BY_MAIL,
        with_hold(UNANSWERED, Rule.CHALLENGE_EXPIRED, HoldState.DISMISSED),
    ),
    "A late click is an agreement too": (
        "agree opted_in: agreement",
        BY_MAIL,
        replace(UNANSWERED, seen={MP: yes(20), DD: MAILABLE}),
    ),
    "A click after a withdrawal brings nobody back": (
        "withdraw dotdigital: undated_opt_in",
        BY_MAIL,
        replace(cell(no(30), MAILABLE, WERE_OUT, EMAIL), challenge=Challenge(day(20), day(26))),
    ),
}
