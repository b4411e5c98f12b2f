"""Settings: where they come from, which one wins, and how problems are reported."""

from __future__ import annotations

import os
from datetime import UTC, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.core.brakes import BrakeLimits
from bridge.core.errors import ConfigError
from bridge.settings import V3, AuthScheme, Settings, load
from tests.house.tree import ROOT
from tests.settings_names import CONTRACT, SECRETS

HIDDEN = "a1b2c3d4-0000-4000-8000-0a1b2c3d4e5f"  # a GUID is valid for every secret


def env(**values: str) -> dict[str, str]:
    return {f"BRIDGE_{name}": value for name, value in values.items()}


def problems(config: Path | None = None, **values: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(config, environ=env(**values))
    assert caught.value.exit_code == 2
    return caught.value.problems


def toml(folder: Path, text: str) -> Path:
    path = folder / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_names_are_exactly_those_that_operators_rely_on() -> None:
    assert [name for name, _, _ in load(environ={}).display_rows()] == [
        f"BRIDGE_{name}" for name in sorted(CONTRACT, key=_order)
    ]


def _order(name: str) -> tuple[int, int]:
    groups = ["", "MYPREFERENCES", "DOTDIGITAL", "BRAKES", "WEB"]
    return groups.index(name.rpartition("__")[0]), CONTRACT.index(name)


def test_with_nothing_set_the_defaults_hold() -> None:
    settings = load(environ={})
    assert settings.database_url == "sqlite:///bridge.db"
    assert settings.mapping == Path("mappings/bridge.toml")
    assert (settings.poll_seconds, settings.overlap_seconds, settings.skew_seconds) == (60, 900, 2)
    assert settings.sweep_at == time(3, 0, tzinfo=UTC)
    assert (settings.mypreferences.auth, settings.mypreferences.hash) == (AuthScheme.OAUTH, "sha256")
    assert settings.mypreferences.keyed is True
    assert settings.mypreferences.client_credentials == "basic"
    assert settings.dotdigital.v3 is V3.AUTO
    assert settings.dotdigital.share_left == 0.2
    assert settings.brakes.limits() == BrakeLimits()
    assert (settings.web.host, settings.web.port) == ("127.0.0.1", 8080)
    assert {source for _, _, source in settings.display_rows()} == {"default"}


def test_a_flag_beats_the_environment_beats_secret_files_beats_the_config_file(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    config = toml(
        tmp_path, "poll_seconds = 1\n[web]\nport = 1\n[dotdigital]\nusername = 'a'\npassword = 'a'\n"
    )
    for name in ("WEB__PORT", "DOTDIGITAL__USERNAME", "DOTDIGITAL__PASSWORD"):
        (secrets / f"BRIDGE_{name}").write_text("2")
    environ = env(WEB__PORT="3", DOTDIGITAL__USERNAME="3", SECRETS_DIR=str(secrets))
    settings = load(config, environ=environ, flags={"web__port": 4, "mapping": None})
    sources = {name: source for name, _, source in settings.display_rows()}
    assert (settings.web.port, sources["BRIDGE_WEB__PORT"]) == (4, "flag")
    assert (settings.dotdigital.username, sources["BRIDGE_DOTDIGITAL__USERNAME"]) == ("3", "environment")
    assert settings.dotdigital.password is not None
    assert settings.dotdigital.password.get_secret_value() == "2"
    assert sources["BRIDGE_DOTDIGITAL__PASSWORD"] == "secret file"
    assert (settings.poll_seconds, sources["BRIDGE_POLL_SECONDS"]) == (1, "config file")
    assert sources["BRIDGE_MAPPING"] == "default"


def test_the_config_file_may_be_named_by_the_environment_and_a_flag_beats_that(tmp_path: Path) -> None:
    named = toml(tmp_path, "poll_seconds = 7")
    other = tmp_path / "other.toml"
    other.write_text("poll_seconds = 8")
    assert load(environ=env(CONFIG=str(named))).poll_seconds == 7
    assert load(other, environ=env(CONFIG=str(named))).poll_seconds == 8


def test_the_process_environment_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_POLL_SECONDS", "11")
    assert load().poll_seconds == 11


def test_an_empty_value_counts_as_not_given(tmp_path: Path) -> None:
    config = toml(tmp_path, "[dotdigital]\nbase_url = 'https://r1.example.com'")
    assert load(config, environ=env(DOTDIGITAL__BASE_URL="")).dotdigital.base_url == "https://r1.example.com"
    assert load(environ=env(WEB__TOKEN="")).web.token is None


@pytest.mark.parametrize(
    "name", ["BRIDGE_DOTDIGITAL__PASSWORD", "dotdigital__password", "bridge_dotdigital__password"]
)
def test_a_secret_file_is_named_like_its_setting(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"{HIDDEN}\r\n")
    (tmp_path / "tls.crt").write_text("not ours")
    (tmp_path / "..data").mkdir()
    password = load(environ=env(SECRETS_DIR=str(tmp_path))).dotdigital.password
    assert password is not None
    assert password.get_secret_value() == HIDDEN


def test_the_blanks_within_a_secret_stay(tmp_path: Path) -> None:
    (tmp_path / "dotdigital__password").write_text(" two words \n")
    password = load(environ=env(SECRETS_DIR=str(tmp_path))).dotdigital.password
    assert password is not None
    assert password.get_secret_value() == " two words "


def test_the_secrets_folder_may_be_named_in_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "web__token").write_text(HIDDEN)
    config = toml(tmp_path, f"secrets_dir = '{tmp_path}'")
    assert load(config, environ={}).web.token is not None


def test_a_wrong_secrets_folder_is_reported_with_all_else(tmp_path: Path) -> None:
    (tmp_path / "BRIDGE_DOTDIGITAL__PASWORD").write_text("x")
    (tmp_path / "WEB__TOKEN").write_text(HIDDEN)
    (tmp_path / "web__token").write_text("x")
    (tmp_path / "dotdigital_passwort").write_text("x")
    (tmp_path / "DOTDIGITAL__PASSWORD").write_bytes(b"\xff\xfe")
    wrong, twice, misspelt, bytes_ = sorted(problems(SECRETS_DIR=str(tmp_path)))
    assert "dotdigital_passwort sets nothing; the nearest setting is dotdigital__password" in misspelt
    assert "BRIDGE_DOTDIGITAL__PASSWORD (secret file): cannot read the file (it is not UTF-8 text)" in wrong
    assert "nearest is BRIDGE_DOTDIGITAL__PASSWORD" in twice
    assert "BRIDGE_WEB__TOKEN (secret file): two files set it" in bytes_
    (gone,) = problems(SECRETS_DIR=str(tmp_path / "gone"))
    assert gone.startswith("BRIDGE_SECRETS_DIR: cannot read the folder (No such file or directory)")


def test_every_unknown_name_is_reported_with_the_nearest_known_one(tmp_path: Path) -> None:
    config = toml(tmp_path, "pol_seconds = 1\nweb__port = 1\n[web]\nports = 1\n[brake]\nraises_max = 1\n")
    found = problems(
        config, DOTDIGITAL_PASSWORD="x", POLL_SECOND="1", TEST_ANYTHING="1", RECORD="1", SPECS_DIR="x"
    )
    suggestions = [line.partition(". ")[0].split(": unknown setting; the nearest is ") for line in found]
    assert sorted(suggestions) == [
        ["BRIDGE_DOTDIGITAL_PASSWORD (environment)", "BRIDGE_DOTDIGITAL__PASSWORD"],
        ["BRIDGE_POLL_SECOND (environment)", "BRIDGE_POLL_SECONDS"],
        ["[brake] (config file)", "[brakes]"],
        ["pol_seconds (config file)", "poll_seconds"],
        ["web.ports (config file)", "web.port"],
        ["web__port (config file)", "web.port"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web = 1", "web (config file): is a table. Write its settings under [web]."),
        ("poll_seconds = ", "the config file is not TOML: Invalid value (at end of document)."),
        ("poll_seconds = true", "BRIDGE_POLL_SECONDS (config file): is not a number."),
        ("poll_seconds = 1.5", "BRIDGE_POLL_SECONDS (config file): is not a whole number."),
        ("database_url = { a = 1 }", "BRIDGE_DATABASE_URL (config file): is not text."),
        ("secrets_dir = 3", "BRIDGE_SECRETS_DIR (config file): is not text."),
        ("sweep_at = 03:00:01", "BRIDGE_SWEEP_AT (config file): is not a time of day written HH:MM."),
        ("[dotdigital]\npassword = 12345", "BRIDGE_DOTDIGITAL__PASSWORD (config file): is not text."),
    ],
)
def test_a_wrong_config_file_is_reported_by_key(tmp_path: Path, text: str, said: str) -> None:
    (found,) = problems(toml(tmp_path, text))
    assert said in found


def test_a_missing_or_binary_config_file_is_reported(tmp_path: Path) -> None:
    (gone,) = problems(tmp_path / "gone.toml")
    assert gone.endswith(
        "gone.toml: cannot read the config file (No such file or directory). Check --config."
    )
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# \xe9\n")
    (latin,) = problems(path)
    assert "is not UTF-8 text" in latin
    (folder,) = problems(tmp_path)
    assert "cannot read the config file (it is not a regular file)" in folder


def test_outside_a_load_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_WEB__PORT", "11")
    assert Settings() == load(environ={})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("POLL_SECONDS", "0", "is less than 1. Give whole seconds, 1 to 86400, e.g. 60."),
        ("POLL_SECONDS", "soon", "is not a whole number"),
        ("OVERLAP_SECONDS", "-1", "is less than 0"),
        ("OVERLAP_SECONDS", "604801", "is more than 604800"),
        ("SKEW_SECONDS", "nan", "BRIDGE_SKEW_SECONDS"),
        ("SKEW_SECONDS", "-0.1", "is less than 0"),
        (
            "SWEEP_AT",
            "3:00",
            "is not a time of day written HH:MM. Give a time of day in UTC, HH:MM, e.g. 03:00.",
        ),
        ("SWEEP_AT", "24:00", "is not a time of day"),
        ("DATABASE_URL", "mysql://localhost/x", "begins with neither sqlite:/// nor postgresql://"),
        ("MYPREFERENCES__AUTH", "basic", "is not 'oauth', 'certificate' or 'pnauthinfo3'"),
        ("MYPREFERENCES__CLIENT_CREDENTIALS", "header", "is not 'basic' or 'body'"),
        ("MYPREFERENCES__HASH", "md5", "is not 'sha256', 'sha384' or 'sha512'"),
        ("MYPREFERENCES__KEYED", "perhaps", "is neither true nor false"),
        ("MYPREFERENCES__SUBSCRIPTION", "0", "is less than 1"),
        ("MYPREFERENCES__RATE", "0", "is not more than 0"),
        ("DOTDIGITAL__V3", "sometimes", "is not 'auto', 'never' or 'always'"),
        ("DOTDIGITAL__SHARE_LEFT", "1", "is more than 0.9"),
        ("BRAKES__RAISES_SHARE", "5", "is more than 1. Give a share of all people, 0 to 1, e.g. 0.05."),
        ("BRAKES__RAISES_MAX", "-1", "is less than 0"),
        ("BRAKES__BURST_MAX", "0", "is less than 1"),
        ("BRAKES__WINDOW_HOURS", "0", "is less than 1"),
        ("WEB__PORT", "65536", "is more than 65535"),
        ("WEB__TOKEN", "two words", "contains blanks"),
        ("WEB__HOOK_SECRET", "a/b", "not allowed in one segment of a URL's path"),
        ("WEB__HOOK_HANDSHAKE", "shout", "is not 'echo' or 'static'"),
        ("WEB__HOOK_SIGNATURE_HASH", "md5", "is not 'sha256', 'sha384' or 'sha512'"),
        ("WEB__HOOK_SIGNATURE_HEADER", "X Signature", "is not a header name"),
        ("WEB__HOOK_ALLOW", "192.0.2.1/24", "is not a list of addresses or networks"),
        ("WEB__HOOK_ALLOW", ",", "contains no address"),
        ("WEB__HOOK_RATE", "0", "is less than 1"),
        ("WEB__HOOK_DEPTH", "0", "is less than 1"),
        ("WEB__HOOK_PAUSE", "-1", "is less than 0"),
    ],
)
def test_a_wrong_value_is_reported_by_name_with_its_fix(name: str, value: str, said: str) -> None:
    (found,) = problems(**{name: value})
    assert found.startswith(f"BRIDGE_{name} (environment): ")
    assert said in found


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com", "ftp://x.example.com", "https://", "nothing", "https://u:p@x.example.com/",
     "https://x.example.com/?a=1", "https://x.example.com/#a", "https://x y.example.com", "https://[", "https://a.test:no"],
)  # fmt: skip
def test_a_url_is_https_and_bare(url: str) -> None:
    for name in ("MYPREFERENCES__BASE_URL", "MYPREFERENCES__TOKEN_URL", "DOTDIGITAL__BASE_URL"):
        (found,) = problems(**{name: url})
        assert found.startswith(f"BRIDGE_{name} (environment): ")


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "LOCALHOST:1", "[::1]:8", "127.9.9.9"])
def test_http_is_accepted_for_loopback_hosts(host: str) -> None:
    assert load(environ=env(DOTDIGITAL__BASE_URL=f"http://{host}/")).dotdigital.base_url == f"http://{host}"


