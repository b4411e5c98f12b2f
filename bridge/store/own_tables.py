"""The tables about the bridge itself: its clock and facts, both catalogues, approvals, ledger and lease."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.core.catalogue import CatalogueKind
from bridge.store.columns import Document, UtcMicros
from bridge.store.metadata import Number, metadata, one_of

# the bridge's own times

clock = sa.Table(
    "clock",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("newest", UtcMicros, nullable=False),  # the newest time that any process has stored
    sa.CheckConstraint("id = 1", name="one_row"),
)

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# what exists at both sides

catalogue_reads = sa.Table(
    "catalogue_reads",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("read_at", UtcMicros, nullable=False),
    one_of("kind", CatalogueKind),
)

catalogue = sa.Table(
    "catalogue",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("body", Document, nullable=False),
    one_of("kind", CatalogueKind),
)

catalogue_changes = sa.Table(
    "catalogue_changes",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("at", UtcMicros, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("news", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    one_of("kind", CatalogueKind),
)

# what people let the bridge do

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("by", sa.Text),  # the name of an account
    sa.Column("note", sa.Text),
    sa.Column("given_at", UtcMicros, nullable=False),
    sa.Column("used_at", UtcMicros),
    sa.Index(None, "subject"),
    sqlite_autoincrement=True,
)

# the ledger

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("seq", Number, primary_key=True, autoincrement=False),
    sa.Column("at", UtcMicros, nullable=False),
    sa.Column("run", sa.Text),
    sa.Column("person_id", Number),  # no foreign key: the record outlives the person it is about
    sa.Column("topic", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False, unique=True),  # no two entries follow the same one
    sa.Column("hash", sa.Text, nullable=False),
    sa.CheckConstraint("seq > 0", name="seq"),
    sa.CheckConstraint("length(hash) = 64 AND length(prev_hash) = 64", name="hashes"),
    sa.Index(None, "person_id"),
)

_is_settled = sa.text("kind = 'settled'")
sa.Index("ix_ledger_settled", ledger.c.at, sqlite_where=_is_settled, postgresql_where=_is_settled)

ledger_head = sa.Table(
    "ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", Number, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column(
        "settled", sa.BigInteger, nullable=False, server_default="0"
    ),  # the last entry with a total; 0: none
    sa.Column("key_id", sa.Text),  # names the key of the signature; none: there was no key
    sa.Column("signature", sa.Text),
    sa.CheckConstraint("id = 1", name="one_row"),
)

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("until", UtcMicros, nullable=False),
    sa.Column("fence", Number, nullable=False),
    sa.Column("since", UtcMicros, nullable=False, server_default="0"),  # since when this owner has it
    sa.CheckConstraint("fence > 0", name="fence"),
)
