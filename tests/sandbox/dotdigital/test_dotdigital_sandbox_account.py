"""The account: sign-in, region, clock, limits, faults, and the control surface."""

from __future__ import annotations

import base64
from datetime import datetime

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.server import Server
from tests.waiting import wait_until


def test_account_info_names_this_server_with_a_trailing_slash(http: httpx.Client, server: Server) -> None:
    """Accounts v2: every property value is a string."""
    found = http.get("/v2/account-info").json()
    values = {row["name"]: row["value"] for row in found["properties"]}
    assert values["ApiEndpoint"] == server.url + "/"
    assert all(isinstance(value, str) for value in values.values())


def test_account_info_names_a_configured_endpoint(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.api_endpoint = "https://r3-api.dotdigital.com/"
    values = {row["name"]: row["value"] for row in http.get("/v2/account-info").json()["properties"]}
    assert values["ApiEndpoint"] == "https://r3-api.dotdigital.com/"


def test_a_wrong_region_refuses_all_but_account_info(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.region = "wrong"
    assert http.get("/v2/account-info").status_code == 200
    refused = http.get("/v2/preferences")
    assert refused.status_code == 403
    assert "Access is denied" in refused.text


def test_server_time_and_date_header_are_the_sandbox_clock(
    http: httpx.Client, state: DotdigitalState
) -> None:
    """Accounts v2 server-time: text/plain, space separator, six fraction digits."""
    state.clock.advance(86400)
    answer = http.get("/v2/server-time")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text[10] == " "
    assert len(answer.text.split(".")[1]) == len("000000+00:00")
    assert datetime.fromisoformat(answer.text) == state.clock.now()
    assert answer.headers["date"] == "Mon, 02 Mar 2026 12:00:00 GMT"


def test_a_wrong_password_is_401_in_both_frameworks(http: httpx.Client, server: Server) -> None:
    with httpx.Client(base_url=server.url, auth=("unknown", "wrong"), trust_env=False) as stranger:
        v2, v3 = stranger.get("/v2/preferences"), stranger.get("/contacts/v3")
    assert v2.status_code == v3.status_code == 401
    assert v2.json() == {"message": "Authorization has been denied for this request."}
    assert v3.content == b""
    assert httpx.get(server.url + "/v2/preferences", trust_env=False).status_code == 401


@pytest.mark.parametrize(("position", "v2_status"), [("accepted", 200), ("refused", 401)])
def test_untrimmed_credentials_fail_on_v3(
    server: Server, state: DotdigitalState, position: str, v2_status: int
) -> None:
    """An untrimmed credential was seen to work on v2 and to fail on v3."""
    state.switches.untrimmed_credentials_on_v2 = position
    pair = f" {state.api_user.username}:{state.api_user.password}\n"
    headers = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as untrimmed:
        assert untrimmed.get("/v2/preferences").status_code == v2_status
        assert untrimmed.get("/contacts/v3").status_code == 401


@pytest.mark.parametrize("token", ["%%%", base64.b64encode(b"nocolon").decode(), "/w=="])
def test_a_malformed_authorization_is_401(server: Server, token: str) -> None:
    headers = {"authorization": f"Basic {token}"}
    answer = httpx.get(server.url + "/v2/preferences", headers=headers, trust_env=False)
    assert answer.status_code == 401


def test_tiered_limits_carry_headers_and_answer_429(http: httpx.Client, state: DotdigitalState) -> None:
    """Call rate limits page: limit, remaining, reset, scope; windows of a minute."""
    state.switches.rate_limits, state.switches.limit_medium = "tiered", 2
    first, second, third = (http.get("/v2/preferences") for _ in range(3))
    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert first.headers["x-ratelimit-limit"] == "2"
    assert first.headers["x-ratelimit-remaining"] == "1"
    assert third.headers["x-ratelimit-remaining"] == "0"
    assert third.headers["x-ratelimit-scope"] == "mediumCallRate"
    assert int(third.headers["x-ratelimit-reset"]) == int(state.now().timestamp()) + 60
    assert http.get("/v2/server-time").status_code == 200, "another tier has its own counter"
    state.clock.advance(60)
    assert http.get("/v2/preferences").status_code == 200


@pytest.mark.parametrize(
    ("form", "value"),
    [("epoch_milliseconds", 1772366460000), ("seconds_from_now", 60), ("epoch_seconds", 1772366460)],
)
def test_the_reset_header_has_three_forms(
    http: httpx.Client, state: DotdigitalState, form: str, value: int
) -> None:
    state.switches.rate_limits, state.switches.reset_form = "tiered", form
    assert int(http.get("/v2/preferences").headers["x-ratelimit-reset"]) == value


def test_other_integrations_can_use_up_the_quota(http: httpx.Client, state: DotdigitalState) -> None:
    """Limits are the account's, shared by all its integrations."""
    state.switches.rate_limits = "tiered"
    state.use_elsewhere("low", 35)
    assert http.get("/v2/contacts/suppressed-since/2026-01-01").status_code == 429


def test_the_flat_limit_is_a_400_over_a_rolling_hour(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.rate_limits, state.switches.limit_flat = "flat", 1
    assert http.get("/v2/preferences").status_code == 200
    refused = http.get("/v2/preferences")
    assert refused.status_code == 400
    assert "ERROR_APIUSAGE_EXCEEDED" in refused.json()["message"]
    state.clock.advance(3600)
    assert http.get("/v2/preferences").status_code == 200


def test_unknown_paths_and_methods_are_refused_and_counted(
    http: httpx.Client, state: DotdigitalState
) -> None:
    assert http.get("/v2/nothing").status_code == 404
    refused = http.patch("/v2/preferences")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
    refused = http.get("/v2/contacts/unsubscribe")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert state.calls.count("unknown") == 3


def test_a_line_break_in_a_path_is_refused_in_the_vendors_words(http: httpx.Client) -> None:
    refused = http.get("/v2/contacts/a%0Ab@example.com/preferences")
    assert refused.status_code == 404
    assert "ERROR_CONTACT_NOT_FOUND" in refused.json()["message"]


@pytest.mark.parametrize("kind", ["reset", "reset_after", "timeout_after", "truncate"])
def test_connection_faults_reach_the_caller(http: httpx.Client, state: DotdigitalState, kind: str) -> None:
    contact_id = state.add_contact("ann@example.com")
    state.faults.add(InjectedFault("unsubscribe-contact", kind))
    with pytest.raises(httpx.TransportError):
        http.post("/v2/contacts/unsubscribe", json={"email": "ann@example.com"})
    applied = _settles(state, contact_id) if kind != "reset" else state.contact(contact_id).status
    assert applied == ("Subscribed" if kind == "reset" else "Unsubscribed")


def test_a_status_after_is_applied_all_the_same(http: httpx.Client, state: DotdigitalState) -> None:
    contact_id = state.add_contact("ann@example.com")
    state.faults.add(InjectedFault("unsubscribe-contact", "status_after", status=503))
    assert http.post("/v2/contacts/unsubscribe", json={"email": "ann@example.com"}).status_code == 503
    assert state.contact(contact_id).status == "Unsubscribed"
    assert state.calls.count("unsubscribe-contact") == 1


def test_the_control_surface_needs_no_sign_in_and_is_not_counted(
    server: Server, state: DotdigitalState
) -> None:
    state.add_contact("ann@example.com")
    with httpx.Client(base_url=server.url, trust_env=False) as control:
        assert control.get("/_sandbox/people").json()[0]["email"] == "ann@example.com"
        assert control.get("/_sandbox/switches").json()["put_preferences"] == "merge"
        assert control.patch("/_sandbox/switches", json={"put_preferences": "replace"}).status_code == 200
        control.post("/_sandbox/clock", json={"advance": 5})
        assert control.get("/_sandbox/calls").json()["total"] == 0
    assert state.switches.put_preferences == "replace"


def test_a_bad_switch_is_refused_with_the_nearest_and_changes_nothing(
    server: Server, state: DotdigitalState
) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as control:
        misspelt = control.patch("/_sandbox/switches", json={"put_preference": "replace"})
        mixed = control.patch("/_sandbox/switches", json={"feed_lag_seconds": 5, "put_preferences": "mergee"})
    assert misspelt.status_code == mixed.status_code == 400
    assert "'put_preferences'" in misspelt.json()["error"]
    assert "'merge'" in mixed.json()["error"]
    assert state.switches.feed_lag_seconds == 0


def _settles(state: DotdigitalState, contact_id: int) -> str:
    """The status once the server, cut off from its caller, has had time to apply."""
    wait_until(lambda: state.contact(contact_id).status != "Subscribed", "it is applied")
    return state.contact(contact_id).status


@pytest.mark.parametrize("path", ["/v2/campaigns", "/v2/address-books"])
def test_what_a_bridge_has_no_use_for_is_read_by_a_user_with_surplus_rights_only(
    http: httpx.Client, state: DotdigitalState, path: str
) -> None:
    assert http.get(path, params={"select": 1}).status_code == 403
    state.switches.surplus_rights = True
    answer = http.get(path, params={"select": 1})
    assert (answer.status_code, type(answer.json())) == (200, list)
    assert http.get("/v2/preferences").status_code == 200
