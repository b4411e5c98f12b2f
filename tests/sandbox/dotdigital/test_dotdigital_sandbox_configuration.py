"""The configuration service (v3): the custom identifiers of the account."""

from __future__ import annotations

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

PATH = "/configuration/v3/customIdentifiers"


@pytest.mark.parametrize(("position", "status"), [("there", 200), ("forbidden", 403), ("absent", 404)])
def test_the_configuration_service_may_be_missing(
    http: httpx.Client, state: DotdigitalState, position: str, status: int
) -> None:
    state.switches.configuration = position
    state.define_identifier("profile")
    answer = http.get(PATH)
    assert answer.status_code == status
    assert ("profile" in answer.text) is (status == 200)
    assert http.get("/contacts/v3").status_code == 200, "it is a service of its own"
