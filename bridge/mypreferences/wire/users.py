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


class Author(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Who recorded a preference (MyPreferences `ProfilePreference`): a user, or the system; and the source
    group of that user. Both are read only, so nothing that is written holds them."""

    user_id: str | None = None
    source_id: str | None = None

    def is_of(self, user: str, source_group: str | None) -> bool:
        """Whether it names this user, or this source group."""
        source = None if source_group is None else source_group.casefold()
        named = (self.user_id or "").casefold() == user.casefold()
        return named or (source is not None and (self.source_id or "").casefold() == source)


class AuthoredEmail(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    email_preferences: list[Author] | None = None


class Authored(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A profile, as far as who recorded its preferences."""

    emails: list[AuthoredEmail] | None = None
    profile_preferences: list[Author] | None = None

    @property
    def authors(self) -> list[Author]:
        on_emails = [one for email in self.emails or () for one in email.email_preferences or ()]
        return [*(self.profile_preferences or ()), *on_emails]
