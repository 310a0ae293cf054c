"""The outbox: licenses that are committed, but perhaps not delivered yet.

Several homes may share a registry, and a path is one on the machine of its home. So each row has
the id of a home, and only that home delivers the file. A row without an id belongs to every home:
an earlier version wrote it, or its destination is unknown. The journal does not record the outbox,
because it contains no decisions.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from polygent_issuer.registry.licenses import CURRENT
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Fields, reader, seconds, text
from polygent_issuer.registry.writing import Writing

_OF_HOME: Final = "(outbox.home IS NULL OR outbox.home = ?)"
_SELECT: Final = """SELECT license_id, folder, name, at, home,
    (SELECT id FROM licenses WHERE id = license_id) AS license FROM outbox"""
_ORDER: Final = "ORDER BY at, license_id"
_BUNDLED: Final = f"""SELECT licenses.id AS id, customers.slug AS customer_slug,
    customers.name AS customer_name, machines.label AS machine_label, file, issued_at, expires_at,
    outbox.name AS name
    FROM outbox JOIN licenses ON licenses.id = outbox.license_id
    JOIN customers ON customers.id = licenses.customer_id
    LEFT JOIN machines ON machines.id = licenses.machine_id
    WHERE outbox.folder = ? AND outbox.name IS NOT NULL AND {_OF_HOME}
    AND {CURRENT} ORDER BY outbox.license_id"""  # noqa: S608  # of our own


class OutboxRow(NamedTuple):
    """A committed license whose file may not be delivered yet; `folder` None means stdout.

    `home` is the id of the home that delivers it; any home does without one.
    """

    license_id: str
    folder: str | None
    name: str | None
    at: datetime
    home: str | None


class Bundled(NamedTuple):
    """A license that is not yet in its archive; `name` is the name of its file there."""

    id: str
    customer_slug: str
    customer_name: str
    machine_label: str | None
    file: bytes
    issued_at: datetime
    expires_at: datetime
    name: str


_row: Final = reader(OutboxRow)
_bundled: Final = reader(Bundled, issued_at=seconds, expires_at=seconds)


def pending(db: Reading) -> tuple[OutboxRow, ...]:
    """Return the licenses of all homes whose delivery is not confirmed, oldest first."""
    return () if db.outbox_is_empty() else tuple(db.each(_checked, f"{_SELECT} {_ORDER}"))


def pending_of(db: Reading, home: str | None) -> tuple[OutboxRow, ...]:
    """Return those that a home delivers, by its id."""
    if db.outbox_is_empty():
        return ()
    return tuple(db.each(_checked, f"{_SELECT} WHERE {_OF_HOME} {_ORDER}", (home,)))


def _checked(row: Fields) -> OutboxRow:
    text(row["license"])  # the license is in the registry
    return _row(row)


def for_archive(db: Writing, archive: str) -> Iterator[Bundled]:
    """Stream the current licenses that the home of the actor writes into one archive."""
    return db.each(_bundled, _BUNDLED, (archive, db.actor.home))


def add(db: Writing, license_id: str, *, folder: str | None, name: str | None) -> None:
    """Record the destination of a license's file: an absolute folder, or None for stdout."""
    db.has_pending = True
    db.insert(
        "outbox", license_id=license_id, folder=folder, name=name, at=db.at, home=db.actor.home
    )


def adopt(db: Writing) -> None:
    """Let the home of the actor have the rows without a home, before other homes join."""
    db.execute("UPDATE outbox SET home = ? WHERE home IS NULL", (db.actor.home,))


def forget_places(db: Writing) -> None:
    """Remove the destinations: every home reports the licenses, and none delivers their files."""
    db.execute("UPDATE outbox SET folder = NULL, name = NULL, home = NULL")


def clear_superseded(db: Writing, folder: str) -> None:
    """Remove the rows of one folder or archive of this home whose license is no longer current."""
    current = f"SELECT id FROM licenses WHERE {CURRENT}"  # noqa: S608  # our own
    sql = f"DELETE FROM outbox WHERE folder = ? AND {_OF_HOME} AND license_id NOT IN ({current})"  # noqa: S608
    db.execute(sql, (folder, db.actor.home))


def clear(db: Writing, *license_ids: str) -> None:
    """Remove the rows of delivered licenses."""
    db.delete("outbox", *license_ids)
