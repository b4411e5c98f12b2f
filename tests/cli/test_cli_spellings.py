"""One mailbox that the services spell differently is one person."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cli_world import IN, Call, CliWorld

READABLE, ASCII = "ada@bücher.example", "ada@xn--bcher-kva.example"
SPELLINGS = [
    ("plain@example.com", "plain@example.com"),
    (READABLE, ASCII),
    ("ada@xn--strae-oqa.example", "ada@straße.example"),
    ("zoë@example.com", unicodedata.normalize("NFD", "zoë@example.com")),
]


class Two:
    """One person whom the services spell differently, who agreed to the newsletter."""

    def __init__(self, world: CliWorld, mine: str, theirs: str) -> None:
        self.services = world.services
        then = self.services.clock.now() - timedelta(days=30)
        self.profile = self.services.mypreferences.add_profile(
            [("Primary", mine)], preferences={"NEWS_EMAIL": (IN, then, None)}
        )
        self.contact = self.services.dotdigital.add_contact(theirs, opt_ins={1002: (True, then)})

    def is_out_everywhere(self) -> bool:
        """Whether both services show the opt-out."""
        shown = json.dumps(self.services.mypreferences.profile(self.profile))
        contact = self.services.dotdigital.contact(self.contact)
        return '"PreferenceType": 2' in shown and not contact.opt_ins[1002].opted_in


@pytest.mark.parametrize(("mine", "theirs"), SPELLINGS)
def test_an_opt_out_arrives_under_every_spelling(
    call: Call, cli_world: CliWorld, mine: str, theirs: str
) -> None:
    there, other = Two(cli_world, mine, theirs), Two(cli_world, f"b{mine}", f"b{theirs}")
    assert call("reconcile", "--yes").code == 0
    now = cli_world.services.clock.now()
    cli_world.services.mypreferences.set_preference(there.profile, "NEWS_EMAIL", False, now)
    cli_world.services.dotdigital.set_preference(other.contact, 1002, False)
    done = call("reconcile", "--json")
    assert done.code == 0, done
    assert done.json["in_sync"]
    assert there.is_out_everywhere()
    assert other.is_out_everywhere()


def test_a_person_stored_by_an_earlier_version_is_found_under_the_other_spelling(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    """Earlier versions took an address with its domain in ASCII for another one."""
    there = Two(cli_world, READABLE, ASCII)
    assert call("reconcile", "--yes").code == 0
    with closing(sqlite3.connect(tmp_path / "bridge.db")) as db, db:
        db.execute("UPDATE people SET address_key = ? WHERE address_key = ?", (ASCII, READABLE))
    cli_world.services.dotdigital.set_preference(there.contact, 1002, False)
    done = call("reconcile", "--json")
    assert (done.code, done.json["in_sync"]) == (0, True)
    assert there.is_out_everywhere()
    for spelling in (READABLE, "ADA@XN--BCHER-KVA.example"):
        assert call("explain", spelling).code == 0
    with closing(sqlite3.connect(tmp_path / "bridge.db")) as db:
        assert db.execute("SELECT count(*) FROM people WHERE address LIKE '%ada%'").fetchone() == (1,)


def test_two_people_of_an_earlier_version_are_one_and_no_opt_out_is_lost(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    """Each side's record was another person: the record that comes to the other spelling brings its
    opt-outs."""
    there = Two(cli_world, READABLE, "other@example.com")
    assert call("reconcile", "--yes").code == 0
    with closing(sqlite3.connect(tmp_path / "bridge.db")) as db, db:
        db.execute(
            "UPDATE people SET address = ?, address_key = ? WHERE address_key = 'other@example.com'",
            (ASCII, ASCII),
        )
    cli_world.services.dotdigital.change_email(there.contact, ASCII)
    cli_world.services.dotdigital.set_preference(there.contact, 1002, False)
    call("reconcile", "--json")
    call("reconcile", "--full", "--json")
    assert there.is_out_everywhere()
