"""The outbox: licenses that are committed and may not be delivered yet.

No journal row tells of the outbox: it holds no decision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from polygent_issuer.registry.licenses import STATUS
from polygent_issuer.registry.records import (
    Fields,
    LicenseStatus,
    OutboxRow,
    as_bytes,
    maybe_text,
    moment,
    seconds,
    text,
)
from polygent_issuer.registry.transactions import Reading, Writing

_BUNDLED: Final = f"""SELECT licenses.id AS id, customers.slug AS slug, customers.name AS customer,
    machines.label AS label, licenses.file AS file, licenses.issued_at AS issued_at,
    licenses.expires_at AS expires_at, outbox.name AS name
    FROM outbox JOIN licenses ON licenses.id = outbox.license_id
    JOIN customers ON customers.id = licenses.customer_id
    LEFT JOIN machines ON machines.id = licenses.machine_id
    WHERE outbox.folder = ? AND outbox.name IS NOT NULL
    AND {STATUS[LicenseStatus.CURRENT]} ORDER BY outbox.license_id"""  # noqa: S608  # of our own


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundled:
    """A license that waits for its archive, and what the table of contents says of it.

    Attributes:
        name: of its file in the archive.
    """

    id: str
    customer_slug: str
    customer_name: str
    machine_label: str | None
    file: bytes
    issued_at: datetime
    expires_at: datetime
    name: str


def pending(db: Reading) -> tuple[OutboxRow, ...]:
    """The licenses whose delivery nobody confirmed, oldest first."""
    there = "(SELECT id FROM licenses WHERE id = license_id) AS license"
    sql = f"SELECT license_id, folder, name, at, {there} FROM outbox ORDER BY at, license_id"  # noqa: S608  # our own
    return tuple(db.each(_row, sql))


def for_archive(db: Reading, archive: str) -> Iterator[Bundled]:
    """Stream the current licenses that are for one archive."""
    return db.each(_bundled, _BUNDLED, (archive,))


def add(db: Writing, license_id: str, *, folder: str | None, name: str | None) -> None:
    """Note where a license's file is to be.

    Args:
        license_id: in the registry by the end of this transaction.
        folder: absolute; None for stdout.
        name: the final name in the folder.

    Raises:
        Taken: (`taken`) when it is noted already.
    """
    db.insert("outbox", license_id=license_id, folder=folder, name=name, at=db.at)


def forget_places(db: Writing) -> None:
    """Leave every delivery to people: what is pending is named, and written nowhere by itself."""
    db.execute("UPDATE outbox SET folder = NULL, name = NULL")


def clear_superseded(db: Writing, folder: str) -> None:
    """Forget those for one folder, or archive, whose license is not current any more."""
    sql = f"SELECT id FROM licenses WHERE {STATUS[LicenseStatus.CURRENT]}"  # noqa: S608  # our own
    db.execute(f"DELETE FROM outbox WHERE folder = ? AND license_id NOT IN ({sql})", (folder,))  # noqa: S608


def clear(db: Writing, *license_ids: str) -> None:
    """Forget them: the files are in their places."""
    db.delete("outbox", *license_ids)


def _row(row: Fields) -> OutboxRow:
    text(row["license"])  # the license is in the registry
    return OutboxRow(
        license_id=text(row["license_id"]),
        folder=maybe_text(row["folder"]),
        name=maybe_text(row["name"]),
        at=moment(row["at"]),
    )


def _bundled(row: Fields) -> Bundled:
    return Bundled(
        id=text(row["id"]),
        customer_slug=text(row["slug"]),
        customer_name=text(row["customer"]),
        machine_label=maybe_text(row["label"]),
        file=as_bytes(row["file"]),
        issued_at=seconds(row["issued_at"]),
        expires_at=seconds(row["expires_at"]),
        name=text(row["name"]),
    )
