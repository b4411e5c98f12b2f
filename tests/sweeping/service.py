"""MyPreferences emulated in a process of its own, with as many people as asked for: `service.py PEOPLE`.
Prints its address, and ends with its standard input."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from bridge.sandbox.mypreferences import MyPreferencesState, create_app
from bridge.sandbox.server import Server


def main(people: int) -> None:
    state = MyPreferencesState()
    said = datetime(2025, 6, 1, 12, tzinfo=UTC)
    for number in range(people):
        state.add_profile(
            [("Primary", f"person-{number}@example.com")],
            preferences={"NEWS_EMAIL": (number % 3 > 0, said)},
        )
    with Server(create_app(state)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
