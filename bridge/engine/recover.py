"""Recovery: writes whose outcome is unknown are read back before anything else is decided."""

from __future__ import annotations

from bridge.core.decision import Act
from bridge.core.errors import SideError
from bridge.core.model import Agreement, Block, Raise, Resubscribe, RunId, Side, Write, address_key
from bridge.core.ports import PersonView, left_out, read_person
from bridge.core.priority import Priority, with_priority
from bridge.core.store_port import Attempt, AttemptFinished, AttemptState, LedgerEntry, Settlement
from bridge.engine.context import RunHealth, Services
from bridge.engine.double_opt_in import note_asked
from bridge.engine.send import is_reflected
from bridge.engine.serialize import act_in, write_in

MANY = 50  # attempts in doubt at one side from which on they are read back together


class Recovery:
    """Settles attempts that a crash, a time-out or a slow side left in doubt."""

    def __init__(self, services: Services, run: RunId, health: RunHealth) -> None:
        self._services = services
        self._run = run
        self._health = health

    def settle(self) -> None:
        """Read back every attempt in doubt. One that cannot be read stays in doubt, and so does what a bulk
        job may still be at work on."""
        attempts = self._services.state.attempts.in_doubt()
        for side in Side:
            mine = [attempt for attempt in attempts if attempt.side is side]
            with with_priority(Priority.READ_BACKS):
                if mine and not self._busy(side):
                    self._side(side, mine)

    def _busy(self, side: Side) -> bool:
        try:
            busy = self._services.readers[side].has_running_jobs()
        except SideError as error:
            self._health.failed(side, side, error)
            busy = True
        if busy:
            self._health.busy.add(side)
            self._health.warn(f"{side}: a bulk job has not ended yet; whoever is in it is not written to")
        return busy

    def _side(self, side: Side, attempts: list[Attempt]) -> None:
        read = self._read(side, attempts)
        for number, attempt in enumerate(attempts, 1):
            if side in self._health.down:
                return
            self._settle(attempt, read)
            self._services.progress("reading back writes in doubt", number, len(attempts))
            self._services.heartbeat()

    def _read(self, side: Side, attempts: list[Attempt]) -> dict[str, PersonView] | None:
        """Where they are many, what the side shows of all of them; None where each is read by itself."""
        if len(attempts) < MANY:
            return None
        people = self._services.state.people.get_many(
            list(dict.fromkeys(attempt.person for attempt in attempts))
        )
        found: dict[str, PersonView] = {}
        try:
            for page in self._services.readers[side].read_people(people):
                found |= {address_key(view.address): view for view in page.views}
                self._services.heartbeat()
        except SideError as error:
            self._health.failed(side, side, error)
        return found

    def _settle(self, attempt: Attempt, read: dict[str, PersonView] | None) -> None:
        who = self._services.state.people.get(attempt.person)
        try:
            view = (
                read_person(self._services.readers[attempt.side], who)
                if read is None
                else read.get(address_key(who.address))
            )
        except SideError as error:
            self._in_doubt(attempt, error)
            return
        if view is None:
            self._in_doubt(attempt, left_out(attempt.side))
            return
        if any(seen.reason == "pending_update" for seen in view.topics.values()):
            return
        writes = [write_in(write) for write in attempt.body["writes"]]
        proven = all(is_reflected(self._services.mapping, write, view) for write in writes)
        state = AttemptState.DONE if proven else AttemptState.FAILED
        if not proven and any(_may_have_asked(write, view) for write in writes):
            # Before the attempt ends: killed in between, nobody is asked twice.
            note_asked(self._services.state, self._run, attempt.person, writes, attempt.begun_at)
        topics = [write.topic for write in writes]
        ended = AttemptFinished(attempt.id, attempt.person, state, _outcome(attempt, writes, state), topics)
        self._services.state.attempts.end(
            self._run,
            attempt.side,
            [ended],
            views=(view,),
            unsubscribe_withdraws_topics=self._services.mapping.unsubscribe_withdraws_topics,
        )
        if proven:
            self._agree(attempt, writes, view)

    def _in_doubt(self, attempt: Attempt, error: SideError) -> None:
        self._health.warn(f"{attempt.side}: a write stays in doubt ({error})")

    def _agree(self, attempt: Attempt, writes: list[Write], view: PersonView) -> None:
        """Agree on what is proven, as it was decided then: a change of the other side since is a change."""
        settlements = []
        for act in map(act_in, attempt.body["acts"].values()):
            if all(write in writes for write in act.writes):
                settlements.append(self._settlement(attempt, act, view))
        self._services.state.cells.settle(self._run, settlements)

    def _settlement(self, attempt: Attempt, act: Act, view: PersonView) -> Settlement:
        versions = {**act.versions, **{write.side: view.topics[write.topic].version for write in act.writes}}
        now = self._services.clock()
        agreement = Agreement(act.choice, act.at, act.rule.value, now, versions, act.frequencies)
        body = {"choice": act.choice.value, "rule": act.rule.value, "attempt": attempt.id}
        topic_id = act.writes[0].topic
        entry = LedgerEntry("agreed", body, attempt.person, topic_id)
        # no ground: the cell stays to be decided, and is found in agreement if nothing moved since
        return Settlement(attempt.person, topic_id, "", agreement, entry)


def _outcome(attempt: Attempt, writes: list[Write], state: AttemptState) -> LedgerEntry:
    body = {
        "attempt": attempt.id,
        "side": attempt.side.value,
        "topics": [write.topic for write in writes],
        "fate": "proven" if state is AttemptState.DONE else "not applied",
        "by": "read back in a later run",
    }
    return LedgerEntry("outcome", body, attempt.person)


def _may_have_asked(write: Write, view: PersonView) -> bool:
    """Whether a confirmation mail may have gone out: whoever cannot know counts it as sent. The silent form
    asks only where the account demands a confirmation, and then a pending one shows."""
    if not isinstance(write, Raise) or write.how is None:
        return False
    seen = view.topics.get(write.topic)
    return write.how is Resubscribe.CHALLENGE or (seen is not None and seen.block is Block.PENDING)
