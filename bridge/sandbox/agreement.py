"""Whether both services say the same of everybody: an impartial check over their public APIs.

It shares nothing with the bridge but the vendors' documentation, and reads over real HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.sandbox.reading import (
    IN,
    OUT,
    UNSET,
    ConsentOf,
    Contact,
    DotdigitalAccess,
    FilterOf,
    MyPreferencesAccess,
    Profile,
    Said,
    Source,
    TopicPair,
    read_dotdigital,
    read_mypreferences,
)

__all__ = [
    "Agreement",
    "ConsentOf",
    "DotdigitalAccess",
    "FilterOf",
    "MyPreferencesAccess",
    "Source",
    "TopicPair",
    "compare",
    "mask",
]

_MAILABLE = "subscribed"
_WITHDRAWN = frozenset({"unsubscribed", "ispcomplained", "directcomplaint"})


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was found. `people` are those known at both sides, `one_sided` those at one only (not compared).
    `differences` name people by their masked address."""

    people: int
    one_sided: int
    differences: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether nobody is told one thing here and another there."""
        return not self.differences


def compare(
    mypreferences: MyPreferencesAccess,
    dotdigital: DotdigitalAccess,
    topics: Sequence[TopicPair],
    channel: Source | None = None,
) -> Agreement:
    """Read everybody at both services and compare, person by person, topic by topic, and the e-mail channel
    where `channel` names what speaks of it. Silence and a no agree as far as mail goes; a no that
    Dotdigital records and MyPreferences does not is a difference.

    Raises `bridge.sandbox.reading.CannotRead` where a service does not answer as documented.
    """
    mine = read_mypreferences(mypreferences)
    theirs = read_dotdigital(
        dotdigital, [number for topic in topics for number in topic.preferences.values()]
    )
    both = sorted(mine.keys() & theirs.keys())
    found = [
        f"{mask(address)} {words}"
        for address in both
        for words in _differences(address, mine[address], theirs[address], topics, channel)
    ]
    return Agreement(len(both), len(mine.keys() ^ theirs.keys()), tuple(found))


def mask(address: str) -> str:
    """An address as it may be shown: `a…@example.com`."""
    local, at, domain = address.strip().partition("@")
    return f"{local[:1]}…{at}{domain}"


def _differences(
    address: str,
    profiles: Sequence[Profile],
    contact: Contact,
    topics: Sequence[TopicPair],
    channel: Source | None,
) -> Iterator[str]:
    for topic in topics:
        said = [one for profile in profiles for one in profile.said(address, topic.source)]
        yield from (f"{topic.id}: {words}" for words in _topic(said, contact, topic.preferences))
    if channel is not None:
        said = [one for profile in profiles for one in profile.said(address, channel)]
        yield from (f"e-mail: {words}" for words in _channel(said, contact.status))


def _topic(said: Sequence[Said], contact: Contact, preferences: Mapping[str, int]) -> Iterator[str]:
    """Each profile that shares the address must agree: any of them may be the one that is mailed."""
    inside = {name for name, number in preferences.items() if contact.preferences.get(number)}
    asked = any(number in contact.preferences for number in preferences.values())
    choices = {one.choice for one in said}
    if inside:
        if IN not in choices or OUT in choices:
            yield f"{_words(choices)} at MyPreferences, opted in at Dotdigital"
            return
        wanted = {one.frequency for one in said if one.choice == IN}
        if "" not in preferences and wanted != inside:
            yield f"{_listed(wanted)} at MyPreferences, {_listed(inside)} at Dotdigital"
    elif IN in choices:
        yield f"opted in at MyPreferences, {'opted out' if asked else 'never asked'} at Dotdigital"
    elif asked and OUT not in choices:
        yield "opted out at Dotdigital, nothing recorded at MyPreferences"


def _channel(said: Sequence[Said], status: str) -> Iterator[str]:
    """A bounce, a block or an open confirmation is no choice: it agrees with a consent that stands."""
    choices = {one.choice for one in said}
    if OUT in choices and status == _MAILABLE:
        yield "withdrawn at MyPreferences, mailable at Dotdigital"
    elif status in _WITHDRAWN and OUT not in choices:
        known = "granted" if IN in choices else "nothing recorded"
        yield f"{known} at MyPreferences, {status} at Dotdigital"


def _words(choices: set[str]) -> str:
    if IN in choices and OUT in choices:
        return "opted in and out (profiles differ)"
    return "opted out" if OUT in choices else "nothing recorded" if choices <= {UNSET} else "opted in"


def _listed(frequencies: set[str]) -> str:
    return " and ".join(sorted(frequencies)) or "no frequency"
