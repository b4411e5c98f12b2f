"""Whether both services record the same of everybody: an impartial check over their public APIs.

It shares nothing with the bridge but the vendors' documentation, and reads over real HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.sandbox.vendor_reads import (
    IN,
    OUT,
    UNSET,
    DotdigitalAccess,
    ListedContact,
    MyPreferencesAccess,
    Source,
    TopicChoice,
    TopicPair,
    read_dotdigital,
    read_mypreferences,
)

_MAILABLE = "subscribed"
_WITHDRAWN = frozenset({"unsubscribed", "ispcomplained", "directcomplaint"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found. `people` are those known at both sides, `one_sided` those at one only (not compared).
    `differences` name people by their masked address."""

    people: int
    one_sided: int
    differences: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether both sides record the same of everybody they share."""
        return not self.differences


def compare(
    mypreferences: MyPreferencesAccess,
    dotdigital: DotdigitalAccess,
    topics: Sequence[TopicPair],
    channel: Source | None = None,
) -> Comparison:
    """Read everybody at both services and compare person by person: each topic, and the e-mail channel where
    `channel` names its source. Nothing recorded and an opt-out agree, since neither is mailed; an opt-out at
    Dotdigital where MyPreferences records nothing is a difference.

    Raises `bridge.sandbox.vendor_reads.CannotRead` where a service does not answer as documented.
    """
    profiles = read_mypreferences(mypreferences)
    numbers = [number for topic in topics for number in topic.preferences.values()]
    contacts = read_dotdigital(dotdigital, numbers)
    both = sorted(profiles.keys() & contacts.keys())
    found: list[str] = []
    for address in both:
        for topic in topics:
            stated = [one for profile in profiles[address] for one in profile.choices(address, topic.source)]
            differences = _topic_differences(stated, contacts[address], topic.preferences)
            found += [f"{mask(address)} {topic.id}: {text}" for text in differences]
        if channel is not None:
            stated = [one for profile in profiles[address] for one in profile.choices(address, channel)]
            differences = _channel_differences(stated, contacts[address].status)
            found += [f"{mask(address)} e-mail: {text}" for text in differences]
    return Comparison(len(both), len(profiles.keys() ^ contacts.keys()), tuple(found))


def mask(address: str) -> str:
    """An address as it may be shown: `a…@example.com`."""
    local, at, domain = address.strip().partition("@")
    return f"{local[:1]}…{at}{domain}"


def _topic_differences(
    stated: Sequence[TopicChoice], contact: ListedContact, preferences: Mapping[str, int]
) -> Iterator[str]:
    """Each profile that shares the address must agree: any of them may be the one that is mailed."""
    opted_in = {name for name, number in preferences.items() if contact.preferences.get(number)}
    asked = any(number in contact.preferences for number in preferences.values())
    choices = {one.choice for one in stated}
    if opted_in:
        if IN not in choices or OUT in choices:
            yield f"{_described(choices)} at MyPreferences, opted in at Dotdigital"
            return
        wanted = {one.frequency for one in stated if one.choice == IN}
        if "" not in preferences and wanted != opted_in:
            yield f"{_listed(wanted)} at MyPreferences, {_listed(opted_in)} at Dotdigital"
    elif IN in choices:
        yield f"opted in at MyPreferences, {'opted out' if asked else 'never asked'} at Dotdigital"
    elif asked and OUT not in choices:
        yield "opted out at Dotdigital, nothing recorded at MyPreferences"


def _channel_differences(stated: Sequence[TopicChoice], status: str) -> Iterator[str]:
    """A bounce, a block or an open confirmation is no choice: it agrees with a granted consent."""
    choices = {one.choice for one in stated}
    if OUT in choices and status == _MAILABLE:
        yield "withdrawn at MyPreferences, mailable at Dotdigital"
    elif status in _WITHDRAWN and OUT not in choices:
        known = "granted" if IN in choices else "nothing recorded"
        yield f"{known} at MyPreferences, {status} at Dotdigital"


def _described(choices: set[str]) -> str:
    if IN in choices and OUT in choices:
        return "opted in and out (profiles differ)"
    return "opted out" if OUT in choices else "nothing recorded" if choices <= {UNSET} else "opted in"


def _listed(frequencies: set[str]) -> str:
    return " and ".join(sorted(frequencies)) or "no frequency"
