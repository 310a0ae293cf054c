"""Base64url and JSON of FORMAT §1."""

import base64
import json
import math
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.verifier import LicenseError, jws
from polygent_issuer.verifier.jws import MAX_INTEGER, loads_object

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary())
def test_encode_is_rfc_4648_without_padding(data: bytes) -> None:
    """The encoding is the standard library's without padding, and decoding returns the bytes."""
    spelled = jws.to_base64url(data)
    assert spelled == base64.urlsafe_b64encode(data).rstrip(b"=")
    assert jws.from_base64url(spelled) == data


@pytest.mark.parametrize(("length", "right"), [(1, 0), (2, 64 * 4), (3, 64 * 64 * 16)])
def test_short_texts_that_decode(length: int, right: int) -> None:
    """Of all short texts over the alphabet, exactly those with zero low bits decode."""
    decoded = 0
    for text in product(ALPHABET, repeat=length):
        try:
            jws.from_base64url(bytes(text))
        except ValueError:
            continue
        decoded += 1
    assert decoded == right


@pytest.mark.parametrize("place", [0, 3, 5])
def test_any_other_byte_is_refused(place: int) -> None:
    """A byte outside the alphabet is refused at any place."""
    for byte in set(range(256)) - set(ALPHABET):
        text = bytearray(b"QUJDREVG")
        text[place] = byte
        with pytest.raises(ValueError, match=r"canonical|padding|base64"):
            jws.from_base64url(bytes(text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _refusal(data: bytes) -> str:
    with pytest.raises(LicenseError) as refused:
        loads_object(data, what="the header")
    assert refused.value.code == "malformed"
    return refused.value.message


@given(value=st.dictionaries(st.text(), JSON), escaped=st.booleans())
def test_an_allowed_object_is_read(value: dict[str, Any], *, escaped: bool) -> None:
    """Any object of FORMAT §1 is read as the standard library reads it; a deeper one is refused."""
    data = json.dumps(value, ensure_ascii=escaped).encode()
    if _depth(value) <= 8:
        assert loads_object(data) == value
    else:
        assert "nests deeper" in _refusal(data)


@given(st.binary())
def test_any_bytes_end_in_an_object_or_malformed(data: bytes) -> None:
    """Any bytes raise at most LicenseError."""
    try:
        assert isinstance(loads_object(data), dict)
    except LicenseError as error:
        refusal = error
    else:
        return
    assert refusal.code == "malformed"


@given(st.text('[]{}",:\\ u0', max_size=200))
def test_any_brackets_are_read_or_malformed(text: str) -> None:
    """A text of JSON's punctuation is read as the standard library reads it, or is malformed."""
    try:
        value = loads_object(text.encode())
    except LicenseError:
        return
    assert value == json.loads(text)
    assert _depth(value) <= 8


@pytest.mark.parametrize("depth", [7, 8, 9, 100, 8000])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_depth_counts_the_outermost_as_one(depth: int, pair: tuple[str, str]) -> None:
    """8 levels of arrays or objects are accepted and 9 are not, however many there are."""
    inner = pair[0] * (depth - 1) + "1" + pair[1] * (depth - 1)
    data = f'{{"x":{inner}}}'.encode()
    if depth <= 8:
        assert _depth(loads_object(data)) == depth
    else:
        assert "nests deeper" in _refusal(data)


def test_unterminated_string_is_one_token() -> None:
    """A string without an end is scanned once, not once for each escaped quote in it."""
    data = b'{"a":"' + b"[" * 9 + b'\\"' * 5000
    assert "is not JSON" in _refusal(data)


@pytest.mark.parametrize(
    ("number", "value"),
    [("-0", 0), ("0", 0), (str(MAX_INTEGER), 2**53 - 1), (str(-MAX_INTEGER), -(2**53) + 1)],
)
def test_integers_are_exact(number: str, value: int) -> None:
    """Integers in the range are read as int, and -0 as 0."""
    integer = loads_object(f'{{"x":{number}}}'.encode())["x"]
    assert integer == value
    assert type(integer) is int
    assert math.copysign(1, integer) == (-1 if value < 0 else 1)


@pytest.mark.parametrize("digits", [17, 4300, 4301, 16000])
def test_long_digit_strings_are_malformed(digits: int) -> None:
    """Digits beyond the interpreter's own limit are refused like any number that is too large."""
    assert "2^53-1" in _refusal(b'{"x":' + b"9" * digits + b"}")


def test_message_names_the_text_and_not_its_content() -> None:
    """A refusal names the text and repeats nothing from it."""
    for data in (b'{"a":1,"a":2}', b"\xff", b"[1]", b'{"a":1e5}', b"SECRET"):
        message = _refusal(data)
        assert message.startswith("the header ")
        assert "SECRET" not in message
