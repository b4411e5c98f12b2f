"""API users (MyPreferences `Create user`)."""

from __future__ import annotations

import msgspec

from bridge.mypreferences.wire.codec import Number


class User(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A user to be created. Its source group is stamped on each choice that it records. Which of these the
    service needs beside the name, its page does not say."""

    user_name: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    description: str | None = None
    user_groups: list[str] | None = None
    source_group_id: str | None = msgspec.field(default=None, name="SourceGroupID")


class UserCreated(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """The number that the service gave it, and when."""

    user_id: Number
    submitted_time: str | None = None
