"""The digests in the journal: those of rows, and the hashes that chain the journal rows."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Final

from polygent_issuer.registry.records import Value

Recorded = dict[str, tuple[int, str | None]]
"""By the name of a row: the newest journal row that wrote it, and its digest (None: deleted)."""

# The hash before the first journal row.
GENESIS: Final = bytes(32)
# In the canonical bytes only a member's name looks like this, because quotes within a text are
# escaped. The last match is the member of the row itself: no name after it contains an object.
_ROWS: Final = b',"rows":'
_DECODE: Final = json.JSONDecoder().raw_decode


@cache
def row_digests(names: tuple[str, ...]) -> Callable[[Sequence[Value]], str]:
    """Return a function for the SHA-256, in hex, of a row's canonical JSON with these columns.

    Bytes are written as their SHA-256 in hex. Empty columns are left out, so that a column added by
    a later migration does not change digests. Emptying a column does change the digest.
    """
    columns = [
        (f"{encode_basestring(name)}:", place)
        for name, place in sorted(zip(names, range(len(names)), strict=True))
    ]

    def digest(row: Sequence[Value]) -> str:
        members = [
            begun + (encode_basestring(value) if isinstance(value, str) else _json(value))
            for begun, place in columns
            if (value := row[place]) is not None
        ]
        return sha256(f"{{{','.join(members)}}}".encode()).hexdigest()

    return digest


def _json(value: int | bytes) -> str:
    return f'"{sha256(value).hexdigest()}"' if isinstance(value, bytes) else str(value)


def chain_hash(previous: bytes, body: bytes) -> bytes:
    """Return SHA-256(previous ‖ bytes), 32 bytes (DESIGN, "Registry and journal")."""
    return sha256(previous + body).digest()


def recorded_rows(body: bytes) -> dict[str, str | None]:
    """Return the digests of the rows that a journal row wrote, by name; None for a deleted row.

    Args:
        body: the stored bytes of the journal row.

    Raises:
        ValueError, TypeError, RecursionError: for bytes that this tool did not write.
    """
    at = body.rfind(_ROWS)
    if at < 0:
        raise ValueError("no rows")
    rows, _ = _DECODE(body[at + len(_ROWS) :].decode())
    return dict(rows)
