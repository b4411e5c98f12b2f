"""What Ctrl-C says about a run that it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.cli.output import ExitCode, join_words, plural
from bridge.core.errors import BridgeError
from bridge.core.store_values import AttemptState

if TYPE_CHECKING:
    from bridge.app import App

_UNKNOWN = (AttemptState.BEGUN, AttemptState.IN_DOUBT)


class Interrupted(BridgeError):
    """Ctrl-C ended a command. The hint says what was done, and how to go on."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, hint: str = "Repeat the command to continue. What was done stays.") -> None:
        super().__init__("Interrupted.", hint=hint)


@contextmanager
def explained(app: App) -> Iterator[None]:
    """Raises Interrupted in place of KeyboardInterrupt, with what the run did until then."""
    before = app.store.runs.last(1)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(_what_was_done(app, {run.id for run in before})) from None


def _what_was_done(app: App, before: set[str]) -> str:
    last = app.store.runs.last(1)
    if not last or last[0].id in before:
        return "Nothing was begun."
    states = app.store.attempts.states_of(last[0].id)
    done, unknown = states.get(AttemptState.DONE, 0), sum(states.get(one, 0) for one in _UNKNOWN)
    parts = [f"{plural(done, 'write was', 'writes were')} sent and verified"]
    if unknown:
        parts.append(f"{plural(unknown, 'write was', 'writes were')} begun and not verified")
    if rest := sum(states.values()) - done - unknown:
        parts.append(f"{rest:,} failed")
    again = (
        "The next run reads the unverified ones back, then goes on." if unknown else "The next run goes on."
    )
    return f"Run {last[0].id}: {join_words(parts)}. Nothing is lost. {again}"
