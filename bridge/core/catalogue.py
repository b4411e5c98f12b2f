"""What exists on the two sides and can be mapped, and what changed between two reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bridge.core.model import Side


class CatalogueKind(StrEnum):
    """What an entry is. MyPreferences has filters, consents and e-mail types, Dotdigital has the others."""

    FILTER = "filter"
    CONSENT = "consent"
    EMAIL_TYPE = "email_type"
    PREFERENCE = "preference"
    CATEGORY = "category"

    @property
    def side(self) -> Side:
        return (
            Side.DOTDIGITAL
            if self in (CatalogueKind.PREFERENCE, CatalogueKind.CATEGORY)
            else Side.MYPREFERENCES
        )

    @property
    def words(self) -> str:
        """The kind in words."""
        return "e-mail type" if self is CatalogueKind.EMAIL_TYPE else self.value


@dataclass(frozen=True, slots=True)
class CatalogueVersion:
    """A version of a consent. `locales` None: the side does not list its locales."""

    version: str
    locales: tuple[str, ...] | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a mapping can name by its `id`.

    `name` is its display name, `also` its other names, `group` the id of its program or category and
    `group_name` the name of that. What a side does not provide is empty, or None for frequencies and
    editions.
    """

    kind: CatalogueKind
    id: str
    name: str = ""
    also: tuple[str, ...] = ()
    group: str = ""
    group_name: str = ""
    channel: str = ""
    active: bool = True
    frequencies: tuple[str, ...] | None = None
    editions: tuple[CatalogueVersion, ...] | None = None

    @property
    def key(self) -> tuple[CatalogueKind, str]:
        """Identifies the entry across reads. MyPreferences does not say whether case matters."""
        return self.kind, self.id.casefold()

    @property
    def called(self) -> str:
        """Kind and id, followed by the name if it differs."""
        name = f" ({self.name})" if self.name and self.name.casefold() != self.id.casefold() else ""
        return f"{self.kind.words} {self.id}{name}"

    def edition(self, version: str) -> CatalogueVersion | None:
        """A consent's version; case is ignored."""
        wanted = version.casefold()
        return next((one for one in self.editions or () if one.version.casefold() == wanted), None)


@dataclass(frozen=True, slots=True)
class NewPreference:
    """A Dotdigital preference, or a category of preferences, to be created. `category` is the id of an
    existing category, `within` the new category that is to hold it."""

    public_name: str
    private_name: str
    is_leaf: bool = True
    is_public: bool = True
    order: str | None = None
    category: int | None = None
    within: NewPreference | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The entries of one side, or of both. `kinds` are those it was read for; it says nothing about
    others."""

    entries: tuple[Entry, ...] = ()
    kinds: frozenset[CatalogueKind] = frozenset()

    def __or__(self, more: Catalogue) -> Catalogue:
        return Catalogue((*self.entries, *more.entries), self.kinds | more.kinds)

    def of(self, kind: CatalogueKind) -> list[Entry]:
        """All entries of a kind, in their side's order."""
        return [entry for entry in self.entries if entry.kind is kind]

    def find(self, kind: CatalogueKind, name: str) -> Entry | None:
        """The entry with this id; case is ignored."""
        key = (kind, name.casefold())
        return next((entry for entry in self.entries if entry.key == key), None)


class ChangeKind(StrEnum):
    """What can happen to an entry."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    DEACTIVATED = "deactivated"
    REACTIVATED = "reactivated"
    CHANNEL_CHANGED = "channel_changed"
    FREQUENCY_GONE = "frequency_gone"
    FREQUENCY_ADDED = "frequency_added"
    VERSION_GONE = "version_gone"
    VERSION_ADDED = "version_added"
    LOCALE_GONE = "locale_gone"


@dataclass(frozen=True, slots=True)
class CatalogueChange:
    """A change of an entry between two reads."""

    kind: CatalogueKind
    id: str
    news: ChangeKind
    what: str


def catalogue_changes(before: Catalogue, after: Catalogue) -> list[CatalogueChange]:
    """The changes between two reads, for the kinds that both contain."""
    both = before.kinds & after.kinds
    old = {entry.key: entry for entry in before.entries if entry.kind in both}
    new = {entry.key: entry for entry in after.entries if entry.kind in both}
    found = [
        _change(entry, ChangeKind.REMOVED, "was removed") for key, entry in old.items() if key not in new
    ]
    found += [_change(entry, ChangeKind.ADDED, "was added") for key, entry in new.items() if key not in old]
    for key, entry in new.items():
        if key in old:
            found += [_change(entry, news, what) for news, what in _entry_changes(old[key], entry)]
    return found


def _change(entry: Entry, news: ChangeKind, what: str) -> CatalogueChange:
    return CatalogueChange(entry.kind, entry.id, news, f"{entry.called} {what}")


def _entry_changes(before: Entry, after: Entry) -> Iterator[tuple[ChangeKind, str]]:
    if before.name != after.name and before.name and after.name:
        yield ChangeKind.RENAMED, f"was renamed; its old name is {before.name}"
    if before.active and not after.active:
        yield ChangeKind.DEACTIVATED, "was deactivated"
    if after.active and not before.active:
        yield ChangeKind.REACTIVATED, "was reactivated"
    if before.channel.casefold() != after.channel.casefold() and before.channel and after.channel:
        yield ChangeKind.CHANNEL_CHANGED, f"moved from the channel {before.channel} to {after.channel}"
    if before.frequencies is not None and after.frequencies is not None:
        gone, more = _differences(before.frequencies, after.frequencies)
        yield from ((ChangeKind.FREQUENCY_GONE, f"no longer has the frequency {name}") for name in gone)
        yield from ((ChangeKind.FREQUENCY_ADDED, f"has a new frequency {name}") for name in more)
    if before.editions is not None and after.editions is not None:
        yield from _version_changes(before, after)


def _version_changes(before: Entry, after: Entry) -> Iterator[tuple[ChangeKind, str]]:
    now = [one.version for one in after.editions or () if one.active]
    gone, more = _differences([one.version for one in before.editions or () if one.active], now)
    yield from ((ChangeKind.VERSION_GONE, f"no longer has version {name}") for name in gone)
    yield from ((ChangeKind.VERSION_ADDED, f"has a new version {name}") for name in more)
    for one in before.editions or ():
        there = after.edition(one.version)
        if there is None or there.locales is None or one.locales is None:
            continue
        for locale in _differences(one.locales, there.locales)[0]:
            yield ChangeKind.LOCALE_GONE, f"no longer has the locale {locale} in version {one.version}"


def _differences(before: Iterable[str], after: Iterable[str]) -> tuple[list[str], list[str]]:
    """Entries of the first only, and of the second only; case is ignored."""
    old, new = ({one.casefold(): one for one in names} for names in (before, after))
    return [old[key] for key in old if key not in new], [new[key] for key in new if key not in old]
