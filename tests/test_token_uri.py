"""`pkcs11:` URIs: RFC 7512, and nothing of it that would be passed over."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer import store_uri
from polygent_issuer.store_uri import InvalidTokenUri, TokenUri
from polygent_issuer.text import escape

MODULE = Path("/usr/lib/m.so")
TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: escape(text) == text)


def test_every_attribute_is_read() -> None:
    """In any order, decoded as UTF-8 text; an id is bytes; the module's slashes stand as such."""
    uri = (
        "pkcs11:id=%00%ff;object=sign%3B%20%C3%A4;slot-id=17;model=v2;manufacturer=M+Co,"
        ";serial=12:ab;token=HSM%201;type=private?module-path=/usr/lib/a%20b.so"
    )
    assert store_uri.parse_token_uri(uri) == TokenUri(
        module=Path("/usr/lib/a b.so"),
        token="HSM 1",
        serial="12:ab",
        manufacturer="M+Co,",
        model="v2",
        slot=17,
        label="sign; ä",
        id=b"\0\xff",
    )


def test_one_spelling() -> None:
    """Attributes in their order, whatever may be encoded is, hexadecimal digits are large."""
    uri = "pkcs11:object=a@b;id=A%6a;serial=s;token=t%2Du?module-path=/x/%7Ey.so"
    assert store_uri.parse_token_uri(uri).uri == (
        "pkcs11:token=t-u;serial=s;object=a%40b;id=%41%6A?module-path=/x/~y.so"
    )


@given(token=TEXTS, label=st.none() | TEXTS, key_id=st.none() | st.binary(min_size=1, max_size=9))
def test_what_is_written_is_read(token: str, label: str | None, key_id: bytes | None) -> None:
    """Any token, label and id come back from the URI, which is plain ASCII."""
    place = TokenUri(module=MODULE, token=token, label=label, id=key_id, slot=0)
    assert place.uri.isascii()
    assert store_uri.parse_token_uri(place.uri) == place


def test_the_token_alone() -> None:
    """A URI points at one key by id or label, and not by what names its token."""
    token = TokenUri(module=MODULE, token="t", serial="1", model="m", manufacturer="f", slot=1)
    assert not token.names_a_key
    for key in (
        store_uri.parse_token_uri("pkcs11:token=t;id=%01?module-path=/m"),
        store_uri.parse_token_uri("pkcs11:token=t;object=k?module-path=/m"),
    ):
        assert key.names_a_key
        assert key.of_token == TokenUri(module=Path("/m"), token="t")


@pytest.mark.parametrize(
    ("uri", "why", "hint"),
    [
        ("pkcs11:", "names no module", "module-path="),
        ("pkcs11:token=t", "names no module", "module-path="),
        ("pkcs11:token=t?", "one of them is empty", "module-path="),
        ("pkcs11:?module-path=/m", "one of them is empty", "token="),
        ("pkcs11:object=k?module-path=/m", "which token", "serial=NUMBER"),
        ("pkcs11:token=t?module-path=m.so", "not absolute: m.so", "module-path=/PATH"),
        ("pkcs11:token=t?module-path=~/m.so", "not absolute", "module-path=/PATH"),
        ("pkcs11:token=t?module-name=softhsm", "whole path", "module-path=/PATH"),
        ("pkcs11:token=t;token=u?module-path=/m", "token twice", "once"),
        ("pkcs11:token=t?module-path=/m&module-path=/n", "module-path twice", "once"),
        ("pkcs11:token=t;color=red?module-path=/m", "color is not among them", "token="),
        ("pkcs11:token=t;x-vendor=1?module-path=/m", "x-vendor is not", "token="),
        ("pkcs11:token=t;slot-description=a?module-path=/m", "slot-description is not", "token="),
        ("pkcs11:token=t;to%6ben=t?module-path=/m", "to%6ben is not", "token="),
        ("pkcs11:token=t;Token=t?module-path=/m", "Token is not", "token="),
        ("pkcs11:token=t;module-path=/m", "names no module", "module-path="),
        ("pkcs11:token=t?module-path=/m&token=t", "token is not among them", "module-path="),
        ("pkcs11:token=t;;serial=1?module-path=/m", "one of them is empty", "token="),
        ("pkcs11:token=t;type=public?module-path=/m", "only be private", "leave type out"),
        ("pkcs11:token=t;slot-id=x?module-path=/m", "not a number", "slot-id"),
        ("pkcs11:token=t;slot-id=%FF?module-path=/m", "not a number", "slot-id"),
        ("pkcs11:token=?module-path=/m", "value of token is empty", "%20"),
        ("pkcs11:token?module-path=/m", "value of token is empty", "%20"),
        ("pkcs11:token=a b?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=ä?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=a%2?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=a%zz?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=a/b?module-path=/m", "value of token", "%2F"),
        ("pkcs11:token=a#b?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=t?module-path=/m\n", "value of module-path", "%20"),
        ("pkcs11:token=t?module-path=/m;x=1", "value of module-path", "%3B"),
        ("pkcs11:token=%FF?module-path=/m", "no text in UTF-8", "token="),
        ("pkcs11:token=a%00?module-path=/m", "no text in UTF-8", "token="),
        ("pkcs11:object=%1B[2J;token=t?module-path=/m", "no text in UTF-8", "token="),
        ("pkcs11:token=%E2%80%AEt?module-path=/m", "no text in UTF-8", "token="),
        ("pkcs11:token=t?module-path=/m%0a", "no text in UTF-8", "module-path="),
    ],
)
def test_whatever_is_not_exactly_right_is_refused(uri: str, why: str, hint: str) -> None:
    """The message says what is wrong and the hint what is right; nothing of it steers a screen."""
    with pytest.raises(InvalidTokenUri) as raised:
        store_uri.parse_token_uri(uri)
    assert raised.value.code == "invalid_token_uri"
    assert why in raised.value.message
    assert hint in str(raised.value.hint)
    assert escape(raised.value.message) == raised.value.message


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=t;pin-value=8472?module-path=/m",
        "pkcs11:token=t?module-path=/m&pin-value=8472",
        "pkcs11:token=t?pin-value=8472&module-path=/m",
        "pkcs11:token=t?module-path=/m&pin-source=file:8472",
        "pkcs11:token=t?module-path=/m;pin-value=8472",
        "pkcs11:token=t;pin-value=8472",
    ],
)
def test_no_pin_is_taken_or_repeated(uri: str) -> None:
    """Whoever put a PIN there is told where it comes from; the message has none of it."""
    with pytest.raises(InvalidTokenUri) as raised:
        store_uri.parse_token_uri(uri)
    assert "8472" not in raised.value.message
    assert "8472" not in str(raised.value.hint)


def test_where_a_pin_comes_from_instead() -> None:
    """The passphrase options, each by its name."""
    with pytest.raises(InvalidTokenUri, match="PIN does not belong into a URI") as raised:
        store_uri.parse_token_uri("pkcs11:token=t?module-path=/m&pin-value=1")
    for option in ("--passphrase-fd", "--passphrase-file", "POLYGENT_ISSUER_PASSPHRASE_FILE"):
        assert option in str(raised.value.hint)


def test_other_schemes_are_not_meant() -> None:
    """The scheme is small letters and a colon."""
    assert store_uri.is_token_uri("pkcs11:")
    assert not store_uri.is_token_uri("PKCS11:token=t")
    assert not store_uri.is_token_uri("./pkcs11:token=t")
