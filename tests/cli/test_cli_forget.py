"""`bridge forget`: says what it will do, asks, does it, and says what is left."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_world import Call, CliWorld

from bridge.core.erasure import SideErasure
from bridge.dotdigital.eraser import DotdigitalEraser
from bridge.mypreferences.eraser import MyPreferencesEraser
from bridge.sandbox.faults import InjectedFault
from bridge.settings import Settings
from bridge.settings.load import key_file, key_of
from bridge.store import Store

ANNA = "anna.archer@example.com"
KEY = "a long random word"


@pytest.fixture
def keyed(call: Call, cli_world: CliWorld, monkeypatch: pytest.MonkeyPatch) -> Call:
    """With the key, both sides read once, and nobody at a terminal."""
    monkeypatch.setenv("BRIDGE_ERASURE_KEY", KEY)
    cli_world.services.dotdigital.switches.delete_polls = 0
    assert call("reconcile").code in (0, 3)
    return call


def is_there(cli_world: CliWorld) -> tuple[bool, bool]:
    contact = cli_world.services.dotdigital.find(ANNA)
    return bool(cli_world.services.mypreferences.find(ANNA)), contact is not None and not contact.binned


def database(tmp_path: Path) -> bytes:
    files = [one for one in tmp_path.glob("bridge.db*") if one.suffix != ".erasure-key"]
    return b"".join(one.read_bytes() for one in files)


def test_without_a_key_the_first_erasure_makes_one_beside_the_state_db(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    cli_world.services.dotdigital.switches.delete_polls = 0
    result = call("forget", ANNA, "--yes")
    assert result.code == 0
    assert is_there(cli_world) == (False, False)
    key = tmp_path / "bridge.db.erasure-key"
    assert key.name in "".join(result.err.split())
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in result.out + result.err
    made = key.read_bytes()
    assert call("forget", "bert@example.com", "--only-here", "--yes").code == 0
    assert key.read_bytes() == made
    assert made.strip() not in database(tmp_path)
    assert not call("reconcile", "--json").json["warnings"]


def test_no_new_key_is_made_while_there_are_marks_of_a_lost_one(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    call("forget", "bert@example.com", "--only-here", "--yes")
    key = tmp_path / "bridge.db.erasure-key"
    kept = key.read_text()
    key.unlink()
    result = call("forget", ANNA, "--yes")
    assert result.code == 2
    assert "BRIDGE_ERASURE_KEY" in result.err
    assert is_there(cli_world) == (True, True)
    key.write_text("\n")
    assert call("forget", ANNA, "--yes").code == 2
    key.unlink()
    assert call("forget", ANNA, "--yes", ERASURE_KEY=kept.strip()).code == 0


def test_a_state_db_that_is_no_file_needs_the_operators_key() -> None:
    url = "postgresql+psycopg://bridge@localhost/bridge"
    assert key_file(Settings(database_url=url)) is None
    assert key_of(Settings(database_url=url)) is None


def test_a_dry_run_says_what_would_be_done_and_does_nothing(keyed: Call, cli_world: CliWorld) -> None:
    result = keyed("forget", ANNA, "--dry-run")
    assert result.code == 0
    assert "a…@example.com" in result.out
    assert "suppressed, then deleted" in result.out
    assert f"profile {cli_world.profiles['anna']}" in result.out
    assert ANNA not in result.out + result.err
    preview = keyed("forget", ANNA, "--dry-run", "--json").json
    assert (preview["erased"], preview["here"]) == (False, True)
    assert is_there(cli_world) == (True, True)
    assert keyed("explain", ANNA).code == 0


def test_nobody_is_erased_unasked(keyed: Call, cli_world: CliWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    result = keyed("forget", ANNA)
    assert result.code == 2
    assert "--yes" in result.err
    assert is_there(cli_world) == (True, True)


def test_a_person_is_erased_everywhere_and_no_output_holds_the_address(
    keyed: Call, process: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    assert ANNA.encode() in database(tmp_path)
    result = process("forget", ANNA, "--yes", "--debug", BRIDGE_ERASURE_KEY=KEY)
    assert result.code == 0, result.err
    assert is_there(cli_world) == (False, False)
    assert ANNA not in result.out + result.err
    assert "only the erasure marker remains" in result.out
    assert ANNA.encode() not in database(tmp_path)
    assert keyed("ledger", "verify").code == 0
    assert "no person with this address" in keyed("explain", ANNA).err
    again = keyed("reconcile", "--full", "--json")
    assert sum(sum(writes.values()) for writes in again.json["writes"].values()) == 0
    assert ANNA.encode() not in database(tmp_path)


def test_the_address_may_come_by_standard_input(
    keyed: Call, cli_world: CliWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f" {ANNA}\n"))
    result = keyed("forget", "-", "--yes", "--json")
    assert result.code == 0, result.err
    assert (result.json["person"], result.json["erased"]) == ("a…@example.com", True)
    assert result.json["sides"]["mypreferences"]["left"] == []
    assert is_there(cli_world) == (False, False)


def test_several_addresses_come_by_standard_input_one_a_line(
    keyed: Call, cli_world: CliWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are blocked before the first is deleted."""
    lines = f"{ANNA}\n\n{ANNA.upper()}\nben.baker@example.com\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    planned = keyed("forget", "-", "--dry-run", "--json")
    assert [one["person"] for one in planned.json["people"]] == ["a…@example.com", "b…@example.com"]
    assert is_there(cli_world) == (True, True)
    cli_world.services.dotdigital.calls.reset()
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    result = keyed("forget", "-", "--yes", "--json")
    assert result.code == 0, result.err
    assert [one["erased"] for one in result.json["people"]] == [True, True]
    assert is_there(cli_world) == (False, False)
    calls = cli_world.services.dotdigital.calls
    assert (calls.count("bulk-suppress-contacts"), calls.count("deleteContacts")) == (1, 2)


