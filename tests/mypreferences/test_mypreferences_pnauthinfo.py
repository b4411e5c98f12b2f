"""PNAUTHINFO3: what is signed, how it is written, and how a refusal is reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import SignInRefused
from bridge.mypreferences.auth.pnauthinfo import PnAuthInfo3, encoded, signature, stamped
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import AccountUser
from bridge.sandbox.mypreferences.account import API_HASH_KEY
from tests.mypreferences.mp_world import NOON, World, ago, who, withdrawal
from tests.port_calls import send_one

ACCOUNT, USER, TIME = "SanchezAssociates", "RickSanchez", "2015-08-10T20:11:00"
KEY = "SeemslikearareopportunityMorty!"
# The first is the vendor's own example. The others are computed; OpenSSL gives the same.
VECTORS = [
    (ACCOUNT, USER, "sha256", True, "Lbhe+fKoQPZhzUYWHMVADC4BhqtAMQkfAfpR6Wzbxe0="),
    (ACCOUNT, USER, "sha384", True, "fh7enqYuvOcjp8VqcNdkt/dDQPkbFCBlyT93K1089juGsBFhNrSq/Bh3vvjGt5Gj"),
    (
        ACCOUNT, USER, "sha512", True,
        "pfwfA1RSqGu7Q7zUNnwNudc5r9VBga6BENrRpnOzMxHHuO5b4JSeG8zENXsfJArOU2SGjX7o5DZLqKkwByOulQ==",
    ),
    (ACCOUNT, USER, "sha256", False, "GqrwDVUec9P4ueu+vp5GzjXIG1V2JA102WoasTevM+M="),
    (ACCOUNT, USER, "sha384", False, "gwNuMcA+O0473cEdnjbPH9tdG9jXNyJCezWWMcWtWnZav9HBed8SP4OrETmJO0B2"),
    (
        ACCOUNT, USER, "sha512", False,
        "4mA5SXxyDO06rp0lxpNzCRnK6NNye8IhmtbPrZ5ldirQ/Hb0sbN7Uf//0hVm4vG35hDaA6bs7Bv4qSZCc9fflA==",
    ),
    (ACCOUNT, "Rick Sanchez", "sha256", True, "0edrRReIiTGctpBdWUknY1e7hpAuRZk4SujbiBUmSpM="),
    (ACCOUNT.upper(), USER, "sha256", True, "Qec/E6TpkysckEoXKur1pSZhTS2QiNchEEeBmy869v0="),
]  # fmt: skip


@pytest.mark.parametrize(("account", "user", "digest", "keyed", "expected"), VECTORS)
def test_a_signature_is_the_documented_one(
    account: str, user: str, digest: str, keyed: bool, expected: str
) -> None:
    """MyPreferences "Authorization": the worked example (keyed SHA256), and its variants."""
    assert signature(account, encoded(user), TIME, KEY, digest=digest, keyed=keyed) == expected


@pytest.mark.parametrize(
    ("user", "written"),
    [
        ("RickSanchez", "RickSanchez"),
        ("a.b-c_d~9", "a.b-c_d~9"),
        ("Rick Sanchez", "Rick%20Sanchez"),
        ("rick@example.com", "rick%40example.com"),
        ("a/b:c+d", "a%2Fb%3Ac%2Bd"),
        ("Žofie", "%C5%BDofie"),
    ],
)
def test_a_user_id_is_encoded_where_it_is_not_plain(user: str, written: str) -> None:
    assert encoded(user) == written


def test_the_header_has_one_blank_between_its_parameters_and_no_comma() -> None:
    auth = PnAuthInfo3(account=ACCOUNT, user_id=USER, key=KEY, clock=lambda: NOON)
    assert auth.header(TIME) == (
        f"PNAUTHINFO3-HMAC-SHA256 Credential=RickSanchez/{TIME} "
        "Signature=Lbhe+fKoQPZhzUYWHMVADC4BhqtAMQkfAfpR6Wzbxe0="
    )
    plain = PnAuthInfo3(
        account=ACCOUNT, user_id="a b", key=KEY, clock=lambda: NOON, digest="sha384", keyed=False
    )
    assert plain.header(TIME).startswith(f"PNAUTHINFO3-SHA384 Credential=a%20b/{TIME} Signature=")


@given(
    st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)),
    st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-5))]),
)
def test_a_time_is_utc_and_never_ahead_of_the_clock(span: timedelta, zone: timezone) -> None:
    moment = (NOON + span).astimezone(zone)
    written = stamped(moment)
    assert written.endswith("Z")
    behind = moment - datetime.fromisoformat(written)
    assert timedelta(0) <= behind < timedelta(seconds=1)


def test_every_try_is_signed_by_the_time_it_is_made_at() -> None:
    now = [NOON]
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200)

    auth = PnAuthInfo3(account=ACCOUNT, user_id=USER, key=KEY, clock=lambda: now[0])
    with httpx.Client(transport=httpx.MockTransport(answer), auth=auth) as client:
        client.get("https://api.example.com/x")
        now[0] += timedelta(seconds=61)
        client.get("https://api.example.com/x")
    assert ["T12:00:00Z" in seen[0], "T12:01:01Z" in seen[1]] == [True, True]


def test_the_key_is_in_no_representation() -> None:
    class Hidden:
        def get_secret_value(self) -> str:
            return KEY

    auth = PnAuthInfo3(account=ACCOUNT, user_id=USER, key=Hidden(), clock=lambda: NOON)
    assert "Lbhe+fKoQPZhzUYWHMVADC4BhqtAMQkfAfpR6Wzbxe0=" in auth.header(TIME)
    assert KEY not in f"{auth!r} {auth.header(TIME)} {auth.auth_name} {auth.fix}"


# at the sandbox


def by_key(
    world: World,
    *,
    account: str = "",
    user: str = "bridge",
    key: str = API_HASH_KEY,
    ahead: float = 0,
    digest: str = "sha256",
    keyed: bool = True,
) -> PnAuthInfo3:
    return PnAuthInfo3(
        account=account or world.state.config.account,
        user_id=user,
        key=key,
        clock=lambda: world.state.clock.now() + timedelta(seconds=ahead),
        digest=digest,
        keyed=keyed,
    )


def refused(world: World, auth: PnAuthInfo3, ahead: float = 0) -> SignInRefused:
    client = world.signed_by(auth, lambda: world.state.clock.now() + timedelta(seconds=ahead))
    with pytest.raises(SignInRefused) as caught:
        client.retrieve_programs()
    return caught.value


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("keyed", [True, False])
def test_each_form_signs_in_at_the_sandbox(world: World, digest: str, keyed: bool) -> None:
    assert world.signed_by(by_key(world, digest=digest, keyed=keyed)).retrieve_programs()
    assert world.calls("token") == 0


@pytest.mark.parametrize("user", ["Rick Sanchez", "rick@example.com", "a/b", "Žofie"])
def test_a_user_id_that_is_not_plain_signs_in_at_the_sandbox(world: World, user: str) -> None:
    world.state.access.add_user(AccountUser(user))
    assert world.signed_by(by_key(world, user=user)).retrieve_programs()


def test_who_signs_is_the_author_of_what_is_written(world: World) -> None:
    world.state.access.add_user(AccountUser("Second Bridge", "SYNC"))
    profile_id = world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.client = world.signed_by(by_key(world, user="Second Bridge"))
    send_one(world.replica(), who(), [withdrawal()])
    [stored] = world.state.profile(int(profile_id))["Emails"][0]["EmailPreferences"]
    assert (stored["PreferenceType"], "Second Bridge" in str(stored)) == (2, True)


@pytest.mark.parametrize(
    "wrong", [{"key": "another"}, {"user": "nobody"}, {"user": "Bridge"}, {"account": "acme_corp"}]
)
def test_wrong_credentials_name_the_settings_to_check_and_not_the_clock(
    world: World, wrong: dict[str, str]
) -> None:
    """The account is signed as the URL spells it: another case is another account."""
    error = refused(world, by_key(world, **wrong))
    for setting in ("PRIVATE_KEY", "__HASH", "__KEYED", "BRIDGE_MYPREFERENCES__ACCOUNT", "__USER_ID"):
        assert setting in error.hint
    assert "clock" not in str(error)
    assert "CLIENT_SECRET" not in error.hint
    assert API_HASH_KEY not in str(error)


@pytest.mark.parametrize(("ahead", "words"), [(90, "90 s ahead of"), (-1000, "1000 s behind")])
def test_a_refused_time_names_the_clock_how_far_it_is_off_and_no_credentials(
    world: World, ahead: float, words: str
) -> None:
    """MyPreferences "Authorization": a time in the future, or older than 900 s, is refused."""
    error = refused(world, by_key(world, ahead=ahead), ahead)
    assert error.what == "MyPreferences rejected the request timestamp."
    assert words in error.hint
    assert "NTP" in error.hint
    assert "PRIVATE_KEY" not in error.hint


def test_a_clock_that_is_behind_by_less_than_the_window_signs_in(world: World) -> None:
    assert world.signed_by(by_key(world, ahead=-899)).retrieve_programs()


def test_a_clock_slightly_ahead_is_reported_as_such(world: World) -> None:
    error = refused(world, by_key(world, ahead=1), 1)
    assert "a time ahead by less is refused too" in error.hint


def test_a_refusal_without_words_is_put_down_to_a_clock_that_is_off(world: World) -> None:
    world.state.faults.add(
        InjectedFault("retrievePrograms", "status", status=401, body='{"Message":null}', times=2)
    )
    error = refused(world, by_key(world, ahead=90), 90)
    assert "90 s ahead of" in error.hint
    assert "PRIVATE_KEY" in error.hint  # it may be these all the same
    assert "clock" not in str(refused(world, by_key(world)))


def test_an_account_that_knows_another_scheme_only_names_the_setting(world: World) -> None:
    error = refused(world, by_key(world, digest="md5"))
    assert "BRIDGE_MYPREFERENCES__AUTH" in error.hint
