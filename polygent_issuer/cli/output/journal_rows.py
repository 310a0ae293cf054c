"""Journal rows as a table, JSON and CSV."""

from collections.abc import Iterable
from typing import Any, Final

from polygent_issuer.cli.output.model import Table
from polygent_issuer.registry import JournalRow
from polygent_issuer.terms import dates

COLUMNS: Final = (
    *("seq", "at", "event", "operator", "os_user", "uid", "host", "customer", "license", "kid"),
    *("accepted", "reason", "details", "previous", "hash"),
)
"""The members of a row, as the columns of its CSV."""


def journal_json(row: JournalRow) -> dict[str, Any]:
    """Return a row as JSON, with its place in the chain."""
    return {
        "seq": row.seq,
        "at": dates.instant(row.at),
        "event": row.event,
        "operator": row.operator,
        "os_user": row.body.get("os_user"),
        "uid": row.body.get("uid"),
        "host": row.body.get("host"),
        "customer": row.customer,
        "license": row.license,
        "kid": row.kid,
        "accepted": list(row.accepted),
        "reason": row.reason,
        "details": dict(row.details),
        "previous": row.previous,
        "hash": row.hash,
    }


def journal_table(rows: Iterable[JournalRow]) -> Table:
    """Return the rows as a table, oldest first."""
    headers = ("#", "at", "event", "customer", "license", "by", "why")
    return Table(headers, tuple(map(_cells, rows)))


def _cells(row: JournalRow) -> tuple[str, ...]:
    accepted = f"accepted {', '.join(row.accepted)}" if row.accepted else None
    return (
        str(row.seq),
        dates.instant(row.at),
        row.event,
        row.customer or "",
        (row.license or "")[:8],
        row.operator,
        ": ".join(part for part in (accepted, row.reason) if part),
    )
