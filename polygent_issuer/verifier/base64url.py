"""Base64url without padding (RFC 4648 §5, RFC 7515 §2), one spelling for each sequence of bytes."""

import binascii

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def encode(data: bytes) -> bytes:
    """The one spelling of `data`, unpadded."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def decode(text: bytes) -> bytes:
    """The bytes that `text` spells.

    Raises:
        ValueError: `text` is not what `encode` gives for any bytes: a foreign character,
            padding, white space, an impossible length, or unused low bits that are not zero.
    """
    data = binascii.a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