def test_all_problems_of_all_sources_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "BRIDGE_WEB__TOKENS").write_text(HIDDEN)
    config = toml(tmp_path, "[brakes]\nraises_share = 2\nraise_max = 1")
    found = problems(
        config, SECRETS_DIR=str(tmp_path), WEB__PORT="x", WEB__HOST="192.0.2.1", POLL="1", SWEEP_AT="never"
    )
    assert len(found) == 7
    assert any("BRIDGE_WEB__TOKEN (default): is required where BRIDGE_WEB__HOST" in one for one in found)


def test_a_host_in_the_open_needs_a_token() -> None:
    (found,) = problems(WEB__HOST="192.0.2.1")
    assert "is required where BRIDGE_WEB__HOST is not a loopback address" in found
    assert load(environ=env(WEB__HOST="192.0.2.1", WEB__TOKEN=HIDDEN)).web.host == "192.0.2.1"
    assert load(environ=env(WEB__HOST="::1")).web.token is None
    with pytest.raises(ValidationError):
        Settings.model_validate({"web": {"host": "192.0.2.1"}})


def test_no_secret_is_ever_shown() -> None:
    values = dict.fromkeys(SECRETS, HIDDEN)
    environ = env(**values, DATABASE_URL=f"postgresql://u:{HIDDEN}%40p@db/x?sslpassword={HIDDEN}&a=1")
    environ |= env(DOTDIGITAL__USERNAME="apiuser-1@example.com")
    settings = load(environ=environ)
    shown = {name: value for name, value, _ in settings.display_rows()}
    assert {shown[f"BRIDGE_{name}"] for name in SECRETS} == {"••••"}
    assert shown["BRIDGE_DATABASE_URL"] == "postgresql://u:••••@db/x?sslpassword=••••&a=1"
    assert shown["BRIDGE_DOTDIGITAL__USERNAME"] == "a…@example.com"
    assert HIDDEN not in f"{settings!r} {settings} {settings.display_rows()}"


