"""Random histories of people, bounces, deletions, restored opt-ins, refusals and kills: no opt-out that was
seen is lost (I2) or raised over (I1)."""

from __future__ import annotations

from dataclasses import replace

from core_cells import DD, MP, TOPIC
from hypothesis import event, given, settings
from hypothesis import strategies as st
from latch_world import Answer, RoughEngine, RoughWorld

from bridge.core.decision import Rule
from bridge.core.mapping import Conflict
from bridge.core.model import Choice, Side
from tests.sizes import size

IN, OUT = Choice.OPTED_IN, Choice.OPTED_OUT
STATES = ["hides", "goes", "comes back", "shows an undated opt-in", "gets an old opt-in back", *Answer]
DAY = 86_400

sides = st.sampled_from(list(Side))
acts = st.one_of(
    st.tuples(st.just("say"), sides, st.sampled_from([IN, OUT, OUT])),
    st.tuples(st.just("happen"), sides, st.sampled_from(STATES)),
    st.tuples(st.just("happen"), st.just(DD), st.just("is made mailable")),
    st.tuples(st.just("run"), st.one_of(st.none(), st.integers(1, 14))),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 3.0, 600.0, float(DAY)])),
)
histories = st.lists(acts, max_size=20)


def live(world: RoughWorld, happened: list[tuple[object, ...]]) -> RoughEngine:
    """Both sides are opted in and agree; then all this happens."""
    engine = RoughEngine(world)
    for side in Side:
        world.say(side, IN)
    engine.run()
    for one in happened:
        match one:
            case "say", Side() as side, Choice() as choice:
                world.say(side, choice)
            case "happen", Side() as side, str() as what:
                world.happen(side, what)
            case "run", kill_at:
                engine.run(kill_at)  # type: ignore[arg-type]
            case "pass", float(seconds):
                world.wait(seconds)
    return engine


def settle(engine: RoughEngine) -> None:
    """Both sides take writes again, and nobody acts."""
    for there in engine.world.sides.values():
        there.answer = Answer.TAKEN
    for _ in range(6):
        engine.world.wait(DAY)
        engine.run()


@settings(max_examples=size(1_000, 100_000))
@given(st.sampled_from(list(Conflict)), histories)
def test_no_opt_out_that_was_seen_is_lost_or_raised_over(policy: Conflict, happened: list) -> None:
    world = RoughWorld(replace(TOPIC, conflict=policy))
    engine = live(world, happened)
    seen = set(world.seen_out)
    settle(engine)
    assert world.breaches == []
    still = [out for out in seen if not world.is_ended(out)]
    opted_in = {side for side in Side if engine.cell.seen[side].opted_in}
    left_to_operator = engine.cell.hold is not None and engine.cell.hold.reason == Rule.CONFLICT
    if still:
        event("an opt-out stands")
        assert not opted_in or left_to_operator, engine.cell
    if not engine.cell.hold:
        assert not engine.dirty


def test_an_opt_out_outlives_a_refusal_a_kill_and_a_bounce() -> None:
    """One such history, by hand."""
    world = RoughWorld()
    happened = [
        ("happen", MP, Answer.REFUSED),
        ("say", DD, OUT),
        ("run", None),
        ("run", 7),
        ("happen", DD, "hides"),
        ("run", None),
    ]
    engine = live(world, happened)
    assert engine.cell.seen[MP].opted_in
    settle(engine)
    assert engine.cell.seen[MP].opted_out
    assert engine.cell.hold is None
