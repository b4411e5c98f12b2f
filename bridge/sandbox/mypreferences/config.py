"""What an account is configured with: programs, filters, consent types. Data, given at construction and
changed as a whole by `Config.change`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from bridge.sandbox.mypreferences.records import ADDRESS, EMAIL, KINDS, Kind

Pairs = tuple[tuple[str, str], ...]
"""Custom properties (key, value), or wordings (locale, text)."""


@dataclass(frozen=True)
class Filter:
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
    def kind(self) -> Kind | None:
        """The kind of contact element its preferences hang on; None: they sit on the profile (Solicit)."""
        return next((kind for kind in KINDS if self.channel.lower() in kind.channels), None)


@dataclass(frozen=True)
class Program:
    """One communication offering with its filters."""

    program_id: str
    name: str
    filters: tuple[Filter, ...]
    program_type: str = "Marketing"
    active: bool = True
    properties: Pairs = ()
    wordings: Pairs = ()

    def worded(self, locale: str) -> str:
        """Its name in a locale; where it has none there, the one it always has."""
        return _worded(self.wordings, locale) or self.name


@dataclass(frozen=True)
class ProgramGroup:
    """A category of programs (by their ids), which may hold further groups."""

    group_id: str
    name: str
    programs: tuple[str, ...] = ()
    groups: tuple[ProgramGroup, ...] = ()
    properties: Pairs = ()
    wordings: Pairs = ()

    def worded(self, locale: str) -> str:
        """Its name in a locale; where it has none there, the one it always has."""
        return _worded(self.wordings, locale) or self.name


@dataclass(frozen=True)
class ConsentVersion:
    """A version of a consent type and the locales it is worded in."""

    version: str = "1.0"
    locales: tuple[str, ...] = ("en_US",)
    expiration_in_days: int | None = None
    active: bool = True


@dataclass(frozen=True)
class ConsentType:
    """A consent people may give."""

    type_name: str
    versions: tuple[ConsentVersion, ...] = (ConsentVersion(),)
    active: bool = True


@dataclass(frozen=True)
class Coupling:
    """Ties a consent type to a filter: withdrawing one takes the other down."""

    consent_type: str
    filter_id: str


@dataclass
class Config:
    """One account. Names are compared without regard to case and answered as configured here.

    `type_consents` ties consents to contact types (type name, consent name). What is `hidden` (ids of
    programs, filters and consents) exists, but the API user may not see it: answers leave it out.
    """

    account: str
    programs: tuple[Program, ...]
    consent_types: tuple[ConsentType, ...] = ()
    couplings: tuple[Coupling, ...] = ()
    email_types: tuple[str, ...] = ("Primary", "Work")
    phone_types: tuple[str, ...] = ("Mobile", "Home")
    address_types: tuple[str, ...] = ("Home", "Office")
    alternate_id_types: tuple[str, ...] = ("CrmId",)
    customer_types: tuple[str, ...] = ("Customer",)
    default_locale: str = "en_US"
    program_groups: tuple[ProgramGroup, ...] = ()
    group_types: tuple[str, ...] = ("Household",)
    type_consents: Pairs = ()
    hidden: frozenset[str] = frozenset()

    def change(self, **parts: Any) -> None:
        """Configure the account otherwise. Raises ValueError for a part that it does not have."""
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
    def _filters(self) -> dict[str, tuple[Program, Filter]]:
        return {
            item.filter_id.lower(): (program, item) for program in self.programs for item in program.filters
        }

    @cached_property
    def _consents(self) -> dict[str, ConsentType]:
        return {item.type_name.lower(): item for item in self.consent_types}

    def filter(self, filter_id: str) -> Filter | None:
        """The filter of that id, or None."""
        found = self._filters.get(filter_id.lower())
        return found[1] if found else None

    def program_of(self, filter_id: str) -> Program | None:
        """The program of a filter; None once the filter is gone, though people still have choices for it."""
        found = self._filters.get(filter_id.lower())
        return found[0] if found else None

    def program(self, program_id: str) -> Program | None:
        """The program of that id, or None."""
        return next((item for item in self.programs if item.program_id.lower() == program_id.lower()), None)

    def filters(self) -> list[Filter]:
        """All filters, in the order of their programs."""
        return [item for _, item in self._filters.values()]

    def channel_of(self, filter_id: str) -> str:
        """The channel of a filter in lower case, empty for an unknown one."""
        found = self.filter(filter_id)
        return found.channel.lower() if found else ""

    def heirs(self, filter_id: str) -> list[str]:
        """Ids of the filters that name a filter as their parent."""
        wanted = filter_id.lower()
        return [item.filter_id for item in self.filters() if (item.parent or "").lower() == wanted]

    def consent_type(self, type_name: str) -> ConsentType | None:
        """The consent type of that name, or None."""
        return self._consents.get(type_name.lower())

    def consents_of(self, filter_id: str) -> list[str]:
        """Names of the consent types coupled to a filter."""
        return [item.consent_type for item in self.couplings if item.filter_id.lower() == filter_id.lower()]

    def filters_of(self, consent_type: str) -> list[str]:
        """Ids of the filters coupled to a consent type."""
        wanted = consent_type.lower()
        return [item.filter_id for item in self.couplings if item.consent_type.lower() == wanted]

    def types_of(self, kind: Kind) -> tuple[str, ...]:
        """The configured types of a kind of contact element; the first stands in where none is sent."""
        return (
            self.email_types if kind is EMAIL else self.address_types if kind is ADDRESS else self.phone_types
        )

    def element_type(self, kind: Kind, name: str) -> str | None:
        """The configured spelling of a contact element's type, or None."""
        return _spelled(name, self.types_of(kind))

    def alternate_id_type(self, name: str) -> str | None:
        """The configured spelling of an alternate-id type, or None."""
        return _spelled(name, self.alternate_id_types)

    def customer_type(self, name: str) -> str | None:
        """The configured spelling of a customer type, or None."""
        return _spelled(name, self.customer_types)


def _worded(wordings: Pairs, locale: str) -> str:
    return next((text for one, text in wordings if one.lower() == locale.lower()), "")


def _spelled(name: str, known: tuple[str, ...]) -> str | None:
    return next((item for item in known if item.lower() == name.lower()), None)


def sample_config(account: str = "ACME_Corp", **changes: Any) -> Config:
    """A small account: a newsletter, offers in two frequencies, two consents. `changes` replace fields."""
    parts: dict[str, Any] = {
        "programs": (
            Program("NEWS", "Newsletter", (Filter("NEWS_EMAIL"),)),
            Program("OFFERS", "Offers", (Filter("OFFERS_EMAIL", "Email", ("DAILY", "WEEKLY"), "WEEKLY"),)),
        ),
        "consent_types": (ConsentType("EmailMarketing"), ConsentType("Profiling")),
    }
    return Config(account=account, **{**parts, **changes})