def test_a_batch_that_cannot_be_blocked_together_is_blocked_one_by_one(
    keyed: Call, cli_world: CliWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = InjectedFault("bulk-suppress-contacts", "status", status=403, body="{}", times=1)
    cli_world.services.dotdigital.faults.add(refusal)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ANNA}\nben.baker@example.com\n"))
    result = keyed("forget", "-", "--yes", "--json")
    assert result.code == 0, result.err
    assert [one["erased"] for one in result.json["people"]] == [True, True]
    assert is_there(cli_world) == (False, False)
    assert cli_world.services.dotdigital.calls.count("bulk-suppress-contacts") == 3


def test_a_list_with_something_else_in_it_erases_nobody(
    keyed: Call, cli_world: CliWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ANNA}\nname,address\n"))
    result = keyed("forget", "-", "--yes")
    assert result.code == 2
    assert ANNA not in result.out + result.err
    assert is_there(cli_world) == (True, True)


def test_repeating_it_finds_nobody_and_is_no_error(keyed: Call) -> None:
    keyed("forget", ANNA, "--yes")
    result = keyed("forget", ANNA, "--yes")
    assert result.code == 0
    assert "No record of this address exists" in result.err


def test_erasing_here_alone_calls_nobody(keyed: Call, cli_world: CliWorld, tmp_path: Path) -> None:
    before = cli_world.services.dotdigital.calls.count("getContact")
    result = keyed("forget", ANNA, "--only-here", "--yes")
    assert result.code == 0
    assert is_there(cli_world) == (True, True)
    assert cli_world.services.dotdigital.calls.count("getContact") == before
    assert ANNA.encode() not in database(tmp_path)
    keyed("forget", ANNA, "--only-here", "--dry-run")


@pytest.mark.parametrize("text", ["", "anna", "a@b@c", "a b@example.com", "@example.com"])
def test_an_invalid_address_is_not_searched_for(keyed: Call, text: str) -> None:
    result = keyed("forget", text, "--yes")
    assert result.code == 2
    assert "address" in result.err


