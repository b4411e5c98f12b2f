"""Many people, one by one: how a side without bulk calls fills the bulk half of its port."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bridge.core.errors import SideError, Throttled, Unreachable, Verdict
from bridge.core.model import Who
from bridge.core.ports import Page, PersonView, WriteRequest, WriteResponse

PAGE = 100  # people a page


def read_each(look: Callable[[Who], PersonView], people: Sequence[Who]) -> Iterator[Page]:
    """`ReadReplica.look_many` by a look at each."""
    for at in range(0, len(people), PAGE):
        found: list[PersonView] = []
        unread = 0
        for who in people[at : at + PAGE]:
            try:
                found.append(look(who))
            except SideError as error:
                if error.verdict is not Verdict.HOLD:
                    raise
                unread += 1
        yield Page(views=found, unread=unread)


def write_each(
    write: Callable[[WriteRequest], WriteResponse],
    requests: Sequence[WriteRequest],
    heartbeat: Callable[[], None],
) -> list[WriteResponse | SideError]:
    """`Replica.write_many` by a write for each. What stops the side stops the rest, which were not sent."""
    results: list[WriteResponse | SideError] = []
    stopped: SideError | None = None
    for request in requests:
        if stopped is not None:
            results.append(stopped)
            continue
        heartbeat()
        try:
            results.append(write(request))
        except SideError as error:
            results.append(error)
            if error.verdict is Verdict.STOP or isinstance(error, Unreachable | Throttled):
                stopped = error
    return results
