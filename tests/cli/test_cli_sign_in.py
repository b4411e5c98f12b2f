"""What the doctor and a run report about the sign-in to MyPreferences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_world import Call, CliWorld, CommandResult

from bridge.sandbox.mypreferences import create_app
from bridge.sandbox.server import Server
from tests.tls import Authority


def found(result: CommandResult, state: str) -> list[dict[str, str]]:
    return [
        one for one in result.json["checks"] if (one["section"], one["state"]) == ("MyPreferences", state)
    ]


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
    cli_world: CliWorld, call: Call, changed: dict[str, str], way: str
) -> None:
    result = call("doctor", "--json", **changed)
    assert result.code == 0, result.out
    good = [one["what"] for one in found(result, "good")]
    assert f"Signed in by {way}." in good
    assert any(what.startswith("The clocks agree to within ") for what in good)


def test_the_doctor_signs_in_by_a_certificate(
    cli_world: CliWorld, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    pair = authority.pair()
    cli_world.services.mypreferences.register_certificate(pair.der)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Server(create_app(cli_world.services.mypreferences), tls=authority.server()) as server:
        result = call(
            "doctor",
            "--json",
            MYPREFERENCES__AUTH="certificate",
            MYPREFERENCES__TOKEN_URL=f"{server.url}/oauth2/v1/token",
            MYPREFERENCES__CERTIFICATE_FILE=str(pair.certificate),
            MYPREFERENCES__CERTIFICATE_KEY_FILE=str(pair.key),
        )
    assert result.code == 0, result.out
    assert "Signed in by OAuth with a client certificate." in [one["what"] for one in found(result, "good")]


def test_the_doctor_distinguishes_wrong_clock_and_credentials(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.clock.advance(-90)
    [clock] = found(call("doctor", "--json", MYPREFERENCES__AUTH="pnauthinfo3"), "bad")
    assert "MyPreferences rejected the request timestamp. Tried: PNAUTHINFO3-HMAC-SHA256." in clock["what"]
    assert "s ahead of that of MyPreferences" in clock["mend"]
    cli_world.services.clock.advance(90)
    [credentials] = found(call("doctor", "--json", MYPREFERENCES__PRIVATE_KEY="wrong"), "bad")
    assert "refused the sign-in. Tried: PNAUTHINFO3-HMAC-SHA256." in credentials["what"]
    assert "BRIDGE_MYPREFERENCES__PRIVATE_KEY" in credentials["mend"]
    assert "clock" not in str(credentials)


def test_the_doctor_names_a_file_that_cannot_be_used(cli_world: CliWorld, call: Call, tmp_path: Path) -> None:
    empty = tmp_path / "client.pem"
    empty.write_text("nothing")
    result = call(
        "doctor", "--json", MYPREFERENCES__AUTH="certificate",
        MYPREFERENCES__TOKEN_URL="https://127.0.0.1:1/token",
        MYPREFERENCES__CERTIFICATE_FILE=str(empty),
    )  # fmt: skip
    assert result.code == 2
    [bad] = found(result, "bad")
    assert "holds no certificate" in bad["what"]
    assert "openssl pkcs12" in bad["mend"]


def test_a_run_runs_by_signed_requests(cli_world: CliWorld, call: Call) -> None:
    result = call("reconcile", "--json", MYPREFERENCES__AUTH="pnauthinfo3")
    assert result.json["in_sync"] is True
    assert not cli_world.gets_newsletter("ben")
    assert cli_world.services.mypreferences.calls.count("token") == 0


def test_a_run_with_a_clock_ahead_ends_with_5_and_names_it(
    cli_world: CliWorld, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.transport.FIRST_PAUSE", 0.001)
    cli_world.services.clock.advance(-90)
    result = call("reconcile", "--json", MYPREFERENCES__AUTH="pnauthinfo3")
    assert result.code == 5
    assert re.search(r"9\d s ahead of that of MyPreferences", " ".join(result.err.split()))
    assert "PRIVATE_KEY" not in result.err
