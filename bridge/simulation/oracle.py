"""Judges what the bridge does by the true history alone: it shares no rule with the engine.

The promises have the names of the invariants that they are: I1 no resurrection, I3 nothing is opted in under
doubt, I5 watermarks, I8 scope, I12 bounded harm, I14 truthful state. I2, I4 and liveness are judged at the
end (`ending`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.core.errors import BridgeError
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.mapping import OnDeletion
from bridge.core.model import CHANNEL, Choice, Side, TopicId
from bridge.core.writes import Withdrawal
from bridge.engine.context import Tuning
from bridge.engine.report import Report
from bridge.simulation.history import PersonAct, SentWrite, TrueHistory
from bridge.simulation.service import ServiceRow, SimulatedService

_FUTURE = timedelta(minutes=15)
_SLACK = timedelta(seconds=5)  # within which no clocks of whole seconds can put two acts in order


@dataclass(slots=True)
class RunOutcome:
    """How one run went. `report` None: it was killed, or ended by an error of the bridge's own."""

    began: datetime  # true time
    report: Report | None = None
    died: bool = False
    error: BridgeError | None = None
    failed_feeds: set[tuple[Side, str]] = field(default_factory=set)
    boundaries: int = 0


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was broken."""

    promise: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


class Oracle:
    """One judge for one world."""

    def __init__(
        self, history: TrueHistory, services: Mapping[Side, SimulatedService], tuning: Tuning
    ) -> None:
        self.history, self.services, self.tuning = history, services, tuning
        self.breaches: list[Breach] = []
        self.by_operator: set[tuple[int, TopicId]] = set()  # the operator took the decision
        self.deleted: set[int] = set()  # people who were deleted somewhere at some time
        self.swept_at: datetime | None = None
        self._proven: dict[str, datetime] = {}
        self.mapping: ConsentMapping

    def breach(self, promise: str, what: str) -> None:
        """A promise is broken."""
        self.breaches.append(Breach(promise, what))
        self.history.note("breach", promise, what)

    # each write

    def judge(self, sent: SentWrite, outcome: RunOutcome) -> None:
        """Whether a write may be sent at all."""
        topic = self.mapping.topic(sent.write.topic)
        if topic is None or not topic.direction.allows(sent.side):
            self.breach("I8", f"a write that the mapping does not allow: {_told(sent)}")
        if isinstance(sent.write, Withdrawal):
            self._judge_withdrawal(sent)
            return
        self._judge_trust(sent, outcome)
        self._judge_evidence(sent, sent.write.evidence.changed_at)
        self._judge_volume(sent)

    def _judge_withdrawal(self, sent: SentWrite) -> None:
        """a person must have withdrawn it, or been deleted where the mapping takes that for an opt-out."""
        topic = self.mapping.topic(sent.write.topic)
        if any(True for _ in self.withdrawals(sent.person, sent.write.topic)):
            return
        deletes = topic is not None and topic.on_deletion is OnDeletion.WITHDRAW
        if not (deletes and sent.person in self.deleted):
            self.breach("I8", f"nobody withdrew that: {_told(sent)}")

    def withdrawals(self, person: int, topic: TopicId) -> list[PersonAct]:
        wide = self.mapping.unsubscribe_withdraws_topics and topic != CHANNEL
        return [
            act
            for act in self.history.acts
            if act.person == person
            and act.choice is Choice.OPTED_OUT
            and (act.topic == topic or (wide and act.topic == CHANNEL and act.side is Side.DOTDIGITAL))
        ]

    def _judge_trust(self, sent: SentWrite, outcome: RunOutcome) -> None:
        for side, feed in outcome.failed_feeds:
            for known in self.services[side].feeds(self.tuning.poll):
                if known.name == feed and sent.write.topic in known.topics:
                    self.breach("I3", f"the feed {feed} failed in this run: {_told(sent)}")
        ahead = self.history.time.ahead
        mine, theirs = (ahead.get(side, timedelta()) for side in Side)
        own = ahead.get(None, timedelta())
        if abs(mine - theirs) > self.tuning.skew + _SLACK:
            self.breach("I3", f"the clocks of both services are {abs(mine - theirs)} apart: {_told(sent)}")
        if max(abs(own - mine), abs(own - theirs)) > _FUTURE + _SLACK:
            self.breach("I3", f"the bridge's clock is wrong: {_told(sent)}")

    def _judge_evidence(self, sent: SentWrite, said_at: datetime) -> None:
        """A person must have said it, with this date, and nothing that the bridge was shown is newer."""
        given = [
            act
            for act in self.history.acts
            if (act.person, act.topic, act.choice) == (sent.person, sent.write.topic, Choice.OPTED_IN)
            and act.date is not None
            and act.date - timedelta(seconds=1) < said_at <= act.date
        ]
        if not given:
            self.breach("I1", f"nobody gave that, at that time: {_told(sent)}")
            return
        if (sent.person, sent.write.topic) in self.by_operator:
            return
        for act in self.withdrawals(sent.person, sent.write.topic):
            if act.shown_at is not None and not self._is_newer(given, said_at, act):
                self.breach("I1", f"opted in over the withdrawal of {act.date or act.at}: {_told(sent)}")
                return

    def _is_newer(self, given: list[PersonAct], said_at: datetime, out: PersonAct) -> bool:
        """Whether an opt-in is newer than a withdrawal: by date, and in truth where both are honest."""
        honest = [act.at for act in given if act.honest]
        if honest and out.honest and max(honest) + _SLACK < out.at:
            return False
        floor, slack, shown_at = out.date, timedelta(0), out.shown_at or out.at
        if floor is None or (floor > out.at + _FUTURE and shown_at < floor):  # not a date to be believed then
            floor, slack = shown_at, _SLACK
        return said_at + slack > floor + self.tuning.skew

    def _judge_volume(self, sent: SentWrite) -> None:
        since = sent.at - self.tuning.limits.window
        people = {
            one.person
            for one in self.history.sent
            if one.at > since and not isinstance(one.write, Withdrawal)
        }
        allowed = self.tuning.limits.raises_allowed(len(self.services[Side.DOTDIGITAL].records))
        if len(people) > allowed:
            self.breach("I12", f"{len(people)} people opted in within the window, {allowed} are allowed")

    # each run

    def feed_ended(self, feed: str, watermark: datetime) -> None:
        """A feed was read to its end, from this time of the service on."""
        self._proven[feed] = max(watermark, self._proven.get(feed, watermark))

    def judge_run(self, outcome: RunOutcome, watermarks: Mapping[str, datetime]) -> None:
        """What a run left behind, and what it said."""
        for feed, mark in watermarks.items():
            if feed not in self._proven or mark > self._proven[feed]:
                self.breach("I5", f"the watermark of {feed} is past what was read")
        report = outcome.report
        if report is None:
            return
        if report.swept:
            self.swept_at = outcome.began
        if report.in_sync:
            if report.exit_code != 0:
                self.breach("I14", f"in sync, with the exit code {report.exit_code}")
            for person, topic in self.disagreements(outcome.began):
                self.breach("I14", f"said to be in sync: person {person} differs in {topic}")

    def disagreements(self, since: datetime | None = None) -> list[tuple[int, TopicId]]:
        """Who is opted in at one side and out at the other; with `since` only what the bridge could have
        known at that time."""
        found = []
        for person in self.services[Side.DOTDIGITAL].records:
            for topic in self.mapping.all:
                if topic.source is None or (person, topic.id) in self.by_operator:
                    continue
                if {Choice.OPTED_IN, Choice.OPTED_OUT} <= self._choices(person, topic.id, since):
                    found.append((person, topic.id))
        return found

    def _choices(self, person: int, topic: TopicId, since: datetime | None) -> set[Choice]:
        found: set[Choice] = set()
        for side, service in self.services.items():
            record = service.records[person]
            if not record.present or not self._is_known(record.changed, since):
                return set()
            row = record.newest(topic)
            if row is not None and not self._is_row_known(row, since):
                return set()
            choice = self.standing(person, side, topic)
            channel = record.newest(CHANNEL) if side is Side.DOTDIGITAL else None
            if channel is not None and not self._is_row_known(channel, since):
                return set()
            found.add(choice)
        return found

    def standing(self, person: int, side: Side, topic: TopicId) -> Choice:
        """What holds at a side: where an unsubscribe withdraws the topics too, out."""
        record = self.services[side].records[person]
        row, channel = record.newest(topic), record.newest(CHANNEL)
        wide = side is Side.DOTDIGITAL and self.mapping.unsubscribe_withdraws_topics
        if wide and channel is not None and channel.choice is Choice.OPTED_OUT:
            return Choice.OPTED_OUT
        if row is None:
            subscribed = topic == CHANNEL and side is Side.DOTDIGITAL
            return Choice.OPTED_IN if subscribed else Choice.UNSET
        return row.choice

    def _is_known(self, at: datetime | None, since: datetime | None) -> bool:
        """Whether the bridge could have known at `since` what no feed tells."""
        return at is None or since is None or (self.swept_at is not None and at <= self.swept_at)

    def _is_row_known(self, row: ServiceRow, since: datetime | None) -> bool:
        if since is None:
            return True
        if row.announced is not None and max(row.announced, row.visible) <= since:
            return True
        return row.visible <= since and self._is_known(row.visible, since)


def _told(sent: SentWrite) -> str:
    kind = type(sent.write).__name__.lower()
    return f"{kind} of {sent.write.topic} at {sent.side} for person {sent.person}"
