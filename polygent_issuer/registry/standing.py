"""What the registry says of many licenses at once, as far as judging their files needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from polygent_issuer.registry.columns import Row, maybe_text, text
from polygent_issuer.registry.transactions import Reading

_SELECT: Final = """SELECT licenses.id, machines.fingerprint, replaced_by, retired_at IS NOT NULL
    FROM licenses LEFT JOIN machines ON machines.id = machine_id WHERE licenses.id IN"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a license stands today.

    Attributes:
        fingerprint: of its machine as it is today; None when it is for none.
        replaced_by: the license that superseded it, if one did.
        retired: whether it was retired.
    """

    fingerprint: str | None
    replaced_by: str | None
    retired: bool


def of_licenses(db: Reading, ids: Sequence[str]) -> Mapping[str, Standing]:
    """The standing of each of these licenses that the registry knows.

    Args:
        ids: at most some hundreds, since each is a parameter of one statement.
    """
    return dict(db.each(_standing, f"{_SELECT} ({', '.join('?' * len(ids))})", tuple(ids)))


def _standing(row: Row) -> tuple[str, Standing]:
    standing = Standing(
        fingerprint=maybe_text(row[1]), replaced_by=maybe_text(row[2]), retired=bool(row[3])
    )
    return text(row[0]), standing
