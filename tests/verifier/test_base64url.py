"""FORMAT §1: canonical base64url, exhaustively where that is possible."""

import base64
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.verifier import encoding

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary())
def test_encode_is_rfc_4648_without_padding(data: bytes) -> None:
    """The spelling is the standard library's, less its padding; decoding gives the bytes back."""
    spelled = encoding.to_base64url(data)
    assert spelled == base64.urlsafe_b64encode(data).rstrip(b"=")
    assert encoding.from_base64url(spelled) == data


@pytest.mark.parametrize(("length", "right"), [(1, 0), (2, 64 * 4), (3, 64 * 64 * 16)])
def test_short_texts_that_decode(length: int, right: int) -> None:
    """Of all short texts over the alphabet exactly those with zero low bits decode."""
    decoded = 0
    for text in product(ALPHABET, repeat=length):
        try:
            encoding.from_base64url(bytes(text))
        except ValueError:
            continue
        decoded += 1
    assert decoded == right


@pytest.mark.parametrize("place", [0, 3, 5])
def test_no_other_byte_is_taken(place: int) -> None:
    """Each byte outside the alphabet is refused wherever it stands."""
    for byte in set(range(256)) - set(ALPHABET):
        text = bytearray(b"QUJDREVG")
        text[place] = byte
        with pytest.raises(ValueError, match=r"canonical|padding|base64"):
            encoding.from_base64url(bytes(text))
