"""A backup becomes the registry: in one rename, with what was there kept beside it.

1. The present registry is locked against everybody, and compared once more with what was shown.
   Having that lock, SQLite has undone whatever a crash left half-written.
2. The private copy gets its journal row, `registry-restored`, and is synced. What it has still to
   deliver keeps no place: it was perhaps delivered since, or the backup is from another machine.
3. The present file gets a second name, `registry.db.before-restore-…`; a journal file beside one
   that cannot be read goes with it, lest SQLite apply it to the new file.
4. The copy is renamed to `registry.db`, and the folder synced.

Another command that waits for the lock gets it afterwards, sees that the file is another one,
and stops (`Connection.require_in_place`).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem, RegistryChanged
from polygent_issuer.files import disk
from polygent_issuer.findings import Consent, Finding, FindingCode, require
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import database_file, journal, outbox
from polygent_issuer.registry.backup import CheckedBackup, stamp
from polygent_issuer.registry.connection import BESIDE, Connection
from polygent_issuer.registry.database import BUSY_TIMEOUT, Registry
from polygent_issuer.registry.database_file import free_name
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMissing
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.registry.records import Actor, as_bytes, moment, text
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.terms import dates

_LICENSES: Final = "SELECT id FROM licenses"
_BACK_UP: Final = Hint("first keep what is there: ", run("registry", "backup", "FILE"))


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentRegistry:
    """The registry that a backup would replace, as far as it can be read.

    Attributes:
        readable: False for a damaged one, of which nothing else is known.
        registry_id: which one it is; `same` whether the backup is one of it.
        size: how many journal rows it holds; `head` is the hash of the last one, in hex.
        rows_lost: journal rows that the backup lacks, the first of them `since` then; `acts_lost`
            those of them that tell of more than of a copy: a backup never holds the row that
            tells of it.
        licenses_lost: licenses that the backup lacks.
        rows_gained: journal rows of the backup that this one lacks.
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


def compare_with_current(path: Path, candidate: CheckedBackup) -> CurrentRegistry | None:
    """Compare the registry at `path` with a backup; None where there is none.

    Raises:
        RegistryNewer: (`registry_newer`) when a later version of this tool wrote it.
        RegistryLocked, RegistryFailed: as `Registry.open`.
    """
    try:
        with Registry.open(path) as registry, registry.reading() as db:
            return compare(db, candidate)
    except RegistryMissing:
        return None
    except RegistryDamaged:
        return CurrentRegistry(readable=False)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[Reading | None]:
    """The registry at `path`, with everybody else kept out; None where there is none to read.

    Raises:
        RegistryLocked: (`registry_locked`) when another command had it for too long.
    """
    connection = _locked(path)
    if connection is None:
        yield None
        return
    try:
        yield Reading(connection)
    finally:
        connection.close()


def _locked(path: Path) -> Connection | None:
    try:
        database_file.require_file(path)
        connection = Connection(path, busy_timeout=BUSY_TIMEOUT)
        with connection.closed_on_error():
            connection.begin("BEGIN EXCLUSIVE")
            database_file.check_application_id(connection)
    except (RegistryMissing, RegistryDamaged):
        return None
    return connection


def compare(db: Reading, candidate: CheckedBackup) -> CurrentRegistry:
    """What the registry of a transaction has that the candidate lacks, and the reverse.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it cannot be read.
    """
    size, head = journal.head(db)
    registry_id = db.value(text, "SELECT value FROM about WHERE name = 'registry_id'")
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
    """`registry-rollback`: the backup lacks what the registry that it replaces holds."""
    if compared is None or (compared.readable and not compared.acts_lost):
        return None
    return Finding(
        code=FindingCode.REGISTRY_ROLLBACK,
        message=_loss(compared),
        hint=_BACK_UP if compared.readable else None,
    )


