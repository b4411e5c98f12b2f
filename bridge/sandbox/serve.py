"""The sandbox as a long-running process: both services, and people who act when asked to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from types import FrameType
from typing import Any, TextIO

from bridge.sandbox.mypreferences.delivery import WebhookSender
from bridge.sandbox.population import Population
from bridge.sandbox.world import ACT_PATH, World

_STOPPING = (signal.SIGINT, signal.SIGTERM)


def serve(
    people: int,
    seed: int,
    mypreferences_port: int,
    dotdigital_port: int,
    out: TextIO,
    *,
    stop: threading.Event | None = None,
) -> int:
    """Serve both services until SIGINT, SIGTERM or `stop`; returns the exit code, 0. Writes to `out` where
    they are and how to use them.

    Raises OSError for a port that is taken, ValueError for fewer than 20 people.
    """
    stop = stop or threading.Event()
    world = World(people, seed, mypreferences_port, dotdigital_port)
    population = Population(world, seed)
    population.create()
    world.clock.set(datetime.now(UTC))
    acting = threading.Lock()

    def act(count: int) -> list[dict[str, Any]]:
        # This world runs in real time: a bridge beside it keeps the same time.
        with acting:
            return [asdict(one) for one in population.act(count, pause=0)]

    world.acting = act
    with _stopping(stop), world, WebhookSender(world.mypreferences.deliveries):
        out.write(guide(world))
        out.flush()
        stop.wait()
        out.write("The sandbox has stopped.\n")
        out.flush()
    return 0


def guide(world: World) -> str:
    """Where both services are, what to export, and how to act as the people of the sandbox."""
    own = {"BRIDGE_DATABASE_URL": "sqlite:///sandbox.db", "BRIDGE_ERASURE_KEY": "a-word-for-the-sandbox"}
    settings = {**world.settings(), **own}
    exports = "\n".join(f"export {name}='{value}'" for name, value in settings.items())
    mine, theirs = world.mypreferences_url, world.dotdigital_url
    return f"""\
The sandbox is up, with {world.people} people (seed {world.seed}).
  MyPreferences  {mine}
  Dotdigital     {theirs}

Point a bridge at it:
{exports}

Let ten people act at either side:
  curl -X POST {mine}{ACT_PATH} -d '{{"count": 10}}'
See what is really recorded there:
  curl {mine}/_sandbox/people
  curl {theirs}/_sandbox/people
Count the API calls, or start counting again:
  curl {mine}/_sandbox/calls
  curl -X POST {theirs}/_sandbox/calls/reset
Make the next listing fail once:
  curl -X POST {theirs}/_sandbox/faults -d '{{"operation": "getContacts", "kind": "status", "status": 503}}'

Have each change delivered to a `bridge run` as a webhook:
  export BRIDGE_WEB__HOOK_SECRET='any-long-random-word'
  bridge run &
  bridge hooks create --url http://127.0.0.1:8080 --active

Ctrl-C ends it; nothing is kept.
"""


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Let the signals that end a process set `stop`. Elsewhere than in the main thread they are not ours."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ended(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    before = {number: signal.signal(number, ended) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
