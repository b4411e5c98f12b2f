"""Recovery: what a process that died left unfinished is found out before anything is decided."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bridge.core.errors import SideError
from bridge.core.model import Block, Observation, Side, address_key
from bridge.core.ports import FAILURES_IN_A_ROW, PersonView, batched
from bridge.core.priority import Priority, with_priority
from bridge.core.store_values import Attempt, AttemptFinished, AttemptState, LedgerEntry
from bridge.core.writes import Raise, Resubscribe, Withdrawal, Write
from bridge.engine.attempts import is_reflected, note_challenge, read_back, shown_dates, target
from bridge.engine.context import RunContext, WriteContext
from bridge.engine.serialize import write_in


def recover(run: WriteContext) -> None:
    """Take back what a process that died left written beside its writes. Then read back every attempt that a
    crash, a time-out or a slow side left in doubt. One that cannot be read stays in doubt, and so does what a
    bulk job may still be working on."""
    attempts = run.state.attempts.in_doubt()
    for side in Side:
        _finish_writes(run, side)
        mine = [attempt for attempt in attempts if attempt.side is side]
        with with_priority(Priority.READ_BACKS):
            if mine and not _is_busy(run, side):
                _recover_side(run, side, mine)


def _finish_writes(run: WriteContext, side: Side) -> None:
    """People who are left over are opted in nowhere in this run."""
    replica = run.replicas[side]
    people = replica.unfinished()
    if not people or side in run.health.down:
        return
    known = [who for some in batched(people) for who in run.state.people.get_many(some)]
    for found in replica.finish(known):
        run.health.warn(f"{side}: a person's other choices were changed by an earlier write ({found.reason})")
    run.health.unread_people[side].update(replica.unfinished())


def _is_busy(run: RunContext, side: Side) -> bool:
    try:
        busy = run.readers[side].has_running_jobs()
    except SideError as error:
        run.health.failed(side, side, error)
        busy = True
    if busy:
        run.health.busy.add(side)
        run.health.warn(f"{side}: a bulk job is still running; its people are skipped")
    return busy


def _recover_side(run: RunContext, side: Side, attempts: list[Attempt]) -> None:
    done = 0
    for some in batched(attempts, run.tuning.page):
        people = {who.person: who for who in run.state.people.get_many([one.person for one in some])}
        shown = read_back(run, run.readers[side], list(people.values()))
        for attempt in some:
            view = shown[address_key(people[attempt.person].address)]
            if isinstance(view, SideError):
                run.health.warn(f"{side}: a write stays in doubt ({view})")
            elif not any(seen.pending for seen in view.topics.values()):
                _settle_attempt(run, attempt, view)
            done += 1
            run.progress("reading back writes in doubt", done, len(attempts))
            run.heartbeat()
        if _answers_nobody(shown.values()):
            return  # a call may take minutes then, and withdrawals to the other side wait for them


def _answers_nobody(shown: Collection[PersonView | SideError]) -> bool:
    """Whether a read of many people failed for what is not about them alone."""
    errors = [one for one in shown if isinstance(one, SideError)]
    several = len(errors) == len(shown) >= FAILURES_IN_A_ROW
    return several or any(error.stops_side for error in errors)


def _settle_attempt(run: RunContext, attempt: Attempt, view: PersonView) -> None:
    """End an attempt by what a read back shows. Nothing is agreed by that: only one side was read, so its
    cells are decided again, on both. What changed only after the call may not be ours, and ours still come.
    A topic that is mapped to something else by now shows nothing about the write."""
    writes = [write_in(write) for write in attempt.body["writes"]]
    proven = _has_same_targets(run, attempt, writes) and is_reflected(run.mapping, writes, view)
    if not proven and any(_may_have_asked(write, view) for write in writes):
        # Before the attempt ends: killed in between, nobody is asked twice.
        note_challenge(run, attempt.person, writes, attempt.begun_at)
    body = {
        "attempt": attempt.id,
        "side": attempt.side.value,
        "topics": [write.topic for write in writes],
        "fate": "proven" if proven else "not applied",
        "by": "read back in a later run",
    }
    finished = AttemptFinished(
        attempt.id,
        attempt.person,
        AttemptState.DONE if proven else AttemptState.FAILED,
        LedgerEntry("outcome", body, attempt.person),
        shown=shown_dates(run, writes, view) if proven else {},
        may_apply=not (
            proven and all(_is_landed(attempt, write, view.topics[write.topic]) for write in writes)
        ),
    )
    run.state.attempts.end(
        run.id,
        attempt.side,
        [finished],
        views=(view,),
        unsubscribe_withdraws_topics=run.mapping.unsubscribe_withdraws_topics,
    )


def _has_same_targets(run: RunContext, attempt: Attempt, writes: Iterable[Write]) -> bool:
    """Whether the topics are still mapped to what was written. Attempts of earlier versions do not tell."""
    targets = attempt.body.get("targets")
    return targets is None or all(targets[one.topic] == target(run.mapping, one) for one in writes)


def _is_landed(attempt: Attempt, write: Write, seen: Observation) -> bool:
    """Whether an opt-out changed the row while it was sent. An opt-in of that moment may be the person's own,
    and ours may still be applied."""
    at, ended = seen.changed_at, attempt.ended_at
    if not isinstance(write, Withdrawal) or at is None or ended is None:
        return False
    return attempt.begun_at <= at <= ended


def _may_have_asked(write: Write, view: PersonView) -> bool:
    """Whether a confirmation mail may have been sent: where it cannot be known, it counts as sent. The silent
    form asks only where the account demands a confirmation, and then a pending one shows."""
    if not isinstance(write, Raise) or write.how is None:
        return False
    seen = view.topics.get(write.topic)
    return write.how is Resubscribe.CHALLENGE or (seen is not None and seen.block is Block.PENDING)
