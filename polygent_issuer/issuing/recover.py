"""Licenses that were committed, but whose file a crash or a full disk kept back."""

from pathlib import Path

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem
from polygent_issuer.registry import OutboxRow, Reading, Registry, Writing, licenses, outbox
from polygent_issuer.text import shown


def undelivered(registry: Registry) -> tuple[str, ...]:
    """One line for each license whose file is not known to be delivered."""
    with registry.reading() as db:
        return tuple(_told(row) for row in outbox.pending(db) if not _is_there(db, row))


def deliver(db: Writing) -> None:
    """Deliver what is pending, and clear what was delivered; what fails stays and is named again.

    The bytes come from the registry, so nothing is signed twice.
    """
    for row in outbox.pending(db):
        if row.folder is None or row.name is None:
            continue
        try:
            files.publish(licenses.get(db, row.license_id).file, Path(row.folder) / row.name)
        except OutputProblem:
            continue
        outbox.clear(db, row.license_id)


def export_hint(license_id: str) -> str:
    """The command that writes a kept license's file again."""
    return f"polygent-issue license export {license_id[:8]} --output FILE"


def _is_there(db: Reading, row: OutboxRow) -> bool:
    if row.folder is None or row.name is None:
        return False
    try:
        return (Path(row.folder) / row.name).read_bytes() == licenses.get(db, row.license_id).file
    except OSError:
        return False


def _told(row: OutboxRow) -> str:
    where = shown(f"{row.folder}/{row.name}") if row.folder else "stdout"
    return (
        f"license {row.license_id[:8]} was issued, but its file may not have reached {where}; "
        f"get it with: {export_hint(row.license_id)}"
    )