def test_a_side_that_cannot_be_reached_leaves_it_to_be_repeated(
    keyed: Call, cli_world: CliWorld, settings: dict[str, str]
) -> None:
    result = keyed("forget", ANNA, "--yes", DOTDIGITAL__BASE_URL="http://127.0.0.1:9")
    assert result.code == 5
    assert "Run `bridge forget` again" in result.err
    assert is_there(cli_world) == (False, True)
    status = keyed("status")
    assert (status.code, "not finished: run `bridge forget` again" in status.out) == (3, True)
    assert any("not finished" in one["what"] for one in keyed("doctor", "--json").json["checks"])
    done = keyed("forget", ANNA, "--yes", DOTDIGITAL__BASE_URL=settings["BRIDGE_DOTDIGITAL__BASE_URL"])
    assert done.code == 0
    assert is_there(cli_world) == (False, False)


def test_what_a_person_has_to_do_is_said_and_ends_with_3(
    keyed: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        MyPreferencesEraser, "erase", lambda *_: SideErasure(left=("delete profile 7 by hand",))
    )
    monkeypatch.setattr(DotdigitalEraser, "erase", lambda *_: SideErasure())
    result = keyed("forget", ANNA, "--yes")
    assert result.code == 3
    assert "MyPreferences: delete profile 7 by hand." in result.out


def test_marks_of_a_lost_key_are_given_up_only_on_command(keyed: Call, settings: dict[str, str]) -> None:
    keyed("forget", ANNA, "--yes")
    other = {"ERASURE_KEY": "quite another random word"}
    warned = keyed("reconcile", "--json", **other)
    assert any("BRIDGE_ERASURE_KEY" in warning for warning in warned.json["warnings"])
    checks = keyed("doctor", "--json").json["checks"]
    assert any("BRIDGE_ERASURE_KEY" in one["what"] and one["state"] == "bad" for one in checks)
    assert keyed("forget", ANNA, "--drop-unreadable").code == 2
    result = keyed("forget", "--drop-unreadable", "--yes", "--json")
    assert (result.code, result.json) == (0, {"dropped": 1})
    assert "can be read" in keyed("forget", "--drop-unreadable", "--yes").out
    with Store.reader(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store:
        assert store.erasures.unreadable() == 0


def test_other_addresses_of_a_shared_record_are_named_and_left(
    keyed: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    """It may be the same human, or another person in the household."""
    both = [("Primary", ANNA), ("Work", "work@example.com")]
    cli_world.services.mypreferences.add_profile(both, preferences={})
    cli_world.services.dotdigital.add_contact("work@example.com")
    keyed("reconcile", "--full")
    result = keyed("forget", ANNA, "--dry-run")
    assert "shared records with w…@example.com" in " ".join(result.out.split())
    assert keyed("forget", ANNA, "--dry-run", "--json").json["other_addresses"] == ["w…@example.com"]
    done = keyed("forget", ANNA, "--yes")
    assert done.code == 3
    assert "holds other addresses too" in " ".join(done.out.split())
    assert keyed("explain", "work@example.com").code == 0
    assert ANNA.encode() not in database(tmp_path)


def test_an_address_that_nobody_knows_is_refused_and_leaves_nothing(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    result = call("forget", "ana.archer@example.com", "--yes")
    assert result.code == 2
    assert "ana.archer" not in result.out + result.err
    assert call("forget", "ana.archer@example.com", "--check", "--json").json["erased"] is False
    assert not (tmp_path / "bridge.db.erasure-key").exists()
    assert is_there(cli_world) == (True, True)


def test_an_erasure_that_was_not_confirmed_leaves_no_key(call: Call, tmp_path: Path) -> None:
    assert call("forget", ANNA).code == 2  # not a terminal, no --yes
    assert not (tmp_path / "bridge.db.erasure-key").exists()


def test_a_check_tells_whether_and_when_a_person_was_erased(keyed: Call) -> None:
    before = keyed("forget", ANNA, "--check")
    assert before.code == 0
    assert "not erased" in before.out
    assert keyed("forget", ANNA, "--yes").code == 0
    after = keyed("forget", ANNA, "--check", "--json").json
    assert (after["erased"], after["finished"]) == (True, True)
    assert datetime.fromisoformat(after["erased_at"]) <= datetime.now(UTC)
    assert ANNA not in keyed("forget", ANNA, "--check").out
    assert ANNA in keyed("forget", ANNA, "--check", "--show-addresses").out
