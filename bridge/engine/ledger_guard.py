"""What a run does about its ledger: it checks the head first and everything once a day, and publishes the
head at its end. While anything is wrong nobody is opted in; opt-outs go on."""

from __future__ import annotations

from datetime import timedelta

from bridge.core.clocks import LostPeriod
from bridge.core.ledger import WAY_OUT, LedgerFault, LedgerTrouble
from bridge.core.store_port import StorePort
from bridge.engine.context import RunContext
from bridge.engine.sync_facts import ledger_problems

VERIFY_EVERY = timedelta(days=1)
RESTORED = "the state DB was restored"


def check_head(state: StorePort) -> None:
    """Note what is wrong with the last entry or the head file, before anything is added. Where nothing is,
    the head is published: signed, if there is a key now."""
    trouble = state.ledger.trouble()
    if trouble is None and state.facts.ledger_problem is None:
        state.ledger.publish()
    elif trouble is not None:
        note_trouble(state, trouble)


def note_trouble(state: StorePort, trouble: LedgerTrouble) -> None:
    """Keep it until an operator accepts it. Of the time that an older copy knows nothing about, some rules of
    the decision take account; everybody is read before anybody is opted in."""
    if trouble.fault not in (LedgerFault.BROKEN, LedgerFault.ROLLED_BACK):
        return  # it lasts as long as a key or a file is missing
    is_new = state.facts.ledger_problem is None
    state.ledger.note_trouble(trouble)
    if is_new and trouble.fault is LedgerFault.ROLLED_BACK:
        note_lost_period(state)


def note_lost_period(state: StorePort) -> None:
    """An older copy of the state DB was restored. An approval that it holds may have been used since."""
    since, until = state.newest(), state.now()
    lost = LostPeriod(since or until, until)
    state.facts.lost_period = lost.with_earlier(state.facts.lost_period)
    state.facts.sweep_due = RESTORED
    state.approvals.end_all(RESTORED)


def distrust_ledger(run: RunContext, *, swept: bool = True) -> None:
    """While what was found is not accepted, nobody is opted in; nor is anybody after a restore until
    everybody was read, where this run does not do that (`swept` False)."""
    problem = next(iter(ledger_problems(run.state)), None)
    if problem is not None:
        problem = f"{problem} {WAY_OUT}"
    elif not swept and run.state.facts.sweep_due == RESTORED:
        problem = f"Opt-ins are suspended: {RESTORED}, and everybody is to be read first."
    if problem is not None:
        run.health.warn(problem)
        run.health.untrusted_topics |= {topic.id for topic in run.mapping.all}


def verify_if_due(run: RunContext) -> None:
    """Once a day, verify the whole ledger before anybody is opted in."""
    facts, now = run.state.facts, run.now()
    checked = facts.ledger_checked_at
    if checked is not None and now - checked < VERIFY_EVERY:
        return
    run.progress("verifying the ledger", 0)
    trouble = run.state.ledger.trouble(whole=True)
    if trouble is not None:
        note_trouble(run.state, trouble)
        distrust_ledger(run)
    facts.ledger_checked_at = now


def publish_head(run: RunContext) -> None:
    """Write the head file, unless it is what tells that something is wrong."""
    if not ledger_problems(run.state) and (why := run.state.ledger.publish()):
        run.health.warn(why)
