"""The SSH encoding of numbers, strings and P-256 keys (RFC 4251 §5, RFC 5656 §3.1)."""

from typing import Final

from polygent_issuer.verifier.keys import Key

KIND: Final = b"ecdsa-sha2-nistp256"
_CURVE: Final = b"nistp256"
_UINT32: Final = 4


def take_number(data: bytes) -> tuple[int, bytes]:
    """Return a uint32 and the rest; ValueError if the data is too short."""
    if len(data) < _UINT32:
        raise ValueError("short")
    return int.from_bytes(data[:_UINT32], "big"), data[_UINT32:]


def take_string(data: bytes) -> tuple[bytes, bytes]:
    """Return a string and the rest; ValueError if the data is too short."""
    length, rest = take_number(data)
    if length > len(rest):
        raise ValueError("short")
    return rest[:length], rest[length:]


def take_mpint(data: bytes, size: int) -> tuple[bytes, bytes]:
    """Return a positive mpint as `size` bytes, and the rest; ValueError if it is another number."""
    text, rest = take_string(data)
    number = int.from_bytes(text, "big", signed=True)
    if number <= 0 or number.bit_length() > 8 * size:
        raise ValueError("number")
    return number.to_bytes(size, "big"), rest


def string(data: bytes) -> bytes:
    """Encode a string."""
    return len(data).to_bytes(_UINT32, "big") + data


def key_of(blob: bytes) -> Key | None:
    """Return the P-256 key of a public key blob; None for another type of key.

    Raises:
        ValueError: for a malformed blob.
        InvalidKey: (`invalid_key`) if the point is not on the curve.
    """
    kind, rest = take_string(blob)
    if kind != KIND:
        return None
    curve, rest = take_string(rest)
    point, rest = take_string(rest)
    if curve != _CURVE or rest:
        raise ValueError("public key")
    return Key(point)


def blob_of(key: Key) -> bytes:
    """Return the public key blob of a key."""
    return string(KIND) + string(_CURVE) + string(key.point)
