"""Operations on bulk imports."""

from __future__ import annotations

from bridge.sandbox.mypreferences.call import Call, Reply


def initiate(call: Call) -> Reply:
    """Import: Initiate."""
    return Reply(call.state.imports.initiate(call.body(), call.actor))


def stage(call: Call) -> Reply:
    """Import: Stage."""
    return Reply(call.state.imports.stage(call.id_param("accessToken"), call.body(), call.size))


def execute(call: Call) -> Reply:
    """Import: Execute."""
    return Reply(call.state.imports.execute(call.id_param("accessToken")))


def status(call: Call) -> Reply:
    """Import: Retrieve status."""
    return Reply(call.state.imports.status(call.id_param("accessToken")))


def exceptions(call: Call) -> Reply:
    """Import: Retrieve exceptions."""
    token = call.id_param("accessToken")
    return Reply(call.state.imports.exceptions(token, call.number("limit", 1000), call.number("offset", 1)))
