"""Recovery: what a process that died left unfinished is found out before anything is decided."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from bridge.core.errors import SideError
from bridge.core.model import Block, Choice, Observation, PersonId, Side, Who, address_key
from bridge.core.ports import FAILURES_IN_A_ROW, PersonView, batched
from bridge.core.priority import Priority, with_priority
from bridge.core.store_values import Attempt, AttemptFinished, AttemptState, LedgerEntry, Receipt
from bridge.core.writes import Raise, Resubscribe, Withdrawal, Write
from bridge.engine.attempts import is_reflected, note_challenge, read_back, receipt_of, shown_dates, target
from bridge.engine.context import RunContext, WriteContext
from bridge.engine.fetch import record
from bridge.engine.serialize import act_in, write_in


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
    run.health.unchecked[side].update(replica.unfinished())


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
        elsewhere = _read_other_side(run, side, some, people, shown)
        for attempt in some:
            key = address_key(people[attempt.person].address)
            view = shown[key]
            if isinstance(view, SideError):
                run.health.warn(f"{side}: a write stays in doubt ({view})")
            elif not any(seen.pending for seen in view.topics.values()):
                _settle_attempt(run, attempt, view, elsewhere.get(key))
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


def _read_other_side(
    run: RunContext,
    side: Side,
    attempts: Sequence[Attempt],
    people: Mapping[PersonId, Who],
    shown: Mapping[str, PersonView | SideError],
) -> dict[str, PersonView]:
    """What the other side shows of those whose write is proven, by address key: only both together are
    agreed. Stored before that, so that an opt-out there is latched."""
    proven: dict[PersonId, Who] = {}
    for attempt in attempts:
        view = shown[address_key(people[attempt.person].address)]
        if isinstance(view, PersonView) and _is_proven(run, attempt, view):
            proven[attempt.person] = people[attempt.person]
    if not proven or side.other in run.health.down:
        return {}
    read = read_back(run, run.readers[side.other], list(proven.values()))
    views = {key: view for key, view in read.items() if isinstance(view, PersonView)}
    record(run, side.other, list(views.values()))
    return views


def _is_proven(run: RunContext, attempt: Attempt, view: PersonView) -> bool:
    writes = [write_in(write) for write in attempt.body["writes"]]
    return _has_same_targets(run, attempt, writes) and is_reflected(run.mapping, writes, view)


def _settle_attempt(run: RunContext, attempt: Attempt, view: PersonView, other: PersonView | None) -> None:
    """End an attempt by what a read back shows, and agree on what is proven, as it was decided then, unless a
    newer agreement was made since, or the other side could not be read. What changed only after the call may
    not be ours, and ours still come. A topic that is mapped to something else by now shows nothing about the
    write."""
    writes = [write_in(write) for write in attempt.body["writes"]]
    proven = _is_proven(run, attempt, view)
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
    if proven and other is not None:
        finished = replace(finished, receipts=_receipts(run, attempt, writes, view, other))
    run.state.attempts.end(
        run.id,
        attempt.side,
        [finished],
        views=(view,),
        unsubscribe_withdraws_topics=run.mapping.unsubscribe_withdraws_topics,
    )


def _receipts(
    run: RunContext, attempt: Attempt, writes: Sequence[Write], view: PersonView, other: PersonView
) -> list[Receipt]:
    """What is agreed by a write that is proven. An opt-in is not, where the other side shows something else
    than it was decided on."""
    found = []
    for act in map(act_in, attempt.body["acts"].values()):
        topic = act.writes[0].topic
        across = other.topics.get(topic)
        same = across is not None and across.version == act.versions.get(attempt.side.other)
        if all(write in writes for write in act.writes) and (same or act.choice is Choice.OPTED_OUT):
            shown = {attempt.side: view.topics[topic]}
            found.append(receipt_of(run, attempt.person, act, shown))
    return found


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
