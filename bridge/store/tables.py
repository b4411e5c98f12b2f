"""The tables. A person's address stands in `people` and nowhere else.

The schema itself is made by `migrations/`; a test keeps both the same.
"""

from __future__ import annotations

import sqlalchemy as sa

from bridge.core.model import Block, ChallengeState, Choice, HoldState, Side
from bridge.core.store_values import AttemptState
from bridge.store.columns import AGREED, LATCH, SEEN, VERSIONS, Document, UtcMicros, flag
from bridge.store.metadata import Number, all_are, metadata, one_of, person_column
from bridge.store.own_tables import (
    approvals,
    catalogue,
    catalogue_changes,
    catalogue_reads,
    clock,
    lease,
    ledger,
    ledger_head,
    meta,
)

__all__ = [
    "approvals",
    "catalogue",
    "catalogue_changes",
    "catalogue_reads",
    "clock",
    "lease",
    "ledger",
    "ledger_head",
    "meta",
    "metadata",
]

RUN_STATES = ("running", "done", "failed", "stopped")

# people

people = sa.Table(
    "people",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("address_key", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", UtcMicros, nullable=False),
    sa.Column("erased_at", UtcMicros),  # erased then; known again since, or not all gone yet
    sa.Column("unvetted_at", UtcMicros),  # added while nobody could tell whether they had been erased
    *(
        column
        for side in Side
        for column in (
            sa.Column(f"{side}_read_at", UtcMicros),  # the newest read of this person there
            flag(f"{side}_present", nullable=True),
        )
    ),
    sa.CheckConstraint("address_key <> ''", name="address_key"),
    *(
        sa.CheckConstraint(f"({side}_read_at IS NULL) = ({side}_present IS NULL)", name=f"{side}_read")
        for side in Side
    ),
    sqlite_autoincrement=True,  # an erased person's number is never used again
)

forgotten = sa.or_(people.c.erased_at.is_not(None), people.c.unvetted_at.is_not(None))
sa.Index("ix_people_forgotten", people.c.id, sqlite_where=forgotten, postgresql_where=forgotten)

erased = sa.Table(
    "erased",
    metadata,
    sa.Column("token", sa.Text, primary_key=True),  # a keyed hash of the address; the key is not in here
    sa.Column("key_id", sa.Text, nullable=False),  # tells one key from another, and nothing else
    sa.Column("erased_at", UtcMicros, nullable=False),
    sa.Column("finished_at", UtcMicros),  # none: not all of it is done yet
    sa.Column("known", Document, nullable=False),  # opt-outs that a side still showed then
    sa.CheckConstraint("length(token) = 64", name="token"),
    sa.Index(None, "key_id"),
)

bindings = sa.Table(
    "bindings",
    metadata,
    sa.Column("side", sa.Text, primary_key=True),
    sa.Column("external_id", sa.Text, primary_key=True),
    person_column(primary_key=True),
    sa.Column("bound_at", UtcMicros),  # the read that first showed it; none: older than this column
    one_of("side", Side),
    sa.CheckConstraint("external_id <> ''", name="external_id"),
    sa.Index(None, "person_id"),
)

former_bindings = sa.Table(
    "former_bindings",
    metadata,
    sa.Column("side", sa.Text, primary_key=True),
    sa.Column("external_id", sa.Text, primary_key=True),
    person_column(primary_key=True),
    sa.Column("until", UtcMicros, nullable=False),  # the last read that still showed it
    sa.Column("left_at", UtcMicros, nullable=False),  # when it changed, or the read that showed that it had
    one_of("side", Side),
    sa.CheckConstraint("external_id <> ''", name="external_id"),
    sa.Index(None, "person_id"),
)

successions = sa.Table(
    "successions",
    metadata,
    sa.Column("side", sa.Text, primary_key=True),
    *(
        sa.Column(name, Number, sa.ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
        for name in ("former_id", "heir_id")  # who had the record, and who has it now
    ),
    sa.Column("since", UtcMicros, nullable=False),
    one_of("side", Side),
    sa.CheckConstraint("former_id <> heir_id", name="distinct"),
    sa.Index(None, "former_id"),
    sa.Index(None, "heir_id"),
)

pins = sa.Table(
    "pins",
    metadata,
    person_column(primary_key=True),  # whose contact
    sa.Column("profile_id", sa.Text, primary_key=True),  # names this profile
    sa.CheckConstraint("profile_id <> ''", name="profile_id"),
    sa.Index(None, "profile_id"),
)

# cells


def _seen_checks(side: Side) -> list[sa.CheckConstraint]:
    read = f"{side}_read_at"  # the last one in the checks that the migrations made
    nothing, enough = (
        all_are([*(name for name in names if name != read), read], what)
        for names, what in ((SEEN[side].names, "NULL"), (SEEN[side].required, "NOT NULL"))
    )
    return [
        one_of(f"{side}_choice", Choice),
        one_of(f"{side}_block", Block),
        sa.CheckConstraint(f"{side}_records >= 0", name=f"{side}_records"),
        sa.CheckConstraint(f"{nothing} OR {enough}", name=f"{side}_seen"),
        sa.CheckConstraint(f"{side}_present OR {side}_choice = 'unset'", name=f"{side}_absent"),
    ]


cells = sa.Table(
    "cells",
    metadata,
    person_column(primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    *(column for side in Side for column in SEEN[side].make()),
    *(sa.Column(f"{side}_written_at", UtcMicros) for side in Side),  # when our last write there had ended
    *AGREED.make(),
    *(sa.Column(name, sa.Text) for name in VERSIONS.values()),
    sa.Column("agreed_stored_at", UtcMicros),
    *LATCH.make(),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),  # opt-outs sent without effect so far
    sa.Column("retry_at", UtcMicros),  # when the next one is sent
    flag("dirty"),
    *(check for side in Side for check in _seen_checks(side)),
    one_of("agreed_choice", Choice),
    one_of("withdrawal_side", Side),
    sa.CheckConstraint(
        f"{all_are([*AGREED.names, *VERSIONS.values()], 'NULL')} OR {all_are(AGREED.required, 'NOT NULL')}",
        name="agreed",
    ),
    sa.CheckConstraint("topic <> ''", name="topic"),
)
IS_DIRTY = sa.text("cells.dirty")  # as the index of what is dirty is made: `dirty = 1` would not use it
sa.Index("ix_cells_dirty", cells.c.person_id, sqlite_where=cells.c.dirty, postgresql_where=cells.c.dirty)
_waiting = cells.c.retry_at.is_not(None)
sa.Index("ix_cells_retry_at", cells.c.retry_at, sqlite_where=_waiting, postgresql_where=_waiting)

# runs and writes

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("started_at", UtcMicros, nullable=False),
    sa.Column("ended_at", UtcMicros),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("report", Document),
    one_of("state", RUN_STATES),
    sa.CheckConstraint("(state = 'running') = (ended_at IS NULL)", name="ended"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("run", sa.Text, sa.ForeignKey("runs.id"), nullable=False),
    person_column(),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("body", Document, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("begun_at", UtcMicros, nullable=False),
    sa.Column("ended_at", UtcMicros),
    sa.Column("written_at", UtcMicros),  # when the call had ended; none if it changed nothing
    flag("raises"),  # anything but withdrawals
    flag("may_apply"),  # it may have been applied, or may still be, whatever was read back
    sa.Column("error", sa.Text),
    sa.Column("code", sa.Text),
    one_of("side", Side),
    one_of("state", AttemptState),
    sa.CheckConstraint("(state = 'begun') = (ended_at IS NULL)", name="ended"),
    sa.Index(None, "person_id"),
    sqlite_autoincrement=True,
)
NOT_DONE = sa.text("attempts.state <> 'done'")  # the index of what is not done, and every query by it
sa.Index(
    "ix_attempts_not_done",
    attempts.c.state,
    sqlite_where=sa.text("state <> 'done'"),
    postgresql_where=sa.text("state <> 'done'"),
)

RAISES, WITHDRAWALS = sa.text("attempts.raises"), sa.text("NOT attempts.raises")  # in the same way
for _name, _where in (("raises", sa.text("raises")), ("withdrawals", sa.text("NOT raises"))):
    sa.Index(f"ix_attempts_{_name}", attempts.c.begun_at, sqlite_where=_where, postgresql_where=_where)

attempt_topics = sa.Table(
    "attempt_topics",
    metadata,
    sa.Column("attempt_id", Number, sa.ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("target", sa.Text),  # what the topic was mapped to; none: not known
    sa.Column("choice", sa.Text),  # what was written
    sa.Column("said_at", UtcMicros),  # the date of the statement that it rests on, where that has one
    sa.Column("shown_at", UtcMicros),  # the date that the side showed when it was proven
    flag("settled"),  # agreed, tried again or dismissed since: it no longer counts against the cell
)

# what waits

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("id", Number, primary_key=True),
    person_column(),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("ground", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("proposed", Document, nullable=False),
    sa.Column("opened_at", UtcMicros, nullable=False),
    sa.Column("answered_at", UtcMicros),  # when an operator released or dismissed it
    sa.Column("answered_by", sa.Text),
    sa.Column("note", sa.Text),  # why they did
    sa.Column("closed_at", UtcMicros),
    one_of("state", HoldState),
    sa.CheckConstraint("(state = 'open') = (answered_at IS NULL)", name="answered"),
    sa.Index(None, "person_id"),
    sqlite_autoincrement=True,
)
sa.Index(
    "uq_holds_standing",
    holds.c.person_id,
    holds.c.topic,
    unique=True,
    sqlite_where=holds.c.closed_at.is_(None),
    postgresql_where=holds.c.closed_at.is_(None),
)

challenges = sa.Table(
    "challenges",
    metadata,
    person_column(primary_key=True),
    sa.Column("opt_in_at", UtcMicros, nullable=False),  # the opt-in that was asked about
    sa.Column("sent_at", UtcMicros, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("look_at", UtcMicros),  # when to look again whether they confirmed
    one_of("state", ChallengeState),
    sa.Index(None, "look_at"),
)

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),  # one row for the same thing
    person_column(nullable=True),  # who is to be read
    sa.Column("hint_id", sa.Text),
    sa.Column("hint_person_id", Number, sa.ForeignKey("people.id", ondelete="CASCADE")),  # holds its address
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("kept_at", UtcMicros, nullable=False),
    one_of("side", Side),
    sa.CheckConstraint(
        "(person_id IS NULL) <> (hint_id IS NULL AND hint_person_id IS NULL)", name="one_kind"
    ),
    sa.CheckConstraint("tries > 0", name="tries"),
    sa.UniqueConstraint("side", "what"),
    sa.Index(None, "person_id"),
    sa.Index(None, "hint_person_id"),
    sqlite_autoincrement=True,  # what is kept again gets a new number
)

hook_hints = sa.Table(
    "hook_hints",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("profile_id", sa.Text, nullable=False),
    sa.Column("received_at", UtcMicros, nullable=False),
    sa.Column("heeded_at", UtcMicros, key="processed_at"),  # kept for a while, to know repetitions
    one_of("side", Side),
    sa.CheckConstraint("event_id <> '' AND profile_id <> ''", name="named"),
    sa.UniqueConstraint("side", "event_id"),
)
sa.Index(
    "ix_hook_hints_waiting",
    hook_hints.c.side,
    sqlite_where=hook_hints.c.processed_at.is_(None),
    postgresql_where=hook_hints.c.processed_at.is_(None),
)

followed = sa.Table(
    "followed",
    metadata,
    sa.Column("feed", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("first_at", UtcMicros, nullable=False),
    sa.Column("last_at", UtcMicros, nullable=False),
)

watermarks = sa.Table(
    "watermarks",
    metadata,
    sa.Column("feed", sa.Text, primary_key=True),
    sa.Column("at", UtcMicros, nullable=False),
    sa.Column("run", sa.Text, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("updated_at", UtcMicros, nullable=False),
)
