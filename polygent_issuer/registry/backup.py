"""A backup: the whole registry in one file, as it stands at one instant.

SQLite's own backup makes it, within a snapshot, so other commands go on: those that read at
once, those that write as soon as it is done.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from polygent_issuer import files
from polygent_issuer.errors import OutputExists
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import integrity, journal, open_database
from polygent_issuer.registry.connection import Connection
from polygent_issuer.registry.database import BUSY_TIMEOUT, Registry
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.text import escape


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """A backup that was written and read back.

    Attributes:
        path: the file.
        size: how many journal rows it holds; `head` is the hash of the last one, in hex.
    """

    path: Path
    size: int
    head: str


def stamp(moment: datetime) -> str:
    """An instant within a file name, UTC: `2026-11-30T093000Z`; no colon, for Windows.

    Args:
        moment: aware, in UTC.
    """
    return f"{moment:%Y-%m-%dT%H%M%SZ}"


def back_up_to(registry: Registry, place: Path, now: datetime) -> Backup:
    """Write a backup as the file `place`, or under a free name in the folder `place`.

    The second backup within a second, perhaps of another process, gets a number: `…Z-2.db`.

    Raises:
        As `back_up`.
    """
    place = place.absolute()
    if not place.is_dir():
        return back_up(registry, place)
    name, number = f"registry-{stamp(now)}", 1
    while True:
        numbered = name if number == 1 else f"{name}-{number}"
        try:
            return back_up(registry, place / f"{numbered}.db")
        except OutputExists:
            number += 1


def back_up(registry: Registry, target: Path) -> Backup:
    """Write a backup, 0600 from its first byte and never over anything; then read it back.

    Args:
        registry: an open one.
        target: a new file.

    Raises:
        OutputExists, OutputProblem: (`output_exists`, `output_failed`) when it cannot be written.
        RegistryDamaged: (`registry_damaged`) when the registry cannot be read to its end.
        RegistryLocked: (`registry_locked`) when it was busy for too long.
    """
    if target.exists() or target.is_symlink():
        raise _exists(target)
    with registry.reading() as db:
        size, head = journal.head(db)
        prepared = files.prepare_with(lambda temp: db.copy_into(temp, named=target), target)
    try:
        _read_back(prepared.temp, target, size, head)
        prepared.publish(target.name)
    except OutputExists:
        raise _exists(target) from None
    finally:
        prepared.discard()
    return Backup(path=target, size=size, head=head)


def _read_back(path: Path, target: Path, size: int, head: str) -> None:
    """Hold that the copy is whole, before it gets its name."""
    connection = Connection(path, busy_timeout=BUSY_TIMEOUT, named=target, immutable=True)
    with Registry(connection) as copy:
        open_database.check_application_id(connection)
        with copy.reading() as db:
            if integrity.sqlite_problems(db) or journal.head(db) != (size, head):
                raise RegistryDamaged(
                    f"the backup {escape(str(target))} is not sound, so it was thrown away",
                    hint=Hint("look at the registry first: ", run("journal", "verify")),
                )


def _exists(target: Path) -> OutputExists:
    return OutputExists(
        f"{escape(str(target))} exists already; a backup is never written over",
        hint="name another file, or a folder",
    )
