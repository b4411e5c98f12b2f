"""The MyPreferences sandbox in its own process, with that many people: `service_process.py PEOPLE`.
Prints its URL, and ends when its standard input is closed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from bridge.sandbox.mypreferences import MyPreferencesState, create_app
from bridge.sandbox.server import Server


def main(people: int) -> None:
    state = MyPreferencesState()
    chosen_at = datetime(2025, 6, 1, 12, tzinfo=UTC)
    for number in range(people):
        state.add_profile(
            [("Primary", f"person-{number}@example.com")],
            preferences={"NEWS_EMAIL": (number % 3 > 0, chosen_at)},
        )
    with Server(create_app(state)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
