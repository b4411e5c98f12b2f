"""What an account is configured with: programs, filters, consent types. Data, given at construction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bridge.sandbox.mypreferences.records import ADDRESS, EMAIL, KINDS, Kind


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


@dataclass(frozen=True)
class ConsentVersion:
    """A version of a consent type and the locales it is worded in."""

    version: str = "1.0"
    locales: tuple[str, ...] = ("en_US",)
    expiration_in_days: int | None = None


@dataclass(frozen=True)
class ConsentType:
    """A consent people may give."""

    type_name: str
    versions: tuple[ConsentVersion, ...] = (ConsentVersion(),)


@dataclass(frozen=True)
class Coupling:
    """Ties a consent type to a filter: withdrawing one takes the other down."""

    consent_type: str
    filter_id: str


@dataclass(frozen=True)
class Config:
    """One account. Names are compared without regard to case and answered as configured here."""

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

    def program_of(self, filter_id: str) -> Program:
        """The program a configured filter belongs to. Raises KeyError for an unknown filter."""
        return self._filters[filter_id.lower()][0]

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
