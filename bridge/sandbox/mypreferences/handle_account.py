"""Operations on the configuration, and the segment export."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.refusal import not_found


def programs(call: Call) -> Reply:
    """Retrieve programs with their filters and frequencies."""
    locale = call.text("locale") or call.state.config.default_locale
    return Reply({"Programs": [render.program(item, locale) for item in call.state.config.programs]})


def program(call: Call) -> Reply:
    """Retrieve a program: still a collection."""
    wanted = call.params["programId"].lower()
    locale = call.text("locale") or call.state.config.default_locale
    found = [item for item in call.state.config.programs if item.program_id.lower() == wanted]
    if not found:
        raise not_found("The program")
    return Reply({"Programs": [render.program(item, locale) for item in found]})


def consent_types(call: Call) -> Reply:
    """Retrieve consents."""
    return Reply({"ConsentTypes": [render.consent_type(item) for item in call.state.config.consent_types]})


def consent_status(call: Call) -> Reply:  # noqa: ARG001 - the answer is the same for everybody
    """Retrieve consent statuses."""
    return Reply({"ConsentStatus": render.consent_statuses()})


def email_types(call: Call) -> Reply:
    """Retrieve e-mail types."""
    return Reply({"EmailTypes": _types(call.state.config.email_types)})


def alternate_id_types(call: Call) -> Reply:
    """Retrieve alternate-id types."""
    return Reply({"AlternateIdTypes": _types(call.state.config.alternate_id_types)})


def customer_types(call: Call) -> Reply:
    """Retrieve customer types."""
    return Reply({"CustomerTypes": _types(call.state.config.customer_types)})


def initiate_export(call: Call) -> Reply:
    """Segment: Initiate."""
    segment = call.state.segments.segment(call.params["segmentName"])
    return Reply({"AccessToken": call.state.exports.initiate(segment, call.body())})


def initiate_group_export(call: Call) -> Reply:
    """Segment group: Initiate."""
    segment = call.state.segments.group(call.params["segmentGroupName"])
    return Reply({"AccessToken": call.state.exports.initiate(segment, call.body())})


def export_status(call: Call) -> Reply:
    """Retrieve status of an export."""
    return Reply(call.state.exports.status(call.id_param("accessToken")))


def retrieve_export(call: Call) -> Reply:
    """Retrieve data of an export, a block at a time."""
    block = call.state.exports.retrieve(
        call.id_param("accessToken"),
        call.number("limit", 1000),
        call.number("offset", 1),
        call.flag("keepAlive", False),
    )
    return Reply(block)


def _types(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"TypeName": name, "IsActive": True, "Consents": []} for name in names]