def _loss(compared: CurrentRegistry) -> str:
    if not compared.readable:
        return (
            "the present registry cannot be read, so what it holds that the backup lacks is unknown"
        )
    counted = (
        f"{number(compared.licenses_lost, 'license')} and "
        f"{number(compared.rows_lost, 'journal row')}"
    )
    since = "" if compared.since is None else f", since {dates.instant(compared.since)}"
    if not compared.same:
        return (
            f"the present registry is another one ({compared.registry_id}), no later state of the "
            f"backup's: it holds {counted} that the backup lacks{since}"
        )
    apart = (
        f"; the backup has {number(compared.rows_gained, 'row')} of its own, so both went on"
        if compared.rows_gained
        else ""
    )
    return f"the present registry holds {counted} that the backup lacks{since}{apart}"


def number(count: int, noun: str) -> str:
    """`1 license`, `2 licenses`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shared(db: Reading, copy: Reading, most: int) -> int:
    """The number of the last row that both journals have."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _hash(db, middle) == _hash(copy, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _hash(db: Reading, seq: int) -> bytes | None:
    return db.value(as_bytes, "SELECT hash FROM journal WHERE seq = ?", (seq,))


def restore(
    candidate: CheckedBackup,
    path: Path,
    shown: CurrentRegistry | None,
    *,
    findings: tuple[Finding, ...],
    consent: Consent,
    now: datetime,
    actor: Actor,
) -> Path | None:
    """Put a candidate in the place of the registry at `path`.

    Args:
        candidate: sound; closed by this.
        path: `registry.db` in the home.
        shown: the comparison that the operator saw.
        findings: those that the operator saw; `consent` must cover them.
        now: the instant of the journal row, aware.
        actor: who restores.

    Returns:
        Where the replaced registry is kept; None when there was none.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when it is no longer what was shown.
        RegistryLocked: (`registry_locked`) when another command had it for too long.
        OutputProblem: (`output_failed`) when the disk refuses; the present one stays then.
    """
    require(findings, consent)
    with exclusive_lock(path) as db:
        if _compared(db, candidate) != _readable(shown):
            raise RegistryChanged.since_shown("nothing was restored")
        aside = _kept_name(path, now)
        with candidate.registry.writing(now=now, actor=actor) as row:
            outbox.forget_places(row)
            row.record(
                "registry-restored",
                accepted=consent.used(findings),
                reason=consent.reason,
                details=_details(candidate, shown, aside),
            )
        candidate.registry.close()
        _swap(candidate.copy, path, aside)
    return aside


def _compared(db: Reading | None, candidate: CheckedBackup) -> CurrentRegistry | None:
    try:
        return None if db is None else compare(db, candidate)
    except RegistryDamaged:
        return None


def _readable(shown: CurrentRegistry | None) -> CurrentRegistry | None:
    return shown if shown is not None and shown.readable else None


def _details(
    candidate: CheckedBackup, shown: CurrentRegistry | None, aside: Path | None
) -> dict[str, object]:
    replaced = _readable(shown)
    return {
        "file": str(candidate.source),
        "sha256": candidate.sha256,
        "size": candidate.size,
        "head": head_text(candidate.size, candidate.head),
        "replaced": None if replaced is None else head_text(replaced.size, replaced.head),
        "kept": None if aside is None else aside.name,
    }


def _kept_name(path: Path, now: datetime) -> Path | None:
    """The name of the replaced file; an empty one, or none, is not kept."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    return free_name(path.with_name(f"{path.name}.before-restore-{stamp(now)}"))


def _swap(copy: Path, path: Path, kept: Path | None) -> None:
    """Steps 3 and 4; what fails is undone."""
    try:
        disk.sync_file(copy)
        with ExitStack() as undo:
            if kept is not None:
                undo.callback(files.set_aside(path, kept))
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
        files.sync_folder(path.parent)
    except OutputProblem as failed:
        raise OutputProblem(
            "the backup is in its place, but the disk does not say that this lasts: "
            f"{failed.message}",
            hint=Hint("check the disk, then ", run("journal", "verify")),
        ) from None
