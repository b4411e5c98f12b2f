"""`bridge forget`: says what it will do, asks, does it, and says what is left."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_town import Call, Town

from bridge.core.erasure import SideErasure
from bridge.dotdigital.eraser import DotdigitalEraser
from bridge.mypreferences.eraser import MyPreferencesEraser
from bridge.sandbox.faults import Fault
from bridge.settings import Settings
from bridge.settings.erasure_key import key_file, key_of
from bridge.store import Store

ANNA = "anna.archer@example.com"
KEY = "a long random word"


@pytest.fixture
def keyed(call: Call, town: Town, monkeypatch: pytest.MonkeyPatch) -> Call:
    """With the key, both sides read once, and nobody at a terminal."""
    monkeypatch.setenv("BRIDGE_ERASURE_KEY", KEY)
    town.world.dotdigital.switches.delete_polls = 0
    assert call("reconcile").code in (0, 3)
    return call


def is_there(town: Town) -> tuple[bool, bool]:
    contact = town.world.dotdigital.find(ANNA)
    return bool(town.world.mypreferences.find(ANNA)), contact is not None and not contact.binned


def database(tmp_path: Path) -> bytes:
    files = [one for one in tmp_path.glob("bridge.db*") if one.suffix != ".erasure-key"]
    return b"".join(one.read_bytes() for one in files)


def test_without_a_key_the_first_erasure_makes_one_beside_the_state_db(
    call: Call, town: Town, tmp_path: Path
) -> None:
    town.world.dotdigital.switches.delete_polls = 0
    said = call("forget", ANNA, "--yes")
    assert said.code == 0
    assert is_there(town) == (False, False)
    key = tmp_path / "bridge.db.erasure-key"
    assert key.name in "".join(said.err.split())
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in said.out + said.err
    made = key.read_bytes()
    assert call("forget", "bert@example.com", "--only-here", "--yes").code == 0
    assert key.read_bytes() == made
    assert made.strip() not in database(tmp_path)
    assert not call("reconcile", "--json").json["warnings"]


def test_no_new_key_is_made_while_there_are_marks_of_a_lost_one(
    call: Call, town: Town, tmp_path: Path
) -> None:
    call("forget", "bert@example.com", "--only-here", "--yes")
    key = tmp_path / "bridge.db.erasure-key"
    kept = key.read_text()
    key.unlink()
    said = call("forget", ANNA, "--yes")
    assert said.code == 2
    assert "BRIDGE_ERASURE_KEY" in said.err
    assert is_there(town) == (True, True)
    key.write_text("\n")
    assert call("forget", ANNA, "--yes").code == 2
    key.unlink()
    assert call("forget", ANNA, "--yes", ERASURE_KEY=kept.strip()).code == 0


def test_a_state_db_that_is_no_file_needs_the_operators_key() -> None:
    url = "postgresql+psycopg://bridge@localhost/bridge"
    assert key_file(Settings(database_url=url)) is None
    assert key_of(Settings(database_url=url)) is None


def test_a_dry_run_says_what_would_be_done_and_does_nothing(keyed: Call, town: Town) -> None:
    said = keyed("forget", ANNA, "--dry-run")
    assert said.code == 0
    assert "a…@example.com" in said.out
    assert "suppressed, then deleted" in said.out
    assert f"profile {town.profiles['anna']}" in said.out
    assert ANNA not in said.out + said.err
    told = keyed("forget", ANNA, "--dry-run", "--json").json
    assert (told["erased"], told["here"]) == (False, True)
    assert is_there(town) == (True, True)
    assert keyed("explain", ANNA).code == 0


def test_nobody_is_erased_unasked(keyed: Call, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = keyed("forget", ANNA)
    assert said.code == 2
    assert "--yes" in said.err
    assert is_there(town) == (True, True)


def test_a_person_is_erased_everywhere_and_no_output_holds_the_address(
    keyed: Call, process: Call, town: Town, tmp_path: Path
) -> None:
    assert ANNA.encode() in database(tmp_path)
    said = process("forget", ANNA, "--yes", "--debug", BRIDGE_ERASURE_KEY=KEY)
    assert said.code == 0, said.err
    assert is_there(town) == (False, False)
    assert ANNA not in said.out + said.err
    assert "only the erasure marker remains" in said.out
    assert ANNA.encode() not in database(tmp_path)
    assert keyed("ledger", "verify").code == 0
    assert "no person with this address" in keyed("explain", ANNA).err
    again = keyed("reconcile", "--full", "--json")
    assert sum(sum(writes.values()) for writes in again.json["writes"].values()) == 0
    assert ANNA.encode() not in database(tmp_path)


def test_the_address_may_come_by_standard_input(
    keyed: Call, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f" {ANNA}\n"))
    said = keyed("forget", "-", "--yes", "--json")
    assert said.code == 0, said.err
    assert (said.json["person"], said.json["erased"]) == ("a…@example.com", True)
    assert said.json["sides"]["mypreferences"]["left"] == []
    assert is_there(town) == (False, False)


def test_several_addresses_come_by_standard_input_one_a_line(
    keyed: Call, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are blocked before the first is deleted."""
    lines = f"{ANNA}\n\n{ANNA.upper()}\nben.baker@example.com\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    planned = keyed("forget", "-", "--dry-run", "--json")
    assert [one["person"] for one in planned.json["people"]] == ["a…@example.com", "b…@example.com"]
    assert is_there(town) == (True, True)
    town.world.dotdigital.calls.reset()
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    said = keyed("forget", "-", "--yes", "--json")
    assert said.code == 0, said.err
    assert [one["erased"] for one in said.json["people"]] == [True, True]
    assert is_there(town) == (False, False)
    calls = town.world.dotdigital.calls
    assert (calls.count("bulk-suppress-contacts"), calls.count("deleteContacts")) == (1, 2)


