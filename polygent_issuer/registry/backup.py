"""Backups: write one, and check one before it is restored.

A backup is a copy of the whole registry at one instant. SQLite's backup function makes it within a
snapshot. Other commands can read meanwhile, and write as soon as it is finished. The settings that
the next operator needs are written into the copy before it gets its name.

A backup is copied and checked completely before it can replace the registry:

1. A private copy is made in the home, together with its hot journal if there is one. SQLite never
   opens the backup itself. A journal of another owner is refused, because a user who can write
   into that folder could change the content of the backup. A journal that names a super-journal,
   which this tool never writes, is refused too, because SQLite would remove the named file.
2. It is a registry of this version or an older one, and every table, index, view and trigger is as
   that version creates it. So no foreign SQL runs, neither now nor with a later write.
3. An older version is migrated.
4. SQLite's checks succeed, and every row is as the journal recorded it (`journal verify`). The
   journal contains the heads that were noted elsewhere.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from polygent_issuer.errors import HomeProblem, OutputExists, UnreadableInput
from polygent_issuer.files import disk, publication, reading
from polygent_issuer.registry import journal, journal_check
from polygent_issuer.registry.database import BUSY_TIMEOUT, Registry
from polygent_issuer.registry.engine import Change
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMissing, first_problems
from polygent_issuer.registry.journal_check import JournalCheck, JournalHead
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import text
from polygent_issuer.registry.sqlite import BESIDE, SqliteConnection
from polygent_issuer.registry.sqlite_file import migrate_file
from polygent_issuer.text import Hint, escape, run

_CHUNK: Final = 1024 * 1024
_TEMPORARY: Final = ".polygent-restore-"
# Not -shm: SQLite creates that index again, and would trust a foreign one.
_CONTENT: Final = ("-journal", "-wal")
# The last bytes of a rollback journal that names a super-journal (SQLite, file format §3).
_SUPER_JOURNAL: Final = bytes.fromhex("d9d505f920a163d7")
_ANOTHER: Final = "nothing was changed; restore another backup"
_OLDER: Final = (
    "nothing was changed; restore a newer backup, or leave out --against if you have no newer one"
)
MAX_SETTINGS: Final = 256 * 1024
"""The largest total size of the settings, names and values, in bytes."""
_SETTINGS: Final = "SELECT name, value FROM backup_settings ORDER BY rowid"
_SETTINGS_SIZE: Final = """SELECT
    coalesce(sum(length(CAST(name AS BLOB)) + length(CAST(value AS BLOB))), 0)
    FROM backup_settings"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """A new backup; `head` is the hash of the last of its `size` journal rows, in hex.

    `settings` are the settings in it.
    """

    path: Path
    size: int
    head: str
    settings: Mapping[str, str]


def stamp(moment: datetime) -> str:
    """Return a UTC instant for a file name, without colons for Windows: `2026-11-30T093000Z`."""
    return f"{moment:%Y-%m-%dT%H%M%SZ}"


def back_up_to(
    registry: Registry,
    place: Path,
    now: datetime,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Backup:
    """Write a backup to the file `place`, or under a free name into that folder; as `back_up`."""
    place = place.absolute()
    if not disk.is_folder(place):
        return back_up(registry, place, settings)
    # A second backup within a second, perhaps by another process, gets a number.
    name, number = f"registry-{stamp(now)}", 1
    while True:
        numbered = name if number == 1 else f"{name}-{number}"
        try:
            return back_up(registry, place / f"{numbered}.db", settings)
        except OutputExists:
            number += 1


def back_up(
    registry: Registry, target: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Backup:
    """Write a backup with mode 0600 from its first byte, without overwriting; then read it back.

    Args:
        registry, target: its source and its new file.
        settings: the rows of its table `backup_settings`. They are left out of a copy whose tables
            or triggers were changed, because a write there could run foreign SQL.

    Raises:
        OutputExists, OutputProblem: (`output_exists`, `output_failed`) when it cannot be written.
        RegistryDamaged: (`registry_damaged`) when the registry cannot be read completely.
    """
    if os.path.lexists(target):
        raise _exists(target)
    with registry.reading() as db:
        size, head = journal.head(db)
        foreign = db.connection.schema_problems()
        settings = {} if foreign else settings
        then = () if foreign else settings_changes(settings)
        prepared = publication.prepare_with(
            lambda temp: db.connection.copy_into(temp, named=target, then=then), target
        )
    written = Backup(path=target, size=size, head=head, settings=settings)
    try:
        _read_back(prepared.temp, written)
        prepared.publish(target.name)
    except OutputExists:
        raise _exists(target) from None
    finally:
        prepared.discard()
    return written


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedBackup:
    """The checked private copy of a backup, opened; `sha256` and `head` in hex.

    `head` is the hash of the last of its `size` journal rows. `settings` are the rows of its table
    `backup_settings`, which the journal does not record.
    """

    source: Path
    copy: Path
    sha256: str
    registry: Registry
    registry_id: str
    size: int
    head: str
    settings: Mapping[str, str]


@contextmanager
def open_backup(
    source: Path, home: Path, *, against: Iterable[JournalHead] = ()
) -> Iterator[CheckedBackup]:
    """Check a backup and open a private copy of it, which is removed at the end unless moved.

    Args:
        home: the folder of the registry that it will replace.
        against: heads that were noted elsewhere.

    Raises:
        UnreadableInput: (`unreadable_input`) when it cannot be read.
        HomeProblem: (`backup_refused`) when it is not an unchanged backup of this tool.
        OutputProblem: (`output_failed`) when the copy cannot be written.
    """
    disk.sweep(home, _TEMPORARY)
    copy = home / f"{_TEMPORARY}{os.getpid()}.tmp"
    try:
        sha256 = _copy(source, copy)
        with _refusing():
            registry = _open(copy, source)
        with registry:
            with _refusing():
                check = _validate(registry, source, tuple(against))
                registry_id = registry.id
                with registry.reading() as db:
                    settings = read_settings(db)
            yield CheckedBackup(
                source=source,
                copy=copy,
                sha256=sha256,
                registry=registry,
                registry_id=registry_id,
                size=check.size,
                head=check.head,
                settings=settings,
            )
    finally:
        for suffix in ("", *BESIDE):
            disk.remove(Path(f"{copy}{suffix}"))


def read_settings(db: Reading) -> Mapping[str, str]:
    """Return the rows in the order in which they were written; `registry_damaged` for too many."""
    size = next(iter(db.execute(_SETTINGS_SIZE)))[0]
    if not isinstance(size, int) or size > MAX_SETTINGS:
        raise db.damaged(f"contains settings of more than {MAX_SETTINGS} bytes")
    return {text(name): text(value) for name, value in db.execute(_SETTINGS)}


def _read_back(path: Path, written: Backup) -> None:
    """Check that the copy is complete, before it gets its name."""
    connection = SqliteConnection(
        path, busy_timeout=BUSY_TIMEOUT, named=written.path, immutable=True
    )
    with Registry(connection) as copy:
        connection.require_registry()
        with copy.reading() as db:
            is_complete = journal.head(db) == (written.size, written.head)
            if written.settings:
                is_complete &= read_settings(db) == written.settings
            if db.connection.damage() or not is_complete:
                raise RegistryDamaged(
                    f"the backup {escape(str(written.path))} is damaged and was removed",
                    hint=Hint("check the registry first: ", run("journal", "verify")),
                )


def _exists(target: Path) -> OutputExists:
    return OutputExists(
        f"{escape(str(target))} already exists; backups are never overwritten",
        hint="choose another file, or a folder",
    )


def _copy(source: Path, copy: Path) -> str:
    """Make step 1; return the digest of the backup, in hex."""
    digest = _copy_one(source, copy)
    for suffix in _CONTENT:
        beside = Path(f"{source}{suffix}")
        if beside.is_file() and beside.stat().st_size:
            private = Path(f"{copy}{suffix}")
            _copy_one(beside, private, owner=source.stat().st_uid)
            with private.open("rb") as file:
                file.seek(max(0, private.stat().st_size - len(_SUPER_JOURNAL)))
                if file.read() == _SUPER_JOURNAL:
                    raise _refused(source, "its SQLite journal refers to other files")
    return digest


def _copy_one(source: Path, copy: Path, *, owner: int | None = None) -> str:
    digest = hashlib.sha256()

    def fill(temp: Path) -> None:
        with temp.open("r+b") as target:
            for chunk in _chunks(source, owner):
                digest.update(chunk)
                target.write(chunk)

    publication.prepare_with(fill, copy, temp_name=copy.name)
    return digest.hexdigest()


def _chunks(source: Path, owner: int | None) -> Iterator[bytes]:
    """Read the content of a regular file; if an owner is given, the file must be theirs."""
    try:
        descriptor = reading.open_regular(source)
        try:
            if owner not in (None, os.fstat(descriptor).st_uid):
                raise HomeProblem(
                    f"{escape(str(source))} would change the content of the backup, but belongs to "
                    "another user than the backup; nothing was changed",
                    hint="copy only the backup into your own folder, and restore that copy",
                    code="backup_refused",
                )
            while chunk := os.read(descriptor, _CHUNK):
                yield chunk
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        is_folder = disk.is_folder(source)
        raise UnreadableInput(
            f"cannot read the backup {escape(str(source))}: {disk.reason(error)}",
            hint="choose a file in it" if is_folder else "check the path and its permissions",
        ) from None


def _open(copy: Path, source: Path) -> Registry:
    """Make steps 2 and 3."""
    connection = SqliteConnection(copy, busy_timeout=BUSY_TIMEOUT, named=source)
    registry = Registry(connection)
    with connection.closed_on_error():
        connection.require_registry()
        with registry.reading() as db:
            _require_none(source, db.connection.schema_problems(registry.tables))
        connection.settle()
        size = connection.number("page_count") * connection.number("page_size")
        if size != copy.stat().st_size:
            raise _refused(source, "it is truncated")
        migrate_file(connection, keep=False)
    return registry


def _validate(registry: Registry, source: Path, heads: tuple[JournalHead, ...]) -> JournalCheck:
    """Make step 4."""
    with registry.reading() as db:
        _require_none(source, db.connection.damage())
        check = journal_check.verify(db, against=heads)
        intact = bool(check.problems and heads) and not journal_check.verify(db).problems
    _require_none(source, check.problems, hint=_OLDER if intact else _ANOTHER)
    return check


def _require_none(source: Path, problems: tuple[str, ...], *, hint: str = _ANOTHER) -> None:
    if problems:
        raise _refused(source, first_problems(problems), hint=hint)


def _refused(source: Path, problems: str, *, hint: str = _ANOTHER) -> HomeProblem:
    message = f"the backup {escape(str(source))} was changed or damaged: {problems}"
    return HomeProblem(message, hint=hint, code="backup_refused")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn errors about a registry into errors about the backup."""
    try:
        yield
    except (RegistryDamaged, RegistryMissing) as error:
        message = error.message.replace("the registry", "the backup", 1)
        if message.endswith("is damaged"):
            message += ", or not a backup of a registry"
        raise HomeProblem(message, hint=_ANOTHER, code="backup_refused") from error


def settings_changes(rows: Mapping[str, str]) -> tuple[Change, ...]:
    """Return the changes that write the rows into the copy that becomes a backup."""
    return (
        ("DELETE FROM backup_settings", ((),)),
        ("INSERT INTO backup_settings (name, value) VALUES (?, ?)", tuple(rows.items())),
    )
