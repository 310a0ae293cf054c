"""What is committed and may not be delivered yet; the next write clears it (DESIGN, "An issue").

No journal row tells of the outbox: it holds no decision.
"""

from polygent_issuer.registry.columns import Row, maybe_text, moment, text
from polygent_issuer.registry.records import OutboxRow
from polygent_issuer.registry.transactions import Reading, Writing


def pending(db: Reading) -> tuple[OutboxRow, ...]:
    """The licenses whose delivery nobody confirmed, oldest first."""
    sql = "SELECT license_id, folder, name, at FROM outbox ORDER BY at, license_id"
    return tuple(db.each(_row, sql))


def add(db: Writing, license_id: str, *, folder: str | None, name: str | None) -> None:
    """Note where a license's file is to be.

    Args:
        license_id: in the registry by the end of this transaction.
        folder: absolute; None for stdout.
        name: the final name in the folder.

    Raises:
        Taken: (`taken`) when it is noted already.
    """
    sql = "INSERT INTO outbox (license_id, folder, name, at) VALUES (?, ?, ?, ?)"
    db.execute(sql, (license_id, folder, name, db.at))


def forget_places(db: Writing) -> None:
    """Leave every delivery to people: what is pending is named, and written nowhere by itself."""
    db.execute("UPDATE outbox SET folder = NULL, name = NULL")


def clear(db: Writing, license_id: str) -> None:
    """Forget it: the file is in its place."""
    db.execute("DELETE FROM outbox WHERE license_id = ?", (license_id,))


def _row(row: Row) -> OutboxRow:
    return OutboxRow(
        license_id=text(row[0]),
        folder=maybe_text(row[1]),
        name=maybe_text(row[2]),
        at=moment(row[3]),
    )
