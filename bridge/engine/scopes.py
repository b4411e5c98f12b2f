"""A mapping that changed: what it forgets, what it means, and whether it waits for an operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.core.brakes import CHANGE_MAX, CHANGE_SHARE, Tally, is_mass
from bridge.core.clocks import earliest_now
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Choice, Side, TopicId
from bridge.core.scope import Names, Scope, ScopeChange, Scopes, names_of, scope_changes, scopes_after
from bridge.core.store_port import StorePort
from bridge.core.store_values import LedgerEntry, TopicReset
from bridge.engine.context import RunContext

_HELD = "mapping: older opt-ins of these topics are held. Approve them: `bridge reconcile --approve-raises`"
_WAIT = "Until then nothing is written for these topics. Approve it: `bridge reconcile --approve-mapping`"


@dataclass(slots=True)
class TopicScopes:
    """The scopes of the mapped topics in one run. `forgotten` are choices on which agreements do not count: a
    dry run stores no such thing."""

    run: RunContext
    scopes: dict[TopicId, Scope]
    dry: bool
    forgotten: Mapping[TopicId, Collection[Choice]] = field(default_factory=dict)

    def note_sweep(self) -> None:
        """Everybody was read."""
        self.scopes = {topic: replace(scope, swept=True) for topic, scope in self.scopes.items()}
        self._save()

    def weigh(self, tally: Tally, people: int, *, approve: bool) -> str | None:
        """Why the mapping's changes wait for an operator; None where they do not."""
        changed = {topic: scope.change for topic, scope in self.scopes.items() if scope.change}
        if not changed:
            return None
        texts = [f"'{topic}' {change}; {_effect(tally, topic)}" for topic, change in changed.items()]
        if is_mass(len(tally.remapped), people) and not approve:
            if not self.dry:
                self.run.health.unapproved |= changed.keys()
            return (
                f"mapping: its change would write {len(tally.remapped)} of {people} people, more than "
                f"{CHANGE_MAX} and more than {CHANGE_SHARE:.0%} ({'. '.join(texts)}). {_WAIT}"
            )
        if not self.dry:
            trials = self.run.state.facts.trial_since or {}
            self.run.state.facts.trial_since = {
                topic: at for topic, at in trials.items() if topic not in changed
            }
        for text in texts:
            self.run.health.warn(f"mapping: {text}")
        if any(self.scopes[topic].epoch is not None for topic in changed):
            self.run.health.warn(_HELD)
        if all(self.scopes[topic].swept for topic in changed):  # else more of it may come to light
            self.scopes = {topic: replace(scope, change="") for topic, scope in self.scopes.items()}
            self._save()
        return None

    def _save(self) -> None:
        if not self.dry:
            self.run.state.facts.scopes = Scopes(self.run.mapping.digest, self.scopes)


def _effect(tally: Tally, topic: TopicId) -> str:
    """What a changed topic writes, in words."""
    words = [
        f"opts {'out' if out else 'in'} {number} people at {side}"
        for (changed, side, out), number in sorted(tally.changes.items())
        if changed == topic
    ]
    return f"this {' and '.join(words)}" if words else "this writes nothing"


def is_new_mapping(run: RunContext) -> bool:
    """Whether people were last read by another mapping."""
    before = run.state.facts.mapping_digest
    return before is not None and before != run.mapping.digest


def apply_mapping(run: RunContext, renewed: Collection[TopicId], *, dry: bool) -> TopicScopes:
    """Find out what the mapping changes since the last run. Where it changes anything, everybody is read and
    decided again, and what was read or agreed about something else is forgotten. `renewed` are topics whose
    counterpart was gone and exists again."""
    facts = run.state.facts
    stored = facts.scopes
    known = _scopes_before(run) if stored is None else stored.topics
    is_same = stored is not None and stored.mapping == run.mapping.digest
    changes = [] if is_same and not renewed else scope_changes(known, run.mapping, renewed)
    began = earliest_now(run.clock_offsets(), run.started_at)
    after = scopes_after(known, changes, run.mapping, began)
    if changes or facts.mapping_digest != run.mapping.digest:
        _forget(run, known, changes, dry=dry)
    if stored != after and not dry:
        facts.scopes = after
    forgotten = {change.topic: change.forgotten for change in changes} if dry else {}
    for change in changes:
        if run.mapping.topic(change.topic) is None:
            run.health.warn(f"mapping: '{change.topic}' {change.what}")
    return TopicScopes(run, dict(after.topics), dry, forgotten)


def unapproved(state: StorePort, mapping: ConsentMapping, topics: Collection[TopicId]) -> set[TopicId]:
    """Those of these topics whose change of the mapping no run has let through yet."""
    stored = state.facts.scopes
    if stored is None:
        return set()
    now = {topic.id: Scope.of(topic, mapping) for topic in mapping.all if topic.id in topics}
    return {
        topic
        for topic, scope in now.items()
        if (known := stored.topics.get(topic)) is None or known.change or not known.is_same(scope)
    }


def topics_to_keep(state: StorePort, mapping: ConsentMapping) -> list[TopicId]:
    """Those topics of a saved plan whose reads belong in this state DB: by what it was read for so far, they
    are mapped to the same. In a new one it is noted what they are mapped to."""
    now = {topic.id: names_of(topic) for topic in mapping.all}
    known = state.facts.read_names
    if known is None:
        state.facts.read_names = known = now
    return [topic for topic, names in now.items() if known.get(topic) == names]


def _scopes_before(run: RunContext) -> dict[TopicId, Scope]:
    """The scopes where none are stored: in a new state DB, or one of an earlier version, which kept only the
    names of its topics."""
    mapped = run.state.facts.mapped_topics
    return {
        topic.id: Scope.of(topic, run.mapping)
        for topic in run.mapping.all
        if mapped is None or topic.id in mapped
    }


def _forget(
    run: RunContext, known: Mapping[TopicId, Scope], changes: Sequence[ScopeChange], *, dry: bool
) -> None:
    """Decide everybody again, without what was read or agreed about something else. A dry run forgets no
    agreement, but reads as the mapping says, and so has the next run read everybody again."""
    facts = run.state.facts
    read: Mapping[TopicId, Names] = facts.read_names or {topic: scope.names for topic, scope in known.items()}
    now = {topic.id: names_of(topic) for topic in run.mapping.all}
    agreed = {} if dry else {change.topic: change.forgotten for change in changes}
    trials = dict(facts.trial_since or {})
    resets = [
        TopicReset(topic, _moved(read.get(topic), names), tuple(agreed.get(topic, ())), trials.get(topic))
        for topic, names in now.items()
    ]
    body = {"changes": {change.topic: change.what for change in changes}, "mapping": run.mapping.digest}
    run.state.cells.remap(
        list(now),
        run=run.id,
        resets=[reset for reset in resets if reset.unseen or reset.choices],
        ledger=[LedgerEntry("mapping", body)] if changes and not dry else [],
    )
    if facts.mapping_digest is not None:
        facts.sweep_due = "mapping"
    waiting = {change.topic for change in changes} | {topic for topic in known if known[topic].change}
    moved = {reset.topic: run.now() for reset in resets if reset.unseen}
    facts.trial_since = {topic: at for topic, at in {**trials, **moved}.items() if topic in waiting}
    facts.read_names = {**read, **now}
    facts.mapping_digest = run.mapping.digest


def _moved(read: Names | None, now: Names) -> tuple[Side, ...]:
    """The sides at which a topic was read as something else."""
    return () if read is None else tuple(side for side in Side if read[side] != now[side])
