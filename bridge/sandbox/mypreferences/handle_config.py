"""Operations on the configuration: the Experience API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.config import ConsentType, ConsentVersion, Pairs, Program, ProgramGroup
from bridge.sandbox.mypreferences.refusal import Refused, invalid, not_found
from bridge.sandbox.mypreferences.render_config import Chosen, RenderConfig, consent_statuses

_RESERVED = frozenset({"locale"})


def programs(call: Call) -> Reply:
    """Retrieve programs with their filters and frequencies."""
    return _programs(call, call.state.config.programs)


def program(call: Call) -> Reply:
    """Retrieve a program: still a collection."""
    wanted = call.params["programId"].lower()
    found = [item for item in call.state.config.programs if item.program_id.lower() == wanted]
    if not found or not call.state.config.shown(found[0].program_id):
        raise not_found("The program")
    return _programs(call, found)


def programs_by_type(call: Call) -> Reply:
    """Retrieve programs by Program Type."""
    wanted = call.params["programTypeId"].lower()
    return _programs(call, (one for one in call.state.config.programs if one.program_type.lower() == wanted))


def programs_include_all(call: Call) -> Reply:
    """Retrieve programs (Include All): a program that matches comes with all its filters."""
    chosen = _chosen(call)
    return _programs(call, (one for one in call.state.config.programs if chosen(one.properties)))


def programs_include_matching(call: Call) -> Reply:
    """Retrieve programs (Include Matching): of a program that matches, only the filters that do."""
    chosen = _chosen(call)
    found = (one for one in call.state.config.programs if chosen(one.properties))
    return _programs(call, found, chosen)


def program_groups(call: Call) -> Reply:
    """Retrieve program groups, the nested ones inside theirs."""
    return _groups(call, call.state.config.program_groups)


def program_group(call: Call) -> Reply:
    """Retrieve a program group, wherever it is nested: still a collection."""
    wanted = call.params["programGroupId"].lower()
    found = [one for one in _flat(call.state.config.program_groups) if one.group_id.lower() == wanted]
    if not found:
        raise not_found("The program group")
    return _groups(call, found)


def program_groups_include_all(call: Call) -> Reply:
    """Retrieve program groups (Include All): a group that matches comes with all that is in it."""
    chosen = _chosen(call)
    return _groups(call, (one for one in call.state.config.program_groups if chosen(one.properties)))


def program_groups_include_matching(call: Call) -> Reply:
    """Retrieve program groups (Include Matching): only the groups, programs and filters in it that match."""
    chosen = _chosen(call)
    found = (one for one in call.state.config.program_groups if chosen(one.properties))
    return _groups(call, found, chosen)


def consent_types(call: Call) -> Reply:
    """Retrieve consents."""
    return Reply({"ConsentTypes": _render(call).consent_types(call.state.config.consent_types)})


def create_consent_types(call: Call) -> Reply:
    """Create consent types. 409 where one of them exists; then none is created."""
    body = call.body()
    entries = body.get("ConsentTypes") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not entries:
        raise invalid("ConsentTypes is required.")
    made = [_consent_type(item) for item in entries]
    config = call.state.config
    if any(config.consent_type(item.type_name) is not None for item in made):
        raise Refused(409, "The consent type already exists.")
    config.change(consent_types=(*config.consent_types, *made))
    return Reply({"ConsentTypes": _render(call).consent_types(made)}, 201)


def update_consent_type(call: Call) -> Reply:
    """Update a consent type by a JSON patch: replaces `/IsActive`, adds `/Versions/-`."""
    config = call.state.config
    known = config.consent_type(call.params["typeId"])
    if known is None:
        raise not_found("The consent type")
    steps = call.body()
    if not isinstance(steps, list) or not steps:
        raise invalid("A patch is a list of operations.")
    changed = known
    for step in steps:
        changed = _patched(changed, step)
    config.change(consent_types=tuple(changed if one is known else one for one in config.consent_types))
    return Reply(_render(call).consent_types([changed])[0])


def consent_status(call: Call) -> Reply:  # noqa: ARG001 - the answer is the same for everybody
    """Retrieve consent statuses."""
    return Reply({"ConsentStatus": consent_statuses()})


def email_types(call: Call) -> Reply:
    """Retrieve e-mail types."""
    return _types(call, "EmailTypes", call.state.config.email_types)


def phone_types(call: Call) -> Reply:
    """Retrieve phone types."""
    return _types(call, "PhoneTypes", call.state.config.phone_types)


def address_types(call: Call) -> Reply:
    """Retrieve address types."""
    return _types(call, "AddressTypes", call.state.config.address_types)


def alternate_id_types(call: Call) -> Reply:
    """Retrieve alternate-id types."""
    return _types(call, "AlternateIdTypes", call.state.config.alternate_id_types)


def customer_types(call: Call) -> Reply:
    """Retrieve customer types."""
    return _types(call, "CustomerTypes", call.state.config.customer_types)


def group_types(call: Call) -> Reply:
    """Retrieve group types."""
    return _types(call, "GroupTypes", call.state.config.group_types)


def _render(call: Call) -> RenderConfig:
    everything = call.state.switches.all_locales_answered
    return RenderConfig(call.state.config, call.text("locale"), everything=everything)


def _programs(call: Call, found: Iterable[Program], chosen: Chosen | None = None) -> Reply:
    return Reply({"Programs": _render(call).programs(found, chosen)})


def _groups(call: Call, found: Iterable[ProgramGroup], chosen: Chosen | None = None) -> Reply:
    rendered = _render(call)
    return Reply({"ProgramGroups": [rendered.group(item, chosen) for item in found]})


def _types(call: Call, name: str, names: Iterable[str]) -> Reply:
    return Reply({name: _render(call).contact_types(names)})


def _flat(groups: Iterable[ProgramGroup]) -> Iterator[ProgramGroup]:
    for group in groups:
        yield group
        yield from _flat(group.groups)


def _chosen(call: Call) -> Chosen:
    """By the query: every property must be there, with its value where one is given. Raises Refused 400."""
    wanted = [(key.lower(), value.lower()) for key, value in call.query() if key.lower() not in _RESERVED]
    if not wanted:
        raise invalid("A custom property is required.")

    def chosen(properties: Pairs) -> bool:
        held = {key.lower(): value.lower() for key, value in properties}
        return all(key in held and value in ("", held[key]) for key, value in wanted)

    return chosen


def _consent_type(item: Any) -> ConsentType:
    name = item.get("TypeName") if isinstance(item, dict) else None
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        raise invalid("TypeName is required.")
    versions = item.get("Versions")
    if not isinstance(versions, list) or not versions:
        raise invalid("Versions is required.")
    return ConsentType(name, tuple(_version(one) for one in versions), item.get("IsActive") is not False)


def _version(item: Any) -> ConsentVersion:
    name = item.get("ConsentVersion") if isinstance(item, dict) else None
    if not isinstance(name, str) or not 1 <= len(name) <= 50:
        raise invalid("ConsentVersion is required.")
    worded = item.get("LocalizedFields")
    fields = worded if isinstance(worded, list) else []
    locales = tuple(str(one["Locale"]) for one in fields if isinstance(one, dict) and one.get("Locale"))
    if not locales or len(locales) < len(fields):
        raise invalid("LocalizedFields is required.")
    return ConsentVersion(name, locales, item.get("ExpirationInDays"), item.get("IsActive") is not False)


def _patched(known: ConsentType, step: Any) -> ConsentType:
    step = {name.lower(): part for name, part in step.items()} if isinstance(step, dict) else {}
    act, path, value = (step.get(name) for name in ("op", "path", "value"))
    if act in ("add", "replace") and path == "/IsActive" and isinstance(value, bool):
        return replace(known, active=value)
    if act == "add" and path == "/Versions/-":
        return replace(known, versions=(*known.versions, _version(value)))
    raise invalid(f"The operation '{act}' on '{path}' is not supported.")