@pytest.mark.parametrize("name", [*SECRETS, "DATABASE_URL"])
def test_no_error_holds_the_value_of_a_secret(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ=env(**{name: f"{HIDDEN} / \u2028", "WEB__PORT": "x"}))
    assert HIDDEN not in str(caught.value)
    assert caught.value.__cause__ is None
    group, _, key = name.lower().rpartition("__")
    config = toml(tmp_path, f"[{group}]\n{key} = ['{HIDDEN}']" if group else f"{key} = ['{HIDDEN}']")
    assert HIDDEN not in "".join(problems(config))


def missing(check: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check()
    return [line.partition(":")[0].removeprefix("BRIDGE_") for line in caught.value.problems]


def test_everything_that_a_side_lacks_is_named_at_once() -> None:
    settings = load(environ={})
    base = ["MYPREFERENCES__BASE_URL", "MYPREFERENCES__ACCOUNT", "MYPREFERENCES__USER_ID"]
    oauth = ["MYPREFERENCES__TOKEN_URL", "MYPREFERENCES__CLIENT_ID", "MYPREFERENCES__CLIENT_SECRET"]
    assert missing(settings.require_mypreferences) == base + oauth
    signed = load(environ=env(MYPREFERENCES__AUTH="pnauthinfo3"))
    assert missing(signed.require_mypreferences) == [*base, "MYPREFERENCES__PRIVATE_KEY"]
    certified = load(environ=env(MYPREFERENCES__AUTH="certificate"))
    assert missing(certified.require_mypreferences) == [
        *base, "MYPREFERENCES__TOKEN_URL", "MYPREFERENCES__CLIENT_ID", "MYPREFERENCES__CERTIFICATE_FILE",
    ]  # fmt: skip
    assert missing(settings.require_dotdigital) == ["DOTDIGITAL__USERNAME", "DOTDIGITAL__PASSWORD"]


def test_a_side_that_lacks_nothing_passes_and_a_file_that_is_gone_does_not(tmp_path: Path) -> None:
    values = {
        "MYPREFERENCES__BASE_URL": "https://a.example.com/v4",
        "MYPREFERENCES__ACCOUNT": "A",
        "MYPREFERENCES__USER_ID": "u",
        "MYPREFERENCES__AUTH": "certificate",
        "MYPREFERENCES__TOKEN_URL": "https://id.example.com/token",
        "MYPREFERENCES__CLIENT_ID": "c",
        "MYPREFERENCES__CERTIFICATE_FILE": str(tmp_path / "client.pem"),
        "DOTDIGITAL__USERNAME": "u",
        "DOTDIGITAL__PASSWORD": HIDDEN,
    }
    settings = load(environ=env(**values))
    settings.require_dotdigital()
    assert missing(settings.require_mypreferences) == ["MYPREFERENCES__CERTIFICATE_FILE"]
    (tmp_path / "client.pem").write_text("x")
    settings.require_mypreferences()


def test_the_brakes_reach_the_core_as_they_are_set() -> None:
    settings = load(
        environ=env(
            BRAKES__RAISES_MAX="7",
            BRAKES__HOLD_WITHDRAWALS="true",
            BRAKES__BURST_MAX="9",
            BRAKES__RAISES_CEILING="300",
            BRAKES__WINDOW_HOURS="12",
        )
    )
    assert settings.brakes.limits() == BrakeLimits(
        raises_max=7,
        raises_ceiling=300,
        hold_withdrawals=True,
        burst_max=9,
        window=timedelta(hours=12),
    )


def test_a_flag_that_is_no_setting_is_the_programs_mistake() -> None:
    for value in (1, None):
        with pytest.raises(KeyError):
            load(environ={}, flags={"web_port": value})


def test_the_example_config_is_valid_and_names_every_setting() -> None:
    path = ROOT / "config" / "bridge.example.toml"
    assert load(path, environ={}).display_rows() is not None
    text = path.read_text(encoding="utf-8")
    assert [name for name in CONTRACT if f"{name.rpartition('__')[2].lower()} =" not in text] == []


@given(
    st.dictionaries(st.sampled_from(CONTRACT), st.text(st.characters(exclude_characters="\0", codec="utf-8")))
)
def test_whatever_stands_in_the_environment_there_is_settings_or_a_config_error(
    values: dict[str, str],
) -> None:
    try:
        settings = load(environ=env(**values))
    except ConfigError as error:
        reported = error.problems
    else:
        reported = tuple(name for name, _, source in settings.display_rows() if source == "environment")
    assert reported or not any(values.values())


def test_a_static_handshake_needs_its_answer() -> None:
    (found,) = problems(WEB__HOOK_HANDSHAKE="static")
    assert "BRIDGE_WEB__HOOK_ANSWER" in found
    assert "is required where BRIDGE_WEB__HOOK_HANDSHAKE is static" in found


def test_addresses_that_may_call_are_networks() -> None:
    web = load(environ=env(WEB__HOOK_ALLOW="192.0.2.7, 2001:db8::/32")).web
    assert [str(network) for network in web.networks] == ["192.0.2.7/32", "2001:db8::/32"]
    assert load(environ={}).web.networks == ()


def test_the_suite_itself_runs_without_the_operators_settings() -> None:
    assert [name for name in os.environ if name.startswith("BRIDGE_DOTDIGITAL")] == []
