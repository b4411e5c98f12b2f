"""The page at `/`: the answers of both health checks, to be read by people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bridge.printable import one_line

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}"
    "th{font-weight:600}"
)


def status_page(alive: Mapping[str, Any], ready: Mapping[str, Any]) -> str:
    """The page as HTML."""
    state = "Ready" if ready.get("ready") else "Not ready"
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in ready.get("reasons", ()))
    rows = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>"
        for name, value in (*_rows(ready, skip=("ready", "reasons")), *_rows(alive, skip=("alive",)))
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Consent bridge</title>'
        f"<style>{_STYLE}</style></head><body><h1>Consent bridge: {state}</h1><ul>{reasons}</ul>"
        f"<table>{rows}</table>"
        "<p>For machines: <code>/healthz</code> and <code>/readyz</code>. "
        "In a terminal: <code>bridge status</code>, <code>bridge runs list</code>, "
        "<code>bridge holds list</code>.</p></body></html>"
    )


def _rows(
    values: Mapping[str, Any], *, skip: tuple[str, ...] = (), before: str = ""
) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if name in skip:
            continue
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _rows(value, before=f"{label}: ")
        elif isinstance(value, (list, tuple)):
            yield label, "; ".join(map(str, value)) or "none"
        else:
            yield label, "none" if value is None else str(value)


def _text(value: object) -> str:
    return escape(one_line(str(value)))
