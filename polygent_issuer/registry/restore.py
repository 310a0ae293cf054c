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

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem, RegistryChanged
from polygent_issuer.files import disk
from polygent_issuer.findings import Consent, Finding, FindingCode, require
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import database, journal, outbox
from polygent_issuer.registry.backup import CheckedBackup, stamp
from polygent_issuer.registry.connection import BESIDE, Connection, require_file
from polygent_issuer.registry.database import BUSY_TIMEOUT, Registry, free_name
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
        same: whether the backup is one of it.
        size: how many journal rows it holds; `head` is the hash of the last one, in hex.
        rows_lost: journal rows that the backup lacks, the first of them `since` then; `acts_lost`:
            without those that tell of a copy, since no backup holds its own.
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
    """Compare the registry at `path` with a backup; None where there is none; errors as `open`."""
    try:
        with Registry.open(path) as registry, registry.reading() as db:
            return compare(db, candidate)
    except RegistryMissing:
        return None
    except RegistryDamaged:
        return CurrentRegistry(readable=False)


@contextmanager
def _exclusive_lock(path: Path) -> Iterator[Reading | None]:
    """Open the registry with everybody else locked out; None where there is none to read."""
    try:
        require_file(path)
        connection = Connection(path, busy_timeout=BUSY_TIMEOUT)
        with connection.closed_on_error():
            connection.begin("BEGIN EXCLUSIVE")
            database.check_application_id(connection)
    except (RegistryMissing, RegistryDamaged):
        yield None
        return
    with closing(connection):
        yield Reading(connection)


def compare(db: Reading, candidate: CheckedBackup) -> CurrentRegistry:
    """Compare what the registry of a transaction has that the candidate lacks, and the reverse."""
    size, head = journal.head(db)
    registry_id = db.value(text, database.REGISTRY_ID)
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
    """Return `registry-rollback` if the backup lacks what the registry that it replaces holds."""
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
    counted = " and ".join(
        (number(compared.licenses_lost, "license"), number(compared.rows_lost, "journal row"))
    )
    since = "" if compared.since is None else f", since {dates.instant(compared.since)}"
    if not compared.same:
        return (
            f"the present registry is another one ({compared.registry_id}), no later state of the "
            f"backup's: it holds {counted} that the backup lacks{since}"
        )
    message = f"the present registry holds {counted} that the backup lacks{since}"
    if not compared.rows_gained:
        return message
    gained = number(compared.rows_gained, "row")
    return f"{message}; the backup has {gained} of its own, so both went on"


def number(count: int, noun: str) -> str:
    """Return `1 license`, `2 licenses`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shared(db: Reading, copy: Reading, most: int) -> int:
    """Return the number of the last row that both journals have."""

    def differ(seq: int) -> bool:
        sql = "SELECT hash FROM journal WHERE seq = ?"
        return db.value(as_bytes, sql, (seq,)) != copy.value(as_bytes, sql, (seq,))

    return bisect_left(range(1, most + 1), x=True, key=differ)


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
    """Put a candidate, which this closes, in the place of the registry at `path`.

    Args:
        shown, findings: what the operator saw; `consent` must cover the findings.

    Returns:
        Where the replaced registry is kept; None when there was none.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when it is no longer what was shown.
        OutputProblem: (`output_failed`) when the disk refuses; the present one stays then.
    """
    require(findings, consent)
    replaced = shown if shown is not None and shown.readable else None
    with _exclusive_lock(path) as db:
        if _compared(db, candidate) != replaced:
            raise RegistryChanged.since_shown("nothing was restored")
        aside = _kept_name(path, now)
        with candidate.registry.writing(now=now, actor=actor) as row:
            outbox.forget_places(row)
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
                    "kept": aside and aside.name,
                },
            )
        candidate.registry.close()
        _swap(candidate.copy, path, aside)
    return aside


def _compared(db: Reading | None, candidate: CheckedBackup) -> CurrentRegistry | None:
    try:
        return None if db is None else compare(db, candidate)
    except RegistryDamaged:
        return None


def _kept_name(path: Path, now: datetime) -> Path | None:
    """Name the replaced file; an empty one, or none, is not kept."""
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
