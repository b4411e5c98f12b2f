"""How e-mail addresses are compared where they can be written in several ways. Pure.

A domain in another script can be written as it is read (`straße.example`) or in ASCII
(`xn--strae-oqa.example`): it is the same domain, so it is the same address. Nothing else is unified: no
letter is replaced by one that looks like it, as the older rules for domains do (`ß` is not `ss`).
"""

from __future__ import annotations

import unicodedata

_ASCII = "xn--"  # begins a label in ASCII (RFC 5890, 2.3.2.1)


def with_readable_domain(key: str) -> str:
    """An address key with its domain as it is read. A label that is no correct one stays as it is."""
    if _ASCII not in key:
        return key
    local, at, domain = key.rpartition("@")
    return f"{local}{at}{'.'.join(map(_readable, domain.split('.')))}"


def _readable(label: str) -> str:
    if not label.startswith(_ASCII):
        return label
    try:
        shown = label.removeprefix(_ASCII).encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    is_correct = shown.isprintable() and _in_ascii(shown) == label
    return shown if is_correct and shown == unicodedata.normalize("NFC", shown.lower()) else label


def _in_ascii(label: str) -> str:
    return label if label.isascii() else f"{_ASCII}{label.encode('punycode').decode('ascii')}"


def spellings(address: str) -> tuple[str, ...]:
    """The ways in which a side may write an address, the given one first. A search finds its own only."""
    if address.isascii() and _ASCII not in address.lower():
        return (address,)
    readable = with_readable_domain(unicodedata.normalize("NFC", address.lower()))
    ways = (address, readable, with_ascii_domain(readable), unicodedata.normalize("NFD", readable))
    return tuple(dict.fromkeys(one for one in ways if one is not None))


def with_ascii_domain(key: str) -> str | None:
    """The same address key with its domain in ASCII, as earlier versions kept it where a side wrote it so.
    None where the domain has no other form."""
    if key.isascii():
        return None
    local, at, domain = key.rpartition("@")
    written = f"{local}{at}{'.'.join(map(_in_ascii, domain.split('.')))}"
    return None if written == key else written
