"""What the doctor and a run tell of the sign-in to MyPreferences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_town import Call, Said, Town

from bridge.sandbox.mypreferences import create_app
from bridge.sandbox.server import Server
from tests.tls import Authority


def found(said: Said, state: str) -> list[dict[str, str]]:
    return [one for one in said.json["checks"] if (one["section"], one["state"]) == ("MyPreferences", state)]


@pytest.mark.parametrize(
    ("changed", "way"),
    [
        ({}, "OAuth client credentials (Basic)"),
        ({"MYPREFERENCES__CLIENT_CREDENTIALS": "body"}, "OAuth client credentials (in the body)"),
        ({"MYPREFERENCES__AUTH": "pnauthinfo3"}, "PNAUTHINFO3-HMAC-SHA256"),
        (
            {
                "MYPREFERENCES__AUTH": "pnauthinfo3",
                "MYPREFERENCES__KEYED": "false",
                "MYPREFERENCES__HASH": "sha384",
            },
            "PNAUTHINFO3-SHA384",
        ),
    ],
)
def test_the_doctor_names_the_way_of_the_sign_in_and_the_skew(
    town: Town, call: Call, changed: dict[str, str], way: str
) -> None:
    said = call("doctor", "--json", **changed)
    assert said.code == 0, said.out
    good = [one["what"] for one in found(said, "good")]
    assert f"Signed in by {way}." in good
    assert any(what.startswith("The clocks agree to within ") for what in good)


def test_the_doctor_signs_in_by_a_certificate(
    town: Town, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    pair = authority.pair()
    town.world.mypreferences.register_certificate(pair.der)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Server(create_app(town.world.mypreferences), tls=authority.server()) as desk:
        said = call(
            "doctor",
            "--json",
            MYPREFERENCES__AUTH="certificate",
            MYPREFERENCES__TOKEN_URL=f"{desk.url}/oauth2/v1/token",
            MYPREFERENCES__CERTIFICATE_FILE=str(pair.certificate),
            MYPREFERENCES__CERTIFICATE_KEY_FILE=str(pair.key),
        )
    assert said.code == 0, said.out
    assert "Signed in by OAuth with a client certificate." in [one["what"] for one in found(said, "good")]


def test_the_doctor_tells_a_wrong_clock_from_wrong_credentials(town: Town, call: Call) -> None:
    town.world.clock.advance(-90)
    [clock] = found(call("doctor", "--json", MYPREFERENCES__AUTH="pnauthinfo3"), "bad")
    assert "the time of the request. Tried: PNAUTHINFO3-HMAC-SHA256." in clock["what"]
    assert "s ahead of " in clock["mend"]
    assert "MyPreferences" in clock["mend"]
    town.world.clock.advance(90)
    [credentials] = found(call("doctor", "--json", MYPREFERENCES__PRIVATE_KEY="wrong"), "bad")
    assert "refused the sign-in. Tried: PNAUTHINFO3-HMAC-SHA256." in credentials["what"]
    assert "BRIDGE_MYPREFERENCES__PRIVATE_KEY" in credentials["mend"]
    assert "clock" not in str(credentials)


def test_the_doctor_names_a_file_that_cannot_be_used(town: Town, call: Call, tmp_path: Path) -> None:
    empty = tmp_path / "client.pem"
    empty.write_text("nothing")
    said = call(
        "doctor", "--json", MYPREFERENCES__AUTH="certificate",
        MYPREFERENCES__TOKEN_URL="https://127.0.0.1:1/token",
        MYPREFERENCES__CERTIFICATE_FILE=str(empty),
    )  # fmt: skip
    assert said.code == 2
    [bad] = found(said, "bad")
    assert "holds no certificate" in bad["what"]
    assert "openssl pkcs12" in bad["mend"]


def test_a_round_runs_by_signed_requests(town: Town, call: Call) -> None:
    said = call("reconcile", "--json", MYPREFERENCES__AUTH="pnauthinfo3")
    assert said.json["in_sync"] is True
    assert not town.gets_newsletter("ben")
    assert town.world.mypreferences.calls.count("token") == 0


def test_a_round_with_a_clock_ahead_ends_with_5_and_names_it(
    town: Town, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.transport.FIRST_PAUSE", 0.001)
    town.world.clock.advance(-90)
    said = call("reconcile", "--json", MYPREFERENCES__AUTH="pnauthinfo3")
    assert said.code == 5
    assert re.search(r"9\d s ahead of .* MyPreferences", " ".join(said.err.split()))
    assert "PRIVATE_KEY" not in said.err
