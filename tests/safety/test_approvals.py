"""An approval is an act of a person, kept in the state DB, good for one use."""

from __future__ import annotations

from datetime import timedelta

import pytest
from safety_world import SafetyLive

from bridge.core.approval import VALID_FOR, ApprovalKind, ApprovalUsed, Operator
from bridge.core.decision import Rule, can_be_released
from bridge.core.errors import PlanMoved
from bridge.core.ledger import LedgerFault, LedgerTrouble
from bridge.core.model import HoldState
from bridge.engine.ledger_guard import note_lost_period, note_trouble
from bridge.engine.plan import require_unused
from tests.approvals import saved

OPS = Operator("ops", "agreed with the privacy officer")


def test_an_approval_given_beside_a_run_is_used_by_the_next_one_and_once(live: SafetyLive) -> None:
    """As with `bridge run`: nobody stops the daemon to approve."""
    digest = live.app.mapping.digest
    given = live.app.store.approvals.give(ApprovalKind.RAISES, digest, OPS)
    live.run()
    [kept] = live.app.store.approvals.of(digest)
    assert kept.id == given.id
    assert kept.used_at is not None
    assert live.app.store.approvals.open(digest) == []
    with pytest.raises(ApprovalUsed):
        live.app.store.approvals.use([given], live.run().run)


def test_an_approval_is_for_the_mapping_that_was_shown(live: SafetyLive) -> None:
    live.app.store.approvals.give(ApprovalKind.MAPPING, "another mapping", OPS)
    live.run()
    assert [one.used_at for one in live.app.store.approvals.of("another mapping")] == [None]


def test_an_approval_that_nobody_used_lapses(live: SafetyLive) -> None:
    given = live.app.store.approvals.give(ApprovalKind.PLAN, "a plan", OPS)
    assert not given.has_lapsed(given.given_at + VALID_FOR)
    assert given.has_lapsed(given.given_at + VALID_FOR + timedelta(seconds=1))
    with pytest.raises(PlanMoved, match="days old"):
        require_unused([given], given.given_at + VALID_FOR + timedelta(days=1))


@pytest.mark.parametrize("noticed", ["by the head", "by the command"])
def test_an_approval_that_was_used_before_an_older_state_db_was_restored_is_not_used_again(
    live: SafetyLive, noticed: str
) -> None:
    store, digest = live.app.store, live.app.mapping.digest
    store.approvals.give(ApprovalKind.RAISES, digest, OPS)
    plan = store.approvals.give(ApprovalKind.PLAN, "a plan", OPS)
    if noticed == "by the command":
        note_lost_period(store)
    else:
        note_trouble(store, LedgerTrouble(LedgerFault.ROLLED_BACK, "the ledger went back"))
    assert (store.approvals.open(digest), store.approvals.open("a plan")) == ([], [])
    with pytest.raises(ApprovalUsed):
        store.approvals.use([plan], live.run().run)
    assert "approvals_ended" in [entry["kind"] for entry in store.ledger.export()]


def test_who_approved_what_when_and_why_is_in_the_ledger(live: SafetyLive) -> None:
    digest = live.app.mapping.digest
    live.app.store.approvals.give(ApprovalKind.RAISES, digest, OPS)
    live.run()
    given, used = (
        [entry for entry in live.app.store.ledger.export() if entry["kind"] == kind]
        for kind in ("approval", "approval_used")
    )
    assert [(entry["body"]["by"], entry["body"]["note"]) for entry in given] == [(OPS.by, OPS.note)]
    assert [entry["body"]["approval"] for entry in used] == [given[0]["body"]["approval"]]
    assert used[0]["run"]


def test_a_plan_nobody_saved_is_refused_and_so_is_one_that_was_applied(live: SafetyLive) -> None:
    now = live.app.store.now()
    with pytest.raises(PlanMoved, match="did not make this plan"):
        require_unused([], now)
    plan = saved(live.app.store)
    live.app.store.approvals.use([plan], live.run().run)
    with pytest.raises(PlanMoved, match="applied already"):
        require_unused(live.app.store.approvals.of(plan.subject), now)


@pytest.mark.parametrize("rule", [rule for rule in Rule if rule is not Rule.FIRST_RUN], ids=str)
def test_a_hold_that_proposes_no_write_cannot_be_released(rule: Rule) -> None:
    assert not can_be_released(rule, ())
    assert can_be_released(rule, [{"kind": "raise"}])


def test_an_opt_in_from_before_the_bridge_can_be_released_before_its_date_is_read() -> None:
    assert can_be_released(Rule.FIRST_RUN, ())


def test_the_answer_to_a_hold_keeps_its_author_and_note(live: SafetyLive) -> None:
    held = live.app.store.holds.page(None)
    for row in held:
        live.app.store.holds.dismiss([row.id], OPS)
    answered = live.app.store.holds.page(HoldState.DISMISSED)
    assert [row.answered for row in answered] == [OPS] * len(held)
