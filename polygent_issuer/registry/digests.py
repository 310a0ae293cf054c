"""The two digests of the journal: of a row that was written, and of the chain."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from polygent_issuer.registry.columns import Value

# What the first journal row follows.
GENESIS: Final = bytes(32)

_ENCODE: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False
).encode


def row_digest(names: Sequence[str], row: Sequence[Value]) -> str:
    """SHA-256 in hex over the canonical JSON of a row, by column name.

    Bytes stand as their own SHA-256 in hex. Empty columns are left out, so that a column which
    a later migration adds changes no digest; emptying a column does.
    """
    return sha256(
        _ENCODE(
            {
                name: sha256(value).hexdigest() if isinstance(value, bytes) else value
                for name, value in zip(names, row, strict=True)
                if value is not None
            }
        ).encode()
    ).hexdigest()


def chain_hash(previous: bytes, body: bytes) -> bytes:
    """SHA-256(previous ‖ bytes), 32 bytes (DESIGN, "Registry and journal")."""
    return sha256(previous + body).digest()
