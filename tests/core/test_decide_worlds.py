"""decide() in a loop, as an engine would: random words on both sides, clocks that differ, reads that fail or
come late, answers that are lost. What must hold: invariants I1, I2, I4, and that fresh opt-ins arrive."""

from __future__ import annotations

from dataclasses import replace

from core_cells import DD, MP, TOPIC
from core_world import Engine, Mishaps, World
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bridge.core.mapping import Conflict, Direction
from bridge.core.model import Choice, Side

IN, OUT = Choice.OPTED_IN, Choice.OPTED_OUT
QUIET_RUNS = 5

sides = st.sampled_from(list(Side))
words = st.tuples(sides, st.sampled_from([IN, OUT]))
policies = st.sampled_from(list(Conflict))
clocks_off = st.fixed_dictionaries({side: st.sampled_from([-1.0, 0.0, 1.0]) for side in Side})
gaps = st.sampled_from([0.0, 0.5, 3.0, 60.0, 900.0])


def mishaps(answers_get_lost: bool) -> st.SearchStrategy[Mishaps]:
    lost = st.booleans() if answers_get_lost else st.just(False)
    return st.builds(
        Mishaps,
        unread=st.frozensets(sides, max_size=1),
        unknown=lost,
        lost=lost,
        racing=st.one_of(st.none(), words),
    )


def histories(answers_get_lost: bool = True) -> st.SearchStrategy[list[tuple[str, object]]]:
    return st.lists(
        st.one_of(
            st.tuples(st.just("say"), words),
            st.tuples(st.just("pass"), gaps),
            st.tuples(st.just("run"), mishaps(answers_get_lost)),
            st.tuples(st.just("begin"), sides),
            st.tuples(st.just("deliver"), st.none()),
        ),
        max_size=25,
    )


def live(world: World, happened: list[tuple[str, object]]) -> Engine:
    """What happened, one after the other. At a side without dates, an opt-out that was an
    opt-in for a while between two runs cannot be noticed: there each choice gets a run of its own."""
    engine = Engine(world)
    for what, detail in happened:
        match what, detail:
            case "say", (Side() as side, Choice() as choice):
                world.say(side, choice)
                if side is DD and not world.dated:
                    engine.run()
            case "pass", float(seconds):
                world.wait(seconds)
            case "run", Mishaps() as gone_wrong:
                unnoticed = gone_wrong.racing is not None and gone_wrong.racing[0] is DD and not world.dated
                engine.run(replace(gone_wrong, racing=None) if unnoticed else gone_wrong)
            case "begin", Side() as side:
                engine.begin_read(side)
            case _:
                engine.deliver()
    return engine


def settle(engine: Engine) -> list[int]:
    """Quiet runs: nobody acts, all is read, every answer comes. How many writes each sent."""
    engine.deliver()
    writes = []
    for _ in range(QUIET_RUNS):
        engine.world.wait(60)
        writes.append(engine.run())
    return writes


def opted_in(world: World) -> set[Side]:
    return {side for side, held in world.held.items() if held is not None and held.choice is IN}


def check_promises(engine: Engine) -> None:
    writes = settle(engine)
    assert engine.breaches == []  # I1
    assert writes[2:] == [0] * (QUIET_RUNS - 2), writes  # I4: quiet within two runs, and quiet for good
    said = engine.world.said
    if said and said[-1][1].choice is OUT:  # I2: the last word was no
        event("the last word was no")
        assert not opted_in(engine.world) or engine.held_back


@settings(max_examples=400)
@given(policies, clocks_off, histories())
def test_no_withdrawal_is_lost_or_undone_where_both_sides_date_their_words(policy, off, happened) -> None:
    world = World(replace(TOPIC, conflict=policy), clocks_off=off)
    check_promises(live(world, happened))


@settings(max_examples=250)
@given(policies, clocks_off, histories(answers_get_lost=False))
def test_no_withdrawal_is_lost_or_undone_where_one_side_gives_no_dates(policy, off, happened) -> None:
    world = World(replace(TOPIC, conflict=policy), dated=False, clocks_off=off)
    check_promises(live(world, happened))


@settings(max_examples=150)
@given(policies, st.sampled_from([Direction.TO_DOTDIGITAL, Direction.TO_MYPREFERENCES]), histories())
def test_a_one_way_mapping_writes_one_side_only_and_keeps_every_promise(policy, direction, happened) -> None:
    world = World(replace(TOPIC, conflict=policy, direction=direction))
    engine = live(world, happened)
    check_promises(engine)
    written = {side for side, held in world.held.items() if held is not None and held.own}
    assert all(direction.allows(side) for side in written)


@settings(max_examples=150)
@given(policies, clocks_off, st.lists(words, min_size=1, max_size=8))
def test_what_is_said_last_holds_at_both_sides_when_there_is_time_between(policy, off, told) -> None:
    world = World(replace(TOPIC, conflict=policy), clocks_off=off)
    engine = Engine(world)
    for side, choice in told:
        world.wait(600)
        world.say(side, choice)
        settle(engine)
    last = told[-1][1]
    silent = {side for side in Side if world.held[side] is None}
    assert {held.choice for held in world.held.values() if held is not None} == {last}
    assert silent <= ({DD} if last is OUT else set())  # never asked for at Dotdigital is not opted in
    assert engine.breaches == []


@given(policies, histories())
def test_the_same_history_ends_the_same(policy, happened) -> None:
    ends = [live(World(replace(TOPIC, conflict=policy)), happened) for _ in range(2)]
    assert ends[0].cell == ends[1].cell
    assert ends[0].world.held == ends[1].world.held


def test_a_late_read_of_an_old_yes_raises_nobody() -> None:
    """The story behind the stale guard: the answer to an old read comes after our own write."""
    world = World()
    engine = Engine(world)
    world.say(MP, IN)
    settle(engine)
    engine.begin_read(DD)  # still opted in there
    world.wait(60)
    world.say(MP, OUT)
    assert engine.run() == 1
    engine.deliver()
    assert settle(engine) == [0] * QUIET_RUNS
    assert opted_in(world) == set()


def test_a_word_that_proves_our_lost_write_keeps_its_own_date() -> None:
    """Our withdrawal was lost; the person's own, later one is read back in its place. An opt-in said
    between the two is not newer than it."""
    world = World(replace(TOPIC, conflict=Conflict.LATEST))
    engine = Engine(world)
    world.say(DD, OUT)
    engine.run(Mishaps(lost=True))
    world.wait(600)
    world.say(MP, IN)
    between = world.now
    world.wait(600)
    world.say(MP, OUT)
    engine.run(Mishaps(unread=frozenset({DD})))
    world.held[DD] = replace(world.said[1][1], at=between)  # that opt-in comes from Dotdigital, late
    settle(engine)
    assert opted_in(world) == set()
