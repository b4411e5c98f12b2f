"""`bridge apply`: apply a saved plan exactly, or not at all."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, DatabaseUrl, Json, MappingFile, settings_from
from bridge.cli.output import ExitCode, StatusMark, failure, note, print_json
from bridge.core.errors import ConfigError, PlanMoved

if TYPE_CHECKING:
    from bridge.app import App

_NEW_PLAN = "Make a new plan: `bridge plan --out FILE`."


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A plan saved by `bridge plan --out`.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    json: Json = False,
) -> int:
    """Apply a saved plan exactly, or refuse it if its data changed."""
    saved = load_plan(file)
    settings = settings_from(config, database_url, mapping)

    from bridge.app import App
    from bridge.cli.progress import show_progress
    from bridge.cli.report import print_report
    from bridge.cli.store_access import writing
    from bridge.engine.plan import apply_plan

    with App(settings) as app, writing(app.lease()) as heartbeat, show_progress() as progress:
        _check_instance(app, saved)
        if reasons := _tripped_brakes(app, saved["acts"]):
            return _report_brake(reasons, json=json)
        services = app.services(progress=progress, heartbeat=heartbeat)
        report = apply_plan(services, app.writers(), saved["acts"], mapping=saved["mapping"])
    return print_report(report, json=json)


def load_plan(path: Path) -> dict[str, Any]:
    """Read a saved plan. Raises ConfigError where the file is not one."""
    from bridge.cli.plan import FORMAT

    try:
        document = jsonlib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the plan {path}: {error.strerror}.", hint=_NEW_PLAN) from None
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("acts"), list):
        raise ConfigError(f"{path} is not a saved plan.", hint=_NEW_PLAN)
    if document.get("format") != FORMAT:
        raise ConfigError(f"{path} was saved by a different version of the bridge.", hint=_NEW_PLAN)
    if not all(isinstance(document.get(key), str) for key in ("instance", "mapping")):
        raise ConfigError(f"{path} is not a complete plan.", hint=_NEW_PLAN)
    _check_acts(path, document["acts"])
    return document


def _check_acts(path: Path, acts: list[Any]) -> None:
    """Refuse an edited file here, before any API call."""
    from bridge.engine.serialize import act_in

    try:
        for act in acts:
            if not isinstance(act["person"], int) or not isinstance(act["shown"], str):
                raise TypeError("a person without a numeric id")
            for shown in act["acts"].values():
                act_in(shown)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} contains a write that cannot be read.", hint=_NEW_PLAN) from None


def _check_instance(app: App, saved: dict[str, Any]) -> None:
    from bridge.cli.plan import instance_of

    if saved["instance"] != instance_of(app.store):
        raise PlanMoved("This plan was made with a different state DB; nothing was written.", hint=_NEW_PLAN)


def _tripped_brakes(app: App, acts: list[dict[str, Any]]) -> tuple[str, ...]:
    """The brakes that stop this plan. They apply to a saved plan as they do to a run."""
    from bridge.core.brakes import RunVolume, check_brakes

    kinds = [{write["kind"] for one in act["acts"].values() for write in one["writes"]} for act in acts]
    volume = RunVolume(
        raises=sum(bool(kind - {"withdrawal"}) for kind in kinds),
        withdrawals=sum("withdrawal" in kind for kind in kinds),
        people=app.store.people.count(),
    )
    return check_brakes(volume, app.tuning.limits).reasons


def _report_brake(reasons: tuple[str, ...], *, json: bool) -> int:
    from bridge.cli.report import limits_of

    for reason in reasons:
        failure(f"A brake stops this plan: {reason}.")
    hint = f"Nothing was written. If intended, raise {limits_of(reasons)} for this run and apply again."
    note(StatusMark.NEXT, hint, stderr=True)
    if json:
        print_json({"brakes": list(reasons), "writes_sent": 0})
    return ExitCode.BRAKE
