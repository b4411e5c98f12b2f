"""Settings that are safe to use: database URLs, relative paths, short secrets, files that others may read."""

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
