"""Signing in to the MyPreferences sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from mp_site import ADDRESS, Site

from bridge.sandbox.mypreferences.account import CLIENT_ID, CLIENT_SECRET

FORM = {"grant_type": "client_credentials", "scope": "ACME_Corp/bridge"}


def test_credentials_are_taken_as_basic_and_in_the_body(site: Site) -> None:
    """MyPreferences OAuth 2.0 client credentials."""
    basic = site.http.post("/oauth2/v1/token", data=FORM, auth=(CLIENT_ID, CLIENT_SECRET))
    body = site.http.post(
        "/oauth2/v1/token", data={**FORM, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    )
    for answer in (basic, body):
        assert answer.json()["token_type"] == "Bearer"
        assert answer.json()["expires_in"] == 300
        assert answer.json()["access_token"].count(".") == 2
    assert (len(CLIENT_ID), len(CLIENT_SECRET)) == (48, 64)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"scope": "ACME_Corp/nobody"}, 400, "invalid_scope"),
        ({"scope": "Other/bridge"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
    ],
)
def test_a_wrong_token_request_gets_an_rfc_6749_error(
    site: Site, change: dict[str, str], status: int, error: str
) -> None:
    form = {**FORM, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **change}
    answer = site.http.post("/oauth2/v1/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_token_stops_working_when_it_expires_by_the_sandbox_clock(site: Site, ann: int) -> None:
    site.state.clock.advance(299)
    assert site.call("GET", f"Profile/{ann}").status_code == 200
    site.state.clock.advance(2)
    assert site.call("GET", f"Profile/{ann}").status_code == 401
    site.sign_in()
    assert site.call("GET", f"Profile/{ann}").status_code == 200


def test_revoked_tokens_stop_working_at_once(site: Site, ann: int) -> None:
    site.state.access.revoke_tokens()
    assert site.call("GET", f"Profile/{ann}").status_code == 401


def test_a_reused_token_comes_back_with_the_seconds_that_remain(site: Site) -> None:
    site.state.switches.token_reuse = True
    site.state.clock.advance(100)
    answer = site.http.post("/oauth2/v1/token", data=FORM, auth=(CLIENT_ID, CLIENT_SECRET)).json()
    assert answer["expires_in"] == 200
    assert f"Bearer {answer['access_token']}" == site.http.headers["Authorization"]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "Missing Authorization"),
        ("Bearer nonsense", "Unable to authenticate"),
        ("Magic nonsense", "PNAUTHINFO3-HMAC-SHA265"),
    ],
)
def test_a_401_names_its_cause_and_challenges(site: Site, header: str | None, words: str) -> None:
    """MyPreferences overview, authorization errors."""
    del site.http.headers["Authorization"]
    if header is not None:
        site.http.headers["Authorization"] = header
    answer = site.call("GET", "Programs")
    assert answer.status_code == 401
    assert words in answer.json()["Message"]
    assert answer.headers["www-authenticate"].startswith("PNAUTHINFO3 realm=")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_an_unknown_account_is_a_404_without_a_body(site: Site) -> None:
    answer = site.http.get("/Profiles/v4/Nobody_Inc/Programs")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("path", ["ProgramGroups", "GroupTypes", "AddressTypes"])
def test_what_a_bridge_has_no_use_for_is_read_by_a_user_with_surplus_rights_only(
    site: Site, path: str
) -> None:
    site.state.switches.surplus_rights = False
    assert site.call("GET", path).status_code == 403
    assert site.call("GET", "Programs").status_code == 200
    site.state.switches.surplus_rights = True
    assert site.call("GET", path).status_code == 200


def test_a_forbidden_operation_is_a_403_until_it_is_permitted(site: Site, ann: int) -> None:
    site.state.forbidden.add("retrieveProfileById")
    answer = site.call("GET", f"Profile/{ann}")
    assert (answer.status_code, list(answer.json())) == (403, ["Message"])
    site.state.forbidden.discard("retrieveProfileById")
    assert site.call("GET", f"Profile/{ann}").status_code == 200


def test_routes_and_property_names_are_bound_without_regard_to_case(site: Site, ann: int) -> None:
    """ASP.NET habit: case-insensitive routes, query names and JSON input; PascalCase out."""
    entry = {"filterid": "news_email", "PREFERENCETYPE": 2}
    email = {"emailaddress": ADDRESS.upper(), "emailPreferences": [entry], "notInTheSpecification": 1}
    answer = site.http.post(f"/profiles/V4/acme_corp/pROFILE/preferences/{ann}", json={"emails": [email]})
    assert answer.status_code == 200
    found = site.http.get(
        "/PROFILES/v4/ACME_Corp/profile/email", params={"EMAILADDRESS": f" {ADDRESS.upper()} "}
    )
    stored: dict[str, Any] = found.json()[0]["Emails"][0]["EmailPreferences"][0]
    assert (stored["FilterId"], stored["PreferenceType"]) == ("NEWS_EMAIL", 2)


def test_an_unserved_method_is_a_405_and_an_unserved_path_a_404(site: Site) -> None:
    assert site.call("PATCH", "Programs").status_code == 405
    assert site.call("GET", "Nothing/at/all").status_code == 404
