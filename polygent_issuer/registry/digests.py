"""The two digests of the journal: of a row that was written, and of the chain."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Final

from polygent_issuer.registry.columns import Value

# What the first journal row follows.
GENESIS: Final = bytes(32)


def row_digest(names: Sequence[str], row: Sequence[Value]) -> str:
    """SHA-256 in hex over the canonical JSON of a row, by column name.

    Bytes stand as their own SHA-256 in hex. Empty columns are left out, so that a column which
    a later migration adds changes no digest; emptying a column does.
    """
    return row_digests(names)(row)


def row_digests(names: Sequence[str]) -> Callable[[Sequence[Value]], str]:
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
