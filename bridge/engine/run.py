"""One run: recover, read both sides, decide, apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from bridge.core.approval import NOBODY, Approval, ApprovalKind
from bridge.core.brakes import vanished_reason
from bridge.core.catalogue import Catalogue, ChangeKind
from bridge.core.clocks import clock_problems, earliest_now
from bridge.core.decision import Rule
from bridge.core.errors import PlanMoved, RunStopped, SideError
from bridge.core.facts import CatalogueCheck
from bridge.core.mapping_check import missing_topics
from bridge.core.model import Side, TopicId
from bridge.core.store_port import StorePort
from bridge.core.store_values import RunKind
from bridge.engine.apply import Applier
from bridge.engine.context import RunContext, Services, WriteContext, Writers, require_same_account
from bridge.engine.deciding import Decider
from bridge.engine.feed_watch import distrust_lagging
from bridge.engine.fetch import read_lagging, read_webhook_events, retry_failed_reads
from bridge.engine.ledger_guard import check_head, distrust_ledger, publish_head, verify_if_due
from bridge.engine.poll import FeedPoller, check_confirmations
from bridge.engine.recovery import recover
from bridge.engine.report import Report, WriteCounts, make_report
from bridge.engine.scopes import TopicScopes, apply_mapping, is_new_mapping
from bridge.engine.sweep import sweep
from bridge.engine.sync_facts import report_of_error
from bridge.engine.weigh import Weighed, remember_bursts, weigh
from bridge.engine.withdrawal_lane import WithdrawalLane

_CLOCKS = "Synchronise the clock by NTP; `bridge doctor` shows how far each clock is off."
_SWEEPING = "a sweep that was begun"
MORE_PASSES = 2  # over people who acted while a run was sending
PRUNE_EVERY = timedelta(days=1)
CHANGES_NAMED = 10  # changes of a side's configuration that a report names one by one

R = TypeVar("R", bound=RunContext)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the operator asked of this run."""

    full: bool = False
    approve_raises: bool = False
    approve_mapping: bool = False
    approve_vanished: bool = False
    polling: bool = False  # one of the daemon's many runs: feeds are read in rotation where they are many


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What reading both sides led to."""

    decider: Decider
    poller: FeedPoller
    weighed: Weighed
    swept: bool  # everybody was read, to a proven end
    topics: TopicScopes


def run_once(services: Services, writers: Writers, options: RunOptions | None = None) -> Report:
    """Carry out one run. What goes wrong at a side is in the report; other errors end the run as failed and
    are raised."""
    options = options or RunOptions()
    check_head(services.state)
    with closing(WriteContext(services, kind_of(services.state, options), writers)) as run:
        approvals = run.state.approvals.open(run.mapping.digest)
        options = _with_approvals(options, approvals)
        if options.approve_raises:
            authors = [one.author for one in approvals if one.kind is ApprovalKind.RAISES]
            run.state.holds.release_all(Rule.FIRST_RUN, authors[-1] if authors else NOBODY)
        distrust_ledger(run)
        require_same_account(run.state, run.readers, run.health)
        recover(run)
        lane = WithdrawalLane(run)
        read = read_sides(run, options, lane=lane)
        lane.waiting = run.health.unapproved
        for alert in read.weighed.brakes.alerts:
            run.health.warn(alert)
        written, brakes = _apply(run, read, approve_mapping=options.approve_mapping)
        lane.close()
        written.add(lane.written)
        if run.kind is RunKind.FIRST and read.swept and not run.health.untrusted_topics:
            run.state.facts.first_run_completed = run.clock()
        publish_head(run)
        report = make_report(run, written, brakes=(*run.health.vanished, *brakes), swept=read.swept)
        if not report.errors:  # else the next run still needs them
            run.state.approvals.use(approvals, run.id)
        run.end("done" if not report.errors else "failed", report.shown())
    prune_if_due(run)
    return report


def _apply(
    run: WriteContext, read: ReadResult, *, approve_mapping: bool
) -> tuple[WriteCounts, Sequence[str]]:
    """Send what was decided, and decide in the same run what people did while it was being sent. After a few
    passes the next run goes on: people may act without end. So it does where a write is in doubt, which only
    recovery may end, and where people could not be read. Returns what was written, and why a brake stopped
    the rest."""
    applier = Applier(run, read.decider, read.poller, read.weighed)
    written, left = _send_all(run, applier), 0
    for _ in range(MORE_PASSES):
        counts, health = run.state.cells.counts(), run.health
        stuck = health.down or health.busy or health.gone or health.unapproved or applier.brakes.reasons
        unknown = counts.unproven or health.all_unread
        if counts.waiting in (0, left) or stuck or unknown or written.failed:
            break
        left = counts.waiting
        weighed = weigh(run, read.decider, read.topics, approve_mapping=approve_mapping)
        applier = Applier(run, read.decider, read.poller, weighed)
        written.add(_send_all(run, applier))
    return written, applier.brakes.reasons


def _send_all(run: RunContext, applier: Applier) -> WriteCounts:
    """Withdrawals first."""
    written = applier.withdrawals()
    verify_if_due(run)
    written.add(applier.raises())
    return written


def _with_approvals(options: RunOptions, approvals: Sequence[Approval]) -> RunOptions:
    """The options of a run, and what operators approved for it while another ran or none did."""
    kinds = {one.kind for one in approvals}
    return replace(
        options,
        approve_raises=options.approve_raises or ApprovalKind.RAISES in kinds,
        approve_mapping=options.approve_mapping or ApprovalKind.MAPPING in kinds,
        approve_vanished=options.approve_vanished or ApprovalKind.VANISHED in kinds,
    )


def prune_if_due(run: RunContext) -> None:
    """Once a day, delete the records of runs that ended longer ago than they are kept for. A clock that is
    ahead deletes nothing early."""
    now, pruned_at = run.now(), run.state.facts.pruned_at
    if pruned_at is None or now - pruned_at >= PRUNE_EVERY:
        run.state.retention.prune(earliest_now(run.clock_offsets(), run.clock()) - run.tuning.retention)
        run.state.facts.pruned_at = now


def _doubt_vanished(run: RunContext) -> None:
    """While many are gone from a side and that is not explained, nobody is opted in."""
    run.health.vanished += (run.state.facts.vanished or {}).values()
    if run.health.vanished:
        run.health.untrusted_topics |= {topic.id for topic in run.mapping.all}


def enter_safe_mode(run: RunContext) -> None:
    """Where the clocks cannot put dates in order, this run opts nobody in: it sends withdrawals only."""
    problems = clock_problems(run.clock_offsets(), run.clock(), run.newest_before, run.tuning.skew)
    run.health.clocks = list(problems)
    for problem in problems:
        run.health.warn(f"Opt-ins are suspended: {problem}. {_CLOCKS}")
    if problems:
        run.health.untrusted_topics |= {topic.id for topic in run.mapping.all}


@contextmanager
def closing(run: R) -> Iterator[R]:
    """Note the end of a run that is ended by an error."""
    try:
        yield run
    except PlanMoved:
        run.end("stopped", {"refused": True})
        raise
    except KeyboardInterrupt:
        run.end("stopped", {"interrupted": True})
        raise
    except RunStopped:
        run.end("stopped", {})
        raise
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        run.end("stopped" if stopped else "failed", report_of_error(error))
        raise


def kind_of(state: StorePort, options: RunOptions) -> RunKind:
    """Which kind of run this is."""
    if state.facts.first_run_completed is None:
        return RunKind.FIRST
    return RunKind.FULL if options.full else RunKind.INCREMENTAL


def read_sides(
    run: RunContext, options: RunOptions, *, dry: bool = False, lane: WithdrawalLane | None = None
) -> ReadResult:
    """The reading half of a run, which a dry run shares: read both sides, and read again what cannot be
    decided without it. Once the feeds were read, withdrawals leave by the lane. A dry run is not the first
    run: it does not fix what is older than the bridge."""
    first = run.state.facts.first_run_completed is None
    run.approve_vanished = options.approve_vanished
    _report_erasures(run)
    run.state.cells.retry_due([topic.id for topic in run.mapping.all])
    renewed = _check_catalogues(run, fresh=is_new_mapping(run) or options.full, dry=dry)
    topics = apply_mapping(run, renewed, dry=dry)
    for side in Side:
        retry_failed_reads(run, side)
    poller = FeedPoller(run, first=first)
    if lane is not None:
        lane.open(poller, [topic for topic, scope in topics.scopes.items() if scope.change])
    full = first or options.full or bool(run.state.facts.sweep_due)
    gaps = poller.read_due() if options.polling and not full else poller.read_all()
    if lane is not None:
        lane.polls = True
    for side in Side:
        read_webhook_events(run, side)
        read_lagging(run, side)
        if not dry and side not in run.health.down:
            for text in run.readers[side].probe_capabilities():
                run.health.warn(f"{side}: {text}")
    check_confirmations(run)
    for side in gaps:
        run.health.warn(f"{side}: its feed does not reach back to the last read; everybody is read")
    swept = _sweep_if_due(run, asked=first or options.full)
    _doubt_vanished(run)
    enter_safe_mode(run)
    decider = Decider(
        run,
        epoch=_epoch(run, dry=dry),
        first_run=first,
        raises_approved=options.approve_raises,
        bursts=remember_bursts(run, poller.bursts()),
        new_bursts=poller.bursts,
        scopes=topics.scopes,
        forgotten=topics.forgotten,
    )
    if swept:
        topics.note_sweep()
    weighed = weigh(run, decider, topics, approve_mapping=options.approve_mapping)
    distrust_lagging(run)
    return ReadResult(decider, poller, weighed, swept, topics)


def _sweep_if_due(run: RunContext, *, asked: bool) -> bool:
    """Read everybody where that is due; whether that came to a proven end. What makes another sweep due while
    this one runs stays noted: people read before it are read again."""
    facts = run.state.facts
    if not asked and not facts.sweep_due:
        return False
    begun = facts.sweep_due = _SWEEPING if facts.sweep_due else None
    swept = sweep(run)
    if swept and facts.sweep_due == begun:
        facts.sweep_due = None
    return swept


def _epoch(run: RunContext, *, dry: bool) -> datetime:
    known = run.state.facts.epoch
    if known is None:
        known = earliest_now(run.clock_offsets(), run.started_at)
        if not dry:
            run.state.facts.epoch = known
    return known


def _report_erasures(run: RunContext) -> None:
    """Say where people who were erased cannot be told from new ones: of these no opt-in counts that was given
    before they were seen."""
    waiting = run.state.erasures.recheck()
    if marks := run.state.erasures.unreadable():
        run.health.warn(
            f"Cannot recognise erased people (markers: {marks}): BRIDGE_ERASURE_KEY is missing or has "
            f"changed. Until it is restored, older opt-ins of newly seen people ({waiting} so far) are "
            "ignored. `bridge forget --help` says what to do without the key."
        )
    if begun := run.state.erasures.unfinished():
        run.health.warn(f"Erasures not finished: {begun}. Repeat `bridge forget` for each of these people.")


# catalogues


def _check_catalogues(run: RunContext, *, fresh: bool, dry: bool) -> set[TopicId]:
    """Find mapped topics whose counterpart is gone, so that their silence is not taken for a choice. Returns
    those whose counterpart was gone and exists again."""
    if not fresh and _is_checked(run):
        return set()
    last = run.state.facts.catalogue_check
    gone = _missing(run, dry=dry)
    for topic, what in gone.items():
        run.health.gone[topic] = what
        run.health.warn(f"topic '{topic}' is skipped: {what}. Fix the mapping (see `bridge doctor`).")
    return set() if last is None or run.health.errors else last.gone.keys() - gone.keys()


def _is_checked(run: RunContext) -> bool:
    """Whether nothing was gone when the catalogues were last read, not long ago."""
    last = run.state.facts.catalogue_check
    return last is not None and not last.gone and run.clock() - last.at <= run.tuning.catalogue_every


def _missing(run: RunContext, *, dry: bool) -> dict[TopicId, str]:
    gone: dict[TopicId, str] = {}
    for side in Side:
        try:
            found = run.readers[side].catalogue()
            gone |= missing_topics(run.mapping, found)
            _report_changes(run, side, found, dry=dry)
        except SideError as error:
            run.health.untrusted_topics |= {topic.id for topic in run.mapping.all}
            run.health.incomplete[f"the catalogue of {side}"] = None
            run.health.failed(side, side, error)
    if not run.health.errors and not (dry and _is_renewed(run, gone)):
        run.state.facts.catalogue_check = CatalogueCheck(run.clock(), gone)
    return gone


def _is_renewed(run: RunContext, gone: Mapping[TopicId, str]) -> bool:
    """Whether something that was gone exists again: the next run that may write has to notice it too."""
    last = run.state.facts.catalogue_check
    return last is not None and bool(last.gone.keys() - gone.keys())


def _report_changes(run: RunContext, side: Side, found: Catalogue, *, dry: bool) -> None:
    """What has changed in the configuration since it was last read. A dry run leaves it to the next run."""
    changes = run.state.catalogue.compare(found)
    removed = sum(one.news is ChangeKind.REMOVED for one in changes)
    known = len(found.entries) + removed - sum(one.news is ChangeKind.ADDED for one in changes)
    reason = vanished_reason(side, "definitions", removed, known, run.tuning.limits)
    if reason is not None and not run.approve_vanished:
        run.health.vanished.append(reason)
    elif not dry:
        run.state.catalogue.save(found)
    for change in changes[:CHANGES_NAMED]:
        run.health.warn(f"{side}: the {change.what}")
    if more := len(changes[CHANGES_NAMED:]):
        run.health.warn(f"{side}: {more} more changes of its configuration; `bridge doctor` lists them")
