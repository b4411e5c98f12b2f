"""Calls stay fast with a hundred thousand contacts."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState


@pytest.mark.slow
def test_a_hundred_thousand_people_are_read_whole_by_both_frameworks(
    http: httpx.Client, state: DotdigitalState
) -> None:
    news = state.define_preference(name="News")
    when = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(100_000):
        status = "Unsubscribed" if number % 10 == 0 else "Subscribed"
        state.add_contact(f"p{number}@example.com", status, {news: (number % 2 == 0, when)}, when=when)
    listed, marker = 0, None
    while True:
        query = {"include": "channelProperties|preferences"} | ({"marker": marker} if marker else {})
        page = http.get("/contacts/v3", params=query).json()
        listed += len(page["_items"])
        if "next" not in page["_links"]:
            break
        marker = page["_links"]["next"]["marker"]
    assert listed == 100_000
    path = "/v2/contacts/suppressed-since/2026-01-01"
    pages = [http.get(path, params={"skip": skip}).json() for skip in range(0, 11_000, 1000)]
    assert len({row["suppressedContact"]["id"] for page in pages for row in page}) == 10_000
    assert pages[-1] == []
