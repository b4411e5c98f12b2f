"""Settings of a running system: database URLs, relative paths, short secrets, and files that others may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.errors import ConfigError
from bridge.settings import load
from bridge.settings.exposure import exposed_files

HIDDEN = "hidden-word-1234"


def env(**values: str) -> dict[str, str]:
    return {f"BRIDGE_{name}": value for name, value in values.items()}


def problems(**values: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(environ=env(**values))
    return list(caught.value.problems)


def toml(folder: Path, text: str) -> Path:
    path = folder / "bridge.toml"
    path.write_text(text)
    return path


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


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{HIDDEN}@tail@host/db",
        f"postgresql://user:{HIDDEN}/tail@host/db",
        f"postgresql://user:{HIDDEN}?tail@host/db",
        f"postgresql://user:{HIDDEN}#tail@host/db",
        f"postgresql+psycopg://user:{HIDDEN}:tail@host/db",
        f"postgresql://user:x@host:{HIDDEN}/db",
    ],
)
def test_a_database_url_that_would_be_misread_is_refused_and_not_shown(url: str) -> None:
    (found,) = problems(DATABASE_URL=url)
    assert "write @ as %40" in found
    assert HIDDEN not in found
    assert "tail" not in found


def test_relative_paths_of_the_config_file_are_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "secrets").mkdir()
    text = "database_url = 'sqlite:///state.db'\nmapping = 'm.toml'\nsecrets_dir = 'secrets'\n"
    settings = load(toml(folder, f"{text}[mypreferences]\nroutes_file = 'r.toml'"), environ={})
    assert settings.database_url == f"sqlite:///{folder / 'state.db'}"
    assert settings.mapping == folder / "m.toml"
    assert settings.secrets_dir == folder / "secrets"
    assert settings.mypreferences.routes_file == folder / "r.toml"
    other = load(toml(folder, "database_url = 'sqlite:////var/x.db'"), environ=env(MAPPING="here.toml"))
    assert (other.database_url, other.mapping) == ("sqlite:////var/x.db", Path("here.toml"))


@pytest.mark.parametrize("name", ["WEB__TOKEN", "WEB__HOOK_SECRET", "WEB__HOOK_SIGNATURE_KEY", "ERASURE_KEY"])
def test_short_secrets_are_refused_by_name(name: str) -> None:
    (found,) = problems(**{name: "short"})
    assert found.startswith(f"BRIDGE_{name} ")
    assert "shorter than 16 characters" in found


def test_files_that_others_may_read_or_change_are_found(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "web__token").write_text(HIDDEN)
    (secrets / "web__token").chmod(0o600)
    (tmp_path / "b.db").touch(0o600)
    settings = load(environ=env(DATABASE_URL=f"sqlite:///{tmp_path / 'b.db'}", SECRETS_DIR=str(secrets)))
    assert exposed_files(settings) == []
    (tmp_path / "b.db").chmod(0o644)
    (secrets / "web__token").chmod(0o620)
    secrets.chmod(0o777)
    assert exposed_files(settings) == [
        f"{tmp_path / 'b.db'} may be read by everybody.",
        f"{secrets} may be changed by others.",
        f"{secrets / 'web__token'} may be changed by others.",
    ]
