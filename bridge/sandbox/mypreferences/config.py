"""What an account is configured with: programs, filters, consent types; and how its owner changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from bridge.sandbox.mypreferences.records import ADDRESS, EMAIL, KINDS, ContactKind

Pairs = tuple[tuple[str, str], ...]
"""Custom properties (key, value), or names by locale (locale, text)."""
Change = Callable[[Any], Any]
"""Returns a changed program, filter or consent type, or None to remove it."""


@dataclass(frozen=True)
class FilterConfig:
    """One program on one channel: the only key a caller sends with a preference.

    `parent` names the filter from which an unstated preference is inherited (Preference Propagation).
    """

    filter_id: str
    channel: str = "Email"
    frequencies: tuple[str, ...] = ()
    default_frequency: str | None = None
    parent: str | None = None
    active: bool = True
    properties: Pairs = ()
    attributes: tuple[str, ...] = ()

    @property
    def kind(self) -> ContactKind | None:
        """The kind of contact point that holds its preferences; None: the profile itself does (Solicit)."""
        return next((kind for kind in KINDS if self.channel.lower() in kind.channels), None)


@dataclass(frozen=True)
class ProgramConfig:
    """One communication offering with its filters. `names` are its names in other locales."""

    program_id: str
    name: str
    filters: tuple[FilterConfig, ...]
    program_type: str = "Marketing"
    active: bool = True
    properties: Pairs = ()
    names: Pairs = ()


@dataclass(frozen=True)
class ProgramGroupConfig:
    """A category of programs (by their ids), which may hold further groups."""

    group_id: str
    name: str
    programs: tuple[str, ...] = ()
    groups: tuple[ProgramGroupConfig, ...] = ()
    properties: Pairs = ()
    names: Pairs = ()


@dataclass(frozen=True)
class ConsentVersionConfig:
    """A version of a consent type and the locales it is written in."""

    version: str = "1.0"
    locales: tuple[str, ...] = ("en_US",)
    expiration_in_days: int | None = None
    active: bool = True


@dataclass(frozen=True)
class ConsentTypeConfig:
    """A consent people may give."""

    type_name: str
    versions: tuple[ConsentVersionConfig, ...] = (ConsentVersionConfig(),)
    active: bool = True


@dataclass(frozen=True)
class Coupling:
    """Couples a consent type to a filter: withdrawing one withdraws the other."""

    consent_type: str
    filter_id: str


@dataclass
class AccountConfig:
    """One account. Names are compared without regard to case and answered as configured here.

    `type_consents` ties consents to contact types (type name, consent name). What is `hidden` (ids of
    programs, filters and consents) exists, but the API user may not see it: answers leave it out.
    """

    account: str
    programs: tuple[ProgramConfig, ...]
    consent_types: tuple[ConsentTypeConfig, ...] = ()
    couplings: tuple[Coupling, ...] = ()
    email_types: tuple[str, ...] = ("Primary", "Work")
    phone_types: tuple[str, ...] = ("Mobile", "Home")
    address_types: tuple[str, ...] = ("Home", "Office")
    alternate_id_types: tuple[str, ...] = ("CrmId",)
    customer_types: tuple[str, ...] = ("Customer",)
    default_locale: str = "en_US"
    program_groups: tuple[ProgramGroupConfig, ...] = ()
    group_types: tuple[str, ...] = ("Household",)
    type_consents: Pairs = ()
    hidden: frozenset[str] = frozenset()

    def change(self, **parts: Any) -> None:
        """Replace fields. Raises ValueError for a field that it does not have."""
        known = {item.name for item in fields(self)} - {"account"}
        if unknown := sorted(set(parts) - known):
            raise ValueError(f"an account has no {unknown[0]!r}; it has {', '.join(sorted(known))}")
        for name, value in parts.items():
            setattr(self, name, value)
        for cached in ("_filters", "_consents"):
            self.__dict__.pop(cached, None)

    def shown(self, name: str) -> bool:
        """Whether the API user may see the program, filter or consent of that id."""
        return name not in self.hidden

    @cached_property
    def _filters(self) -> dict[str, tuple[ProgramConfig, FilterConfig]]:
        return {
            item.filter_id.lower(): (program, item) for program in self.programs for item in program.filters
        }

    @cached_property
    def _consents(self) -> dict[str, ConsentTypeConfig]:
        return {item.type_name.lower(): item for item in self.consent_types}

    def filter(self, filter_id: str) -> FilterConfig | None:
        """The filter of that id, or None."""
        found = self._filters.get(filter_id.lower())
        return found[1] if found else None

    def program_of(self, filter_id: str) -> ProgramConfig | None:
        """The program of a filter; None once the filter is gone, though people still have choices for it."""
        found = self._filters.get(filter_id.lower())
        return found[0] if found else None

    def program(self, program_id: str) -> ProgramConfig | None:
        """The program of that id, or None."""
        return next((item for item in self.programs if item.program_id.lower() == program_id.lower()), None)

    def filters(self) -> list[FilterConfig]:
        """All filters, in the order of their programs."""
        return [item for _, item in self._filters.values()]

    def children(self, filter_id: str) -> list[str]:
        """Ids of the filters that name a filter as their parent."""
        wanted = filter_id.lower()
        return [item.filter_id for item in self.filters() if (item.parent or "").lower() == wanted]

    def consent_type(self, type_name: str) -> ConsentTypeConfig | None:
        """The consent type of that name, or None."""
        return self._consents.get(type_name.lower())

    def consents_of(self, filter_id: str) -> list[str]:
        """Names of the consent types coupled to a filter."""
        return [item.consent_type for item in self.couplings if item.filter_id.lower() == filter_id.lower()]

    def filters_of(self, consent_type: str) -> list[str]:
        """Ids of the filters coupled to a consent type."""
        wanted = consent_type.lower()
        return [item.filter_id for item in self.couplings if item.consent_type.lower() == wanted]

    def types_of(self, kind: ContactKind) -> tuple[str, ...]:
        """The configured types of a kind of contact point; the first is taken where none is sent."""
        return (
            self.email_types if kind is EMAIL else self.address_types if kind is ADDRESS else self.phone_types
        )


def spelled_as(name: str, known: Iterable[str]) -> str | None:
    """The spelling among `known` of a name in any case, or None."""
    return next((item for item in known if item.lower() == name.lower()), None)


def sample_config(account: str = "ACME_Corp", **changes: Any) -> AccountConfig:
    """A small account: a newsletter, offers in two frequencies, two consents. `changes` replace fields."""
    offers = FilterConfig("OFFERS_EMAIL", "Email", ("DAILY", "WEEKLY"), "WEEKLY")
    parts: dict[str, Any] = {
        "programs": (
            ProgramConfig("NEWS", "Newsletter", (FilterConfig("NEWS_EMAIL"),)),
            ProgramConfig("OFFERS", "Offers", (offers,)),
        ),
        "consent_types": (ConsentTypeConfig("EmailMarketing"), ConsentTypeConfig("Profiling")),
    }
    return AccountConfig(account=account, **{**parts, **changes})


class AccountAdmin:
    """Edits one account's programs and consents. A name that is not configured raises ValueError."""

    def __init__(self, config: AccountConfig) -> None:
        self._config = config

    def add_program(self, program: ProgramConfig) -> None:
        """Configure one more program."""
        self._config.change(programs=(*self._config.programs, program))

    def rename(self, program_id: str, name: str) -> None:
        """Give a program another name; its ids stay."""
        self._program(program_id, lambda one: replace(one, name=name))

    def activate(self, name: str, *, active: bool = True) -> None:
        """Switch the program, filter or consent of that name on or off."""
        self._any(name, lambda one: replace(one, active=active))

    def remove(self, name: str) -> None:
        """Remove a program, a filter or a consent. What people said about it stays on their profiles."""
        self._any(name, lambda _: None)

    def set_channel(self, filter_id: str, channel: str) -> None:
        """Move a filter to another channel."""
        self._filter(filter_id, lambda one: replace(one, channel=channel))

    def set_frequencies(self, filter_id: str, *frequencies: str) -> None:
        """Give a filter other frequencies, the first its default."""
        first = frequencies[0] if frequencies else None
        self._filter(filter_id, lambda one: replace(one, frequencies=frequencies, default_frequency=first))

    def set_versions(self, consent_type: str, *versions: ConsentVersionConfig) -> None:
        """Give a consent other versions."""
        self._consent_type(consent_type, lambda one: replace(one, versions=versions))

    def hide(self, *names: str) -> None:
        """Let the API user see all but these programs, filters and consents."""
        self._config.change(hidden=frozenset(names))

    def carry_out(self, act: str, wanted: dict[str, Any]) -> None:
        """One change given as JSON, for the control surface. Raises ValueError for any other."""
        match act, wanted:
            case "rename", {"program": str(name), "to": str(to)}:
                self.rename(name, to)
            case "activate", {"name": str(name)}:
                self.activate(name)
            case "deactivate", {"name": str(name)}:
                self.activate(name, active=False)
            case "remove", {"name": str(name)}:
                self.remove(name)
            case "channel", {"filter": str(name), "to": str(to)}:
                self.set_channel(name, to)
            case "frequencies", {"filter": str(name), "to": list(to)}:
                self.set_frequencies(name, *map(str, to))
            case "versions", {"consent": str(name), "to": list(to)}:
                self.set_versions(name, *(_version(one) for one in to))
            case "add", {"program": str(program_id), "name": str(name), "filter": str(filter_id)}:
                filters = (FilterConfig(filter_id, wanted.get("channel", "Email")),)
                self.add_program(ProgramConfig(program_id, name, filters))
            case _:
                raise ValueError(f"{act!r} with {sorted(wanted)} is no change of the configuration")

    def _any(self, name: str, change: Change) -> None:
        if self._config.program_of(name) is not None:
            self._filter(name, change)
        elif self._config.program(name) is not None:
            self._program(name, change)
        else:
            self._consent_type(name, change)

    def _program(self, name: str, change: Change) -> None:
        self._config.change(programs=_changed(self._config.programs, "program_id", name, change))

    def _filter(self, name: str, change: Change) -> None:
        program = self._config.program_of(name)
        if program is None:
            raise ValueError(f"no filter {name!r} is configured")
        filters = _changed(program.filters, "filter_id", name, change)
        self._program(program.program_id, lambda one: replace(one, filters=filters))

    def _consent_type(self, name: str, change: Change) -> None:
        found = _changed(self._config.consent_types, "type_name", name, change)
        self._config.change(consent_types=found)


def _changed(known: tuple[Any, ...], id_field: str, name: str, change: Change) -> tuple[Any, ...]:
    after = []
    found = False
    for one in known:
        if getattr(one, id_field).lower() == name.lower():
            found, one = True, change(one)
        if one is not None:
            after.append(one)
    if not found:
        raise ValueError(f"no {name!r} is configured")
    return tuple(after)


def _version(item: Any) -> ConsentVersionConfig:
    if not isinstance(item, dict) or not isinstance(item.get("version"), str):
        raise ValueError('a version is {"version": "1.0", "locales": ["en_US"]}')
    return ConsentVersionConfig(item["version"], tuple(item.get("locales", ("en_US",))))
