"""Restore a backup: replace the registry with one rename, and keep the replaced file.

1. The current registry is locked exclusively, and compared once more with the preview. With the
   lock SQLite has undone any interrupted transaction.
2. The private copy gets its journal row, `registry-restored`, and is synced. The destinations in
   its outbox are removed, because the files may have been delivered since, or the backup may be
   from another machine. So are its settings, which belong into a backup only.
3. The current file gets a second name, `registry.db.before-restore-…`. A journal file of a registry
   that cannot be read is moved with it, so that SQLite does not apply it to the new file.
4. The copy is renamed to `registry.db`, and the folder synced.

A command that waits for the lock gets it afterwards, notices that the file was replaced, and stops
(`SqliteConnection.require_in_place`).

A registry in a database is replaced within one transaction (`postgres.copying`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from polygent_issuer.errors import OutputProblem, RegistryChanged
from polygent_issuer.files import disk, publication
from polygent_issuer.findings import Consent, Finding, FindingCode, require
from polygent_issuer.registry import change, database, journal
from polygent_issuer.registry.backup import CheckedBackup, stamp
from polygent_issuer.registry.database import BUSY_TIMEOUT, Registry, require_file
from polygent_issuer.registry.engine import Connection
from polygent_issuer.registry.errors import Place, RegistryDamaged, RegistryMissing
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.registry.postgres import copying
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Actor, as_bytes, moment, text
from polygent_issuer.registry.sqlite import BESIDE, SqliteConnection
from polygent_issuer.registry.sqlite_file import free_name
from polygent_issuer.registry.writing import Writing
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, counted, run

_LICENSES: Final = "SELECT id FROM licenses"
_BACK_UP: Final = Hint("back up the current registry first: ", run("registry", "backup", "FILE"))


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentRegistry:
    """The registry that a backup would replace, compared with the backup.

    Attributes:
        readable: False for a damaged registry; the other attributes are unknown then.
        same: the backup was made from this registry.
        size: the number of its journal rows; `head` is the hash of the last one, in hex.
        rows_lost: the number of journal rows that the backup lacks; the first is from `since`.
        acts_lost: the same without rows that only record a copy, since no backup contains its own.
        rows_gained: the number of journal rows of the backup that this registry lacks.
    """

    readable: bool = True
    registry_id: str = ""
    same: bool = True
    size: int = 0
    head: str = ""
    rows_lost: int = 0
    acts_lost: int = 0
    licenses_lost: int = 0
    since: datetime | None = None
    rows_gained: int = 0


def compare_with_current(place: Place, candidate: CheckedBackup) -> CurrentRegistry | None:
    """Compare the registry at `place` with a backup; None without a registry; errors as `open`."""
    try:
        with Registry.open(place) as registry, registry.reading() as db:
            registry.require_role(Role.OWNER)
            return compare(db, candidate)
    except RegistryMissing:
        return None
    except RegistryDamaged:
        return CurrentRegistry(readable=False)


def compare(db: Reading, candidate: CheckedBackup) -> CurrentRegistry:
    """Compare the registry of a transaction with the candidate."""
    size, head = journal.head(db)
    registry_id = db.registry_id()
    with candidate.registry.reading() as copy:
        shared = _shared(db, copy, min(size, candidate.size))
        lost = set(db.values(text, _LICENSES)).difference(copy.values(text, _LICENSES))
    sql = "SELECT at FROM journal WHERE seq = ?"
    return CurrentRegistry(
        registry_id=registry_id or "",
        same=registry_id == candidate.registry_id,
        size=size,
        head=head,
        rows_lost=size - shared,
        acts_lost=size - shared - journal.copies_since(db, shared),
        licenses_lost=len(lost),
        since=db.value(moment, sql, (shared + 1,)),
        rows_gained=candidate.size - shared,
    )


def rollback_finding(compared: CurrentRegistry | None) -> Finding | None:
    """Return `registry-rollback` if the backup lacks rows of the registry that it replaces."""
    if compared is None or (compared.readable and not compared.acts_lost):
        return None
    return Finding(
        code=FindingCode.REGISTRY_ROLLBACK,
        message=_loss(compared),
        hint=_BACK_UP if compared.readable else None,
    )


def restore(
    candidate: CheckedBackup,
    place: Place,
    shown: CurrentRegistry | None,
    *,
    findings: tuple[Finding, ...],
    consent: Consent,
    now: datetime,
    actor: Actor,
) -> Path | str | None:
    """Replace the registry at `place` with a candidate, which is closed.

    Args:
        shown, findings: the preview that the operator saw; `consent` must cover the findings.

    Returns:
        The path of the replaced registry, or the name of its schema; None without one.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when the registry has changed since the preview.
        OutputProblem: (`output_failed`) for an I/O error; the current registry stays then.
        HomeProblem: (`registry_role`) when another role owns the tables; the same.
    """
    require(findings, consent)
    replaced = shown if shown is not None and shown.readable else None

    def record(row: Writing, kept: str | None) -> None:
        change.forget_places(row)
        if candidate.registry.connection.moved_to() is not None:
            row.delete("about", "moved_to")
        row.record(
            "registry-restored",
            accepted=consent.used(findings),
            reason=consent.reason,
            details={
                "file": str(candidate.source),
                "sha256": candidate.sha256,
                "size": candidate.size,
                "head": head_text(candidate.size, candidate.head),
                "replaced": replaced and head_text(replaced.size, replaced.head),
                "kept": kept,
            },
        )

    if isinstance(place, Path):
        return _restore_file(candidate, place, replaced, record, now=now, actor=actor)
    return _restore_database(candidate, place, replaced, record, now=now, actor=actor)


def _loss(compared: CurrentRegistry) -> str:
    if not compared.readable:
        return "the current registry cannot be read, so the rows that the backup lacks are unknown"
    lost = " and ".join(
        (counted(compared.licenses_lost, "license"), counted(compared.rows_lost, "journal row"))
    )
    since = "" if compared.since is None else f", since {dates.instant(compared.since)}"
    if not compared.same:
        return (
            f"the backup was not made from the current registry ({compared.registry_id}), which "
            f"contains {lost} that the backup lacks{since}"
        )
    message = f"the current registry contains {lost} that the backup lacks{since}"
    if not compared.rows_gained:
        return message
    gained = counted(compared.rows_gained, "row")
    return f"{message}; the backup has {gained} that the registry lacks, so both were changed"


def _shared(db: Reading, copy: Reading, most: int) -> int:
    """Return the number of the last row that both journals share."""

    def differ(seq: int) -> bool:
        sql = "SELECT hash FROM journal WHERE seq = ?"
        return db.value(as_bytes, sql, (seq,)) != copy.value(as_bytes, sql, (seq,))

    return bisect_left(range(1, most + 1), x=True, key=differ)


def _restore_database(
    candidate: CheckedBackup,
    place: str,
    shown: CurrentRegistry | None,
    record: Callable[[Writing, str | None], None],
    *,
    now: datetime,
    actor: Actor,
) -> str | None:
    connection = database.connect(place)
    with (
        Registry(connection) as registry,
        registry.writing(now=now, actor=actor, judge=lambda: None) as db,
    ):
        if _compared_in_part(connection, candidate) != shown:
            raise RegistryChanged.since_shown("nothing was restored")
        source = candidate.registry
        with (
            source.reading(checked=False),
            copying.replaced(source.connection, connection, now) as kept,
        ):
            record(db, kept)
            db.check_written()
    return kept


def _compared_in_part(connection: Connection, candidate: CheckedBackup) -> CurrentRegistry | None:
    """Compare a registry, whose tables may be missing, without an end of the transaction."""
    if not connection.columns("tables"):
        return None
    connection.begin_part()
    try:
        current = compare(Reading(connection), candidate)
    except RegistryDamaged:
        connection.undo_part()
        return None
    connection.end_part()
    return current


def _restore_file(
    candidate: CheckedBackup,
    path: Path,
    shown: CurrentRegistry | None,
    record: Callable[[Writing, str | None], None],
    *,
    now: datetime,
    actor: Actor,
) -> Path | None:
    with _exclusive_lock(path) as db:
        if _compared(db, candidate) != shown:
            raise RegistryChanged.since_shown("nothing was restored")
        aside = _kept_name(path, now)
        copy = candidate.registry
        with copy.writing(now=now, actor=actor, judge=copy.connection.require_current) as row:
            row.execute("DELETE FROM backup_settings")
            record(row, None if aside is None else aside.name)
        candidate.registry.close()
        _swap(candidate.copy, path, aside)
    return aside


def _compared(db: Reading | None, candidate: CheckedBackup) -> CurrentRegistry | None:
    try:
        return None if db is None else compare(db, candidate)
    except RegistryDamaged:
        return None


@contextmanager
def _exclusive_lock(path: Path) -> Iterator[Reading | None]:
    """Open the registry with an exclusive lock; None if it is missing or damaged."""
    try:
        require_file(path)
        connection = SqliteConnection(path, busy_timeout=BUSY_TIMEOUT)
        with connection.closed_on_error():
            connection.begin("BEGIN EXCLUSIVE")
            connection.require_registry()
    except (RegistryMissing, RegistryDamaged):
        yield None
        return
    with closing(connection):
        yield Reading(connection)


def _kept_name(path: Path, now: datetime) -> Path | None:
    """Return the new name of the replaced file; None for a missing or empty file."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    return free_name(path.with_name(f"{path.name}.before-restore-{stamp(now)}"))


def _swap(copy: Path, path: Path, kept: Path | None) -> None:
    """Make steps 3 and 4, and undo them after an error."""
    try:
        disk.sync_file(copy)
        with ExitStack() as undo:
            if kept is not None:
                undo.callback(publication.set_aside(path, kept))
            aside = kept or path.with_name(f"{path.name}.before-restore")
            for suffix in BESIDE:
                beside = Path(f"{path}{suffix}")
                if beside.exists():
                    moved = beside.replace(f"{aside}{suffix}")
                    undo.callback(moved.replace, beside)
            copy.replace(path)
            undo.pop_all()
    except OSError as error:
        disk.cannot_write(path, error)
    try:
        disk.sync_folder(path.parent)
    except OutputProblem as failed:
        raise OutputProblem(
            f"the backup is restored, but the change may not be durable: {failed.message}",
            hint=Hint("check the disk, then ", run("journal", "verify")),
        ) from None
