"""Signed requests at the MyPreferences sandbox: what is checked, in which order, and in which words."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from mp_site import NOON, Site

from bridge.sandbox.mypreferences import AccountUser, MyPreferencesState, sample_config
from bridge.sandbox.mypreferences.account import API_HASH_KEY

ACCOUNT = "ACME_Corp"
SCHEME, DATE, FAR = "The scheme is invalid", "should not be in the future", "too far from now"
GENERIC = "Unable to authenticate."


def signature(
    account: str, user: str, time: str, key: str = API_HASH_KEY, digest: str = "sha256", keyed: bool = True
) -> str:
    """By the documents, and by nothing of the bridge's."""
    message = f"{account}:{user}:{time}"
    made = (
        hmac.new(key.encode(), message.encode(), digest)
        if keyed
        else hashlib.new(digest, f"{key}:{message}:{key}".encode())
    )
    return base64.b64encode(made.digest()).decode()


def written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def header(time: str = written(NOON), user: str = "bridge", scheme: str = "PNAUTHINFO3-HMAC-SHA256") -> str:
    return f"{scheme} Credential={user}/{time} Signature={signature(ACCOUNT, user, time)}"


def ask(site: Site, authorization: str, account: str = ACCOUNT) -> httpx.Response:
    return site.http.get(f"/Profiles/v4/{account}/Programs", headers={"Authorization": authorization})


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize(("infix", "keyed"), [("HMAC-", True), ("", False)])
def test_each_documented_form_is_taken(site: Site, digest: str, infix: str, keyed: bool) -> None:
    """MyPreferences "Authorization": PNAUTHINFO3-[HMAC-]SHA256, SHA384, SHA512, in any case."""
    for scheme in (f"PNAUTHINFO3-{infix}{digest.upper()}", f"pnauthinfo3-{infix.lower()}{digest}"):
        time = written(NOON)
        signed = signature(ACCOUNT, "bridge", time, digest=digest, keyed=keyed)
        answer = ask(site, f"{scheme} Credential=bridge/{time} Signature={signed}")
        assert answer.status_code == 200, answer.text


def test_the_worked_example_of_the_documents_is_taken_in_its_own_time(site: Site) -> None:
    """Its time has no zone, and is US Eastern."""
    account = "SanchezAssociates"
    state = MyPreferencesState(sample_config(account), site.state.clock, users=(AccountUser("RickSanchez"),))
    state.access.hash_key = "SeemslikearareopportunityMorty!"
    words = (
        "PNAUTHINFO3-HMAC-SHA256 Credential=RickSanchez/2015-08-10T20:11:00 "
        "Signature=Lbhe+fKoQPZhzUYWHMVADC4BhqtAMQkfAfpR6Wzbxe0="
    )
    state.clock.set(datetime(2015, 8, 11, 0, 12, tzinfo=UTC))
    assert state.access.user(words, account).user_id == "RickSanchez"


@pytest.mark.parametrize(
    "time", [written(NOON), "2026-01-20T12:00:00.000Z", "2026-01-20T07:00:00", "2026-01-20T07:00:00-05:00"]
)
def test_a_time_is_read_as_utc_with_z_and_as_eastern_without(site: Site, time: str) -> None:
    assert ask(site, header(time)).status_code == 200


@pytest.mark.parametrize(
    "user", ["Rick%20Sanchez", "Rick%2fSanchez", "rick@example.com", "rick%40example.com"]
)
def test_what_is_signed_are_the_characters_of_the_header(site: Site, user: str) -> None:
    for known in ("Rick Sanchez", "Rick/Sanchez", "rick@example.com"):
        site.state.access.add_user(AccountUser(known))
    assert ask(site, header(user=user)).status_code == 200


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (header(scheme="PNAUTHINFO3-HMAC-MD5"), SCHEME),
        (header(scheme="PNAUTHINFO3"), SCHEME),
        (header(scheme="PNAUTHINFO2-HMAC-SHA256"), SCHEME),
        (header("20.01.2026"), DATE),
        (header("2026-13-01T00:00:00Z"), DATE),
        (header("9999-12-31T23:59:59"), DATE),
        (header(written(NOON + timedelta(seconds=1))), DATE),
        (header(written(NOON - timedelta(seconds=901))), FAR),
        (header(user="nobody"), GENERIC),
        (header(user="Bridge"), GENERIC),
        (header()[:-4] + "AAA=", GENERIC),
        (header().replace(" Signature", ", Signature"), GENERIC),
        (header().replace(" Signature", "  Signature"), GENERIC),
        (header().partition(" Signature")[0], GENERIC),
        (header().replace("Credential=", ""), GENERIC),
        ("PNAUTHINFO3-HMAC-SHA256", GENERIC),
        (header(scheme="PNAUTHINFO3-SHA256"), GENERIC),
        (header(scheme="PNAUTHINFO3-HMAC-SHA512"), GENERIC),
    ],
)
def test_a_refusal_names_the_documented_condition(site: Site, authorization: str, words: str) -> None:
    """MyPreferences "Authorization": invalid scheme; date not ISO 8601 or in the future; issued time too far
    from now; unable to authenticate."""
    answer = ask(site, authorization)
    assert answer.status_code == 401
    assert words in answer.json()["Message"]
    assert answer.headers["www-authenticate"].startswith("PNAUTHINFO3 realm=")


def test_the_time_is_judged_before_user_and_signature(site: Site) -> None:
    early, late = written(NOON - timedelta(hours=1)), written(NOON + timedelta(hours=1))
    assert FAR in ask(site, header(early, user="nobody")).json()["Message"]
    assert DATE in ask(site, header(late)[:-4] + "AAA=").json()["Message"]


def test_the_account_is_signed_as_the_url_spells_it(site: Site) -> None:
    """Paths are matched in any case; the signature is not."""
    assert ask(site, header(), "acme_corp").json()["Message"] == GENERIC
    time = written(NOON)
    small = (
        f"PNAUTHINFO3-HMAC-SHA256 Credential=bridge/{time} Signature={signature('acme_corp', 'bridge', time)}"
    )
    assert ask(site, small, "acme_corp").status_code == 200


def test_how_long_a_time_holds_is_a_setting_of_the_account(site: Site) -> None:
    old = header(written(NOON - timedelta(seconds=60)))
    assert ask(site, old).status_code == 200
    site.state.switches.pnauthinfo_seconds = 59
    assert FAR in ask(site, old).json()["Message"]


def test_another_key_of_the_account_makes_old_signatures_worthless(site: Site) -> None:
    site.state.access.hash_key = "rotated"
    assert ask(site, header()).json()["Message"] == GENERIC
    site.state.access.hash_key = None
    assert ask(site, header()).json()["Message"] == GENERIC