def test_a_batch_that_cannot_be_blocked_together_is_blocked_one_by_one(
    keyed: Call, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = Fault("bulk-suppress-contacts", "status", status=403, body="{}", times=1)
    town.world.dotdigital.faults.add(refusal)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ANNA}\nben.baker@example.com\n"))
    said = keyed("forget", "-", "--yes", "--json")
    assert said.code == 0, said.err
    assert [one["erased"] for one in said.json["people"]] == [True, True]
    assert is_there(town) == (False, False)
    assert town.world.dotdigital.calls.count("bulk-suppress-contacts") == 3


def test_a_list_with_something_else_in_it_erases_nobody(
    keyed: Call, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ANNA}\nname,address\n"))
    said = keyed("forget", "-", "--yes")
    assert said.code == 2
    assert ANNA not in said.out + said.err
    assert is_there(town) == (True, True)


def test_repeating_it_finds_nobody_and_is_no_error(keyed: Call) -> None:
    keyed("forget", ANNA, "--yes")
    said = keyed("forget", ANNA, "--yes")
    assert said.code == 0
    assert "No record of this address exists" in said.err


def test_erasing_here_alone_calls_nobody(keyed: Call, town: Town, tmp_path: Path) -> None:
    before = town.world.dotdigital.calls.count("getContact")
    said = keyed("forget", ANNA, "--only-here", "--yes")
    assert said.code == 0
    assert is_there(town) == (True, True)
    assert town.world.dotdigital.calls.count("getContact") == before
    assert ANNA.encode() not in database(tmp_path)
    keyed("forget", ANNA, "--only-here", "--dry-run")


@pytest.mark.parametrize("text", ["", "anna", "a@b@c", "a b@example.com", "@example.com"])
def test_what_is_no_address_is_not_looked_for(keyed: Call, text: str) -> None:
    said = keyed("forget", text, "--yes")
    assert said.code == 2
    assert "address" in said.err


def test_a_side_that_cannot_be_reached_leaves_it_to_be_repeated(
    keyed: Call, town: Town, settings: dict[str, str]
) -> None:
    said = keyed("forget", ANNA, "--yes", DOTDIGITAL__BASE_URL="http://127.0.0.1:9")
    assert said.code == 5
    assert "Run `bridge forget` again" in said.err
    assert is_there(town) == (False, True)
    status = keyed("status")
    assert (status.code, "not finished: repeat `bridge forget`" in status.out) == (3, True)
    assert any("not wholly erased" in one["what"] for one in keyed("doctor", "--json").json["checks"])
    done = keyed("forget", ANNA, "--yes", DOTDIGITAL__BASE_URL=settings["BRIDGE_DOTDIGITAL__BASE_URL"])
    assert done.code == 0
    assert is_there(town) == (False, False)


def test_what_a_person_has_to_do_is_said_and_ends_with_3(
    keyed: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        MyPreferencesEraser, "erase", lambda *_: SideErasure(left=("delete profile 7 by hand",))
    )
    monkeypatch.setattr(DotdigitalEraser, "erase", lambda *_: SideErasure())
    said = keyed("forget", ANNA, "--yes")
    assert said.code == 3
    assert "MyPreferences: delete profile 7 by hand." in said.out


def test_marks_of_a_lost_key_are_given_up_only_on_command(keyed: Call, settings: dict[str, str]) -> None:
    keyed("forget", ANNA, "--yes")
    other = {"ERASURE_KEY": "quite another random word"}
    warned = keyed("reconcile", "--json", **other)
    assert any("BRIDGE_ERASURE_KEY" in warning for warning in warned.json["warnings"])
    checks = keyed("doctor", "--json").json["checks"]
    assert any("BRIDGE_ERASURE_KEY" in one["what"] and one["state"] == "bad" for one in checks)
    assert keyed("forget", ANNA, "--drop-unreadable").code == 2
    said = keyed("forget", "--drop-unreadable", "--yes", "--json")
    assert (said.code, said.json) == (0, {"dropped": 1})
    assert "can be read" in keyed("forget", "--drop-unreadable", "--yes").out
    with Store.reader(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store:
        assert store.erasures.unreadable() == 0


def test_other_addresses_of_a_shared_record_are_named_and_left(
    keyed: Call, town: Town, tmp_path: Path
) -> None:
    """It may be the same human, or somebody else in the house."""
    both = [("Primary", ANNA), ("Work", "work@example.com")]
    town.world.mypreferences.add_profile(both, preferences={})
    town.world.dotdigital.add_contact("work@example.com")
    keyed("reconcile", "--full")
    said = keyed("forget", ANNA, "--dry-run")
    assert "shared records with w…@example.com" in " ".join(said.out.split())
    assert keyed("forget", ANNA, "--dry-run", "--json").json["other_addresses"] == ["w…@example.com"]
    done = keyed("forget", ANNA, "--yes")
    assert done.code == 3
    assert "holds other addresses too" in " ".join(done.out.split())
    assert keyed("explain", "work@example.com").code == 0
    assert ANNA.encode() not in database(tmp_path)
