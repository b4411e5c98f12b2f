"""Bodies of MyPreferences `Update profile (POST)`: only what changes, never a whole profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bridge.core.mapping import ConsentRef, FilterRef, Topic
from bridge.core.model import Choice
from bridge.core.writes import Adjustment, Raise, Withdrawal
from bridge.mypreferences import views
from bridge.mypreferences.wire.codec import render_moment
from bridge.mypreferences.wire.profiles import (
    CONSENT_CODES,
    DENIED,
    GRANTED,
    OPT_IN,
    OPT_OUT,
    PREFERENCE_CODES,
    REVOKED,
    Consent,
    Email,
    Preference,
    Profile,
)

Part = tuple[Email | None, Preference | Consent]  # None: on the profile itself


def withdrawing(
    profile: Profile, address: str | None, writes: Iterable[tuple[Withdrawal, Topic]]
) -> list[Profile]:
    """The bodies, in the order of sending, that withdraw topics on one profile, under one address or (None)
    all of them; none where all topics are withdrawn already.

    Consents come before preferences: revoking a consent archives the preferences linked to it, and one stated
    in the same call would be archived too.
    """
    consents: list[Part] = []
    preferences: list[Part] = []
    for write, topic in sorted(writes, key=lambda pair: isinstance(pair[1].source, FilterRef)):
        # A revocation before it would archive a standing opt-out: it is stated again.
        if not consents and _is_out(profile, views.statements(profile, address, topic) or []):
            continue
        match topic.source:
            case ConsentRef() as ref:
                consents += _revoked(profile, address, write, ref)
            case FilterRef() as ref:
                preferences += _opted_out(profile, address, write, ref)
    return [_body(parts) for parts in (consents, preferences) if parts]


def raising(profile: Profile, address: str, writes: Iterable[tuple[Raise | Adjustment, Topic]]) -> Profile:
    """The body that opts in, or changes a frequency, on one profile. Raises LookupError where the profile has
    no e-mail element of the type that the mapping names."""
    parts: list[Part] = []
    for write, topic in writes:
        date = render_moment(write.evidence.changed_at)
        match topic.source:
            case ConsentRef() as ref:
                parts.append((None, _consent(ref, GRANTED, date)))
            case FilterRef() as ref:
                given = _preference(ref, OPT_IN, date, write.frequency)
                places = views.places(profile, address, ref)
                if not places:
                    raise LookupError(ref.email_type)
                parts += [(place, given) for place, _ in places]
    return _body(parts)


def _opted_out(profile: Profile, address: str | None, write: Withdrawal, ref: FilterRef) -> Iterator[Part]:
    opted_out = _preference(ref, OPT_OUT, render_moment(write.effective_at, up=True))
    places = views.places(profile, address, ref)
    for place, _ in places:
        yield place, opted_out
    if not places:  # an address that exists under another type only gets its opt-out under the mapped type
        for one in views.addresses(profile, address):
            yield Email(email_address=one, email_address_type=ref.email_type), opted_out


def _revoked(profile: Profile, address: str | None, write: Withdrawal, ref: ConsentRef) -> Iterator[Part]:
    date = render_moment(write.effective_at, up=True)
    emails = views.elements(profile, address)
    given = {GRANTED, REVOKED}
    was_granted = any(item.kind in given for item in views.of_consent((profile, *emails), ref))
    yield None, _consent(ref, REVOKED if was_granted else DENIED, date)
    for email in emails:
        held = views.of_consent([email], ref)
        if any(item.kind == GRANTED and views.is_mapped(item, ref) for item in held):
            yield email, _consent(ref, REVOKED, date)


def _is_out(profile: Profile, statements: Sequence[views.Statement]) -> bool:
    """Whether a profile is opted out everywhere already. While an update is pending nothing is certain."""
    if not statements or profile.pending:
        return False
    return all(item.choice is Choice.OPTED_OUT for item in statements)


def _preference(ref: FilterRef, kind: str, date: str, frequency: str | None = None) -> Preference:
    return Preference(
        filter_id=ref.filter,
        preference_type=PREFERENCE_CODES[kind],
        frequency_id=frequency,
        customer_date=date,
    )


def _consent(ref: ConsentRef, kind: str, date: str) -> Consent:
    return Consent(
        consent_type=ref.consent,
        consent_version=ref.version,
        locale=ref.locale,
        consent_status=CONSENT_CODES[kind],
        consent_date=date,
    )


def _body(parts: Iterable[Part]) -> Profile:
    """One profile document of all parts, with each e-mail element once."""
    placed: dict[tuple[str | None, str | None] | None, tuple[list[Preference], list[Consent]]] = {}
    for place, item in parts:
        key = None if place is None else (place.email_address, place.email_address_type)
        preferences, consents = placed.setdefault(key, ([], []))
        if isinstance(item, Preference):
            preferences.append(item)
        else:
            consents.append(item)
    preferences, consents = placed.pop(None, ([], []))
    emails = [
        Email(
            email_address=key[0],
            email_address_type=key[1],
            email_preferences=held[0] or None,
            consents=held[1] or None,
        )
        for key, held in placed.items()
        if key is not None
    ]
    return Profile(emails=emails or None, profile_preferences=preferences or None, consents=consents or None)
