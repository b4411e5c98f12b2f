"""How somebody consented, where preferences hold it as attributes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bridge.core.mapping import FilterRef, RecordKeys, Topic
from bridge.core.model import ConsentRecord
from bridge.mypreferences import views, wire


def records_of(profile: wire.Profile, address: str, topics: Sequence[Topic]) -> list[ConsentRecord]:
    """A record for each of these topics that the person opted in to with text, URL, IP address and agent on
    record; the newest, where several preferences speak of one."""
    found = []
    for topic in topics:
        if isinstance(topic.source, FilterRef) and topic.record is not None:
            records = list(_records(profile, address, topic, topic.source, topic.record))
            if records:
                found.append(max(records, key=lambda record: record.at))
    return found


def _records(
    profile: wire.Profile, address: str, topic: Topic, ref: FilterRef, keys: RecordKeys
) -> Iterator[ConsentRecord]:
    emails = views.of_type(views.elements(profile, address), ref)
    held: Iterable[wire.Preference] = [
        *(profile.profile_preferences or ()),
        *(item for email in emails for item in email.email_preferences or ()),
    ]
    for preference in views.of_filter(held, ref):
        at = preference.changed_at
        said = {
            one.key.casefold(): (one.value or "").strip() for one in preference.preference_attributes or ()
        }
        parts = [said.get(key.casefold(), "") for key in (keys.text, keys.url, keys.ip, keys.agent)]
        if preference.kind == wire.OPT_IN and at is not None and all(parts):
            text, url, ip, agent = parts
            yield ConsentRecord(topic.id, at, text=text, url=url, ip=ip, agent=agent)
