"""The two digests of the journal: of a row that was written, and of the chain."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Final

from polygent_issuer.registry.columns import Value

# What the first journal row follows.
GENESIS: Final = bytes(32)
# In the canonical bytes only a name is written so: within a text the quotes would be escaped.
# The last one is the row's own, since no name that sorts after it holds an object.
_ROWS: Final = b',"rows":'
_DECODE: Final = json.JSONDecoder().raw_decode


def row_digest(names: Sequence[str], row: Sequence[Value]) -> str:
    """SHA-256 in hex over the canonical JSON of a row, by column name.

    Bytes stand as their own SHA-256 in hex. Empty columns are left out, so that a column which
    a later migration adds changes no digest; emptying a column does.
    """
    return row_digests(tuple(names))(row)


@cache
def row_digests(names: tuple[str, ...]) -> Callable[[Sequence[Value]], str]:
    """`row_digest` for many rows of one table: what its columns have in common is made once."""
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
    """SHA-256(previous ‖ bytes), 32 bytes (DESIGN, "Registry and journal")."""
    return sha256(previous + body).digest()


def recorded_rows(body: bytes) -> dict[str, str | None]:
    """The digests of the rows that a journal row wrote, by name; None for a deleted one.

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
