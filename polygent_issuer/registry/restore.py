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

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem, RegistryChanged
from polygent_issuer.files import disk
from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import outbox, restore_preview
from polygent_issuer.registry.backup import stamp
from polygent_issuer.registry.backup_check import CheckedBackup
from polygent_issuer.registry.connection import BESIDE
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.journal_heads import head_text
from polygent_issuer.registry.open_database import free_name
from polygent_issuer.registry.records import Actor
from polygent_issuer.registry.restore_preview import CurrentRegistry
from polygent_issuer.registry.transactions import Reading


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
    with restore_preview.exclusive_lock(path) as db:
        if _compared(db, candidate) != _readable(shown):
            raise RegistryChanged.since_shown("nothing was restored")
        kept = _kept_name(path, now)
        with candidate.registry.writing(now=now, actor=actor) as row:
            outbox.forget_places(row)
            row.record(
                "registry-restored",
                accepted=consent.used(findings),
                reason=consent.reason,
                details=_details(candidate, shown, kept),
            )
        candidate.registry.close()
        _swap(candidate.copy, path, kept)
    return kept


def _compared(db: Reading | None, candidate: CheckedBackup) -> CurrentRegistry | None:
    try:
        return None if db is None else restore_preview.compare(db, candidate)
    except RegistryDamaged:
        return None


def _readable(shown: CurrentRegistry | None) -> CurrentRegistry | None:
    return shown if shown is not None and shown.readable else None


def _details(
    candidate: CheckedBackup, shown: CurrentRegistry | None, kept: Path | None
) -> dict[str, object]:
    replaced = _readable(shown)
    return {
        "file": str(candidate.source),
        "sha256": candidate.sha256,
        "size": candidate.size,
        "head": head_text(candidate.size, candidate.head),
        "replaced": None if replaced is None else head_text(replaced.size, replaced.head),
        "kept": None if kept is None else kept.name,
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
