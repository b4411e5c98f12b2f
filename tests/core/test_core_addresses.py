"""Which spellings are one address, and which are not."""

from __future__ import annotations

import unicodedata

import pytest

from bridge.core.addresses import spellings, with_ascii_domain
from bridge.core.erasure import ErasureKey
from bridge.core.model import address_key

NFD = unicodedata.normalize("NFD", "zoë@example.com")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@straße.example", "a@xn--strae-oqa.example"),
        ("a@mail.bücher.example", "A@Mail.XN--bcher-kva.Example"),
        ("a@пример.example", "a@xn--e1afmkfd.example"),
        ("zoë@example.com", NFD),
        ("zoë@bücher.example", unicodedata.normalize("NFD", "ZOË@BÜCHER.example")),
    ],
)
def test_two_spellings_of_one_address_have_one_key(one: str, other: str) -> None:
    assert address_key(one) == address_key(other) == address_key(address_key(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@straße.example", "a@strasse.example"),
        ("a@faß.example", "a@fass.example"),
        ("strasse@example.com", "straße@example.com"),
        ("\uff41@example.com", "a@example.com"),
        ("a@xn--strasse-.example", "a@strasse.example"),
        ("xn--strae-oqa@example.com", "straße@example.com"),
        ("a@xn--.example", "a@.example"),
    ],
)
def test_addresses_that_are_not_the_same_have_two_keys(one: str, other: str) -> None:
    assert address_key(one) != address_key(other)


@pytest.mark.parametrize(
    "label", ["xn--", "xn--99999999999", "xn--a\ud800", "xn--BCHER-KVA\u00fc", "xn--a-", "xn--ls8h="]
)
def test_a_label_that_is_no_correct_one_stays_as_it_is(label: str) -> None:
    assert address_key(f"a@{label}.example") == unicodedata.normalize("NFC", f"a@{label}.example".lower())


def test_the_key_of_an_earlier_version_can_be_told_from_the_present_one() -> None:
    assert with_ascii_domain(address_key("a@xn--strae-oqa.example")) == "a@xn--strae-oqa.example"
    assert with_ascii_domain("zoë@example.com") is None
    assert with_ascii_domain("ada@example.com") is None


def test_an_erased_person_is_recognised_by_every_spelling() -> None:
    key = ErasureKey("a" * 32)
    shown, written = "a@bücher.example", "a@xn--bcher-kva.example"
    assert key.token(shown) == key.token(written)
    assert len(key.tokens(shown)) > len(key.tokens("a@example.com"))


@pytest.mark.parametrize(
    ("address", "others"),
    [
        ("Ada@Example.com", set()),
        ("a@bücher.example", {"a@xn--bcher-kva.example", unicodedata.normalize("NFD", "a@bücher.example")}),
        ("a@xn--bcher-kva.example", {"a@bücher.example", unicodedata.normalize("NFD", "a@bücher.example")}),
        (NFD, {"zoë@example.com"}),
    ],
)
def test_a_search_tries_every_spelling_the_given_one_first(address: str, others: set[str]) -> None:
    first, *rest = spellings(address)
    assert first == address
    assert set(rest) == others
    assert all(address_key(one) == address_key(address) for one in rest)
