"""The account's filters, consents and e-mail types, which a mapping can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set

from bridge.core.catalogue import Catalogue, CatalogueKind, CatalogueVersion, Entry
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.wire.configuration import ConsentType, ConsentVersion, ContactType, Filter, Program


def read_catalogue(client: MyPreferencesClient, kinds: Set[CatalogueKind]) -> Catalogue:
    """The entries of these kinds, one call for each kind. Raises SideError."""
    readers: Mapping[CatalogueKind, Callable[[], Iterable[Entry]]] = {
        CatalogueKind.FILTER: lambda: _filters(client.retrieve_programs()),
        CatalogueKind.CONSENT: lambda: map(_consent, client.retrieve_consent_types()),
        CatalogueKind.EMAIL_TYPE: lambda: map(_email_type, client.retrieve_email_types()),
    }
    wanted = [kind for kind in readers if kind in kinds]
    entries = tuple(entry for kind in wanted for entry in readers[kind]())
    return Catalogue(entries, frozenset(wanted))


def _filters(programs: Iterable[Program]) -> Iterator[Entry]:
    """Names belong to the program; the filters of an inactive program are inactive too."""
    for program in programs:
        names = [tag.name for tag in program.text_tags or () if tag.name]
        for item in program.filters or ():
            yield Entry(
                kind=CatalogueKind.FILTER,
                id=item.filter_id,
                name=names[0] if names else "",
                also=(*names[1:], str(program.program_id)),
                group=str(program.program_id),
                group_name=names[0] if names else "",
                channel=item.channel_id or "",
                active=item.is_active is not False and program.is_active is not False,
                frequencies=_frequencies(item),
            )


def _frequencies(item: Filter) -> tuple[str, ...] | None:
    if item.frequencies is None:
        return None
    return tuple(one.frequency_id for one in item.frequencies if one.frequency_id)


def _consent(item: ConsentType) -> Entry:
    editions = None if item.versions is None else tuple(map(_edition, item.versions))
    worded = [
        field.name
        for version in item.versions or ()
        for field in version.localized_fields or ()
        if field.name and field.name != item.type_name
    ]
    return Entry(
        kind=CatalogueKind.CONSENT,
        id=item.type_name,
        name=worded[0] if worded else item.type_name,
        also=tuple(dict.fromkeys(worded[1:])),
        active=item.is_active is not False,
        editions=editions,
    )


def _edition(version: ConsentVersion) -> CatalogueVersion:
    fields = version.localized_fields
    locales = None if fields is None else tuple(one.locale for one in fields if one.locale)
    return CatalogueVersion(version.consent_version, locales, version.is_active is not False)


def _email_type(item: ContactType) -> Entry:
    return Entry(CatalogueKind.EMAIL_TYPE, item.type_name, item.type_name, active=item.is_active is not False)
