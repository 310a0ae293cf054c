"""Licenses that were committed, but whose file a crash or a full disk kept back."""

import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem
from polygent_issuer.files import disk
from polygent_issuer.registry import OutboxRow, Reading, Registry, Writing, licenses, outbox
from polygent_issuer.text import shown


def undelivered(registry: Registry) -> tuple[str, ...]:
    """One line for each current license whose file is not known to be delivered.

    Those that wait for one archive are told of together.
    """
    rows = waiting(registry)
    places = (row.folder for row in rows if row.folder is not None)
    bundles = Counter(place for place in places if is_bundle(place))
    alone = (row for row in rows if row.folder not in bundles)
    return (
        *(f"{told(row)}; get it with: {export_hint(row.license_id)}" for row in alone),
        *(
            f"{count:,} {'license waits' if count == 1 else 'licenses wait'} for the archive "
            f"{shown(place)}, which is not finished: the same command finishes it"
            for place, count in bundles.items()
        ),
    )


def is_bundle(place: str) -> bool:
    """Whether the outbox names an archive, and no folder that is called like one."""
    return place.endswith(".zip") and not os.path.isdir(place)  # noqa: PTH112 - Path.is_dir raises


def waiting(registry: Registry) -> tuple[OutboxRow, ...]:
    """The current licenses whose file is not known to be delivered, oldest first."""
    with registry.reading() as db:
        return tuple(
            row
            for row in outbox.pending(db)
            if licenses.get(db, row.license_id).is_current and not _is_there(db, row)
        )


def told(row: OutboxRow) -> str:
    """Which license is waiting, and for what place."""
    place = f"{row.folder}/{row.name}" if row.folder else None
    where = shown(place) if place else "stdout, or its folder before a restoration"
    return f"license {row.license_id[:8]} was issued, but its file may not have reached {where}"


def deliver(db: Writing, prefix: str) -> None:
    """Deliver what is pending, and clear what was delivered; what fails stays and is named again.

    What was superseded or retired meanwhile is nobody's to send any more, and is cleared.

    The bytes come from the registry, so nothing is signed twice.

    Args:
        db: the open transaction.
        prefix: of this registry's temporary files.
    """
    for row in outbox.pending(db):
        record = licenses.get(db, row.license_id)
        if record.is_current:
            if row.folder is None or row.name is None or is_bundle(row.folder):
                continue
            target = Path(row.folder) / row.name
            try:
                _free_held_name(target)
                write(record.file, target, record.id, prefix)
            except OutputProblem:
                continue
        outbox.clear(db, record.id)


def write(file: bytes, target: Path, license_id: str, prefix: str) -> None:
    """Write a kept license's file; whatever a crash leaves of that is swept by the next issue.

    Raises:
        OutputExists, OutputProblem: as `files.publish`.
    """
    temp_name = f"{prefix}{license_id}-{os.getpid()}.tmp"
    files.prepare(file, target.parent, temp_name=temp_name).publish(target.name)


def temp_prefix(registry_id: str) -> str:
    """How the temporary files of one registry begin, so that only its own orphans are swept.

    An edited ID names no other folder.
    """
    return f".polygent-{re.sub('[^0-9A-Za-z]', '_', registry_id[:8])}-"


def export_hint(license_id: str) -> str:
    """The command that writes a kept license's file again."""
    return f"polygent-issue license export {license_id[:8]} --output FILE"


def _free_held_name(target: Path) -> None:
    """Remove the empty file that held the name when a crash came, where there are no links."""
    with suppress(OSError, ValueError):  # ValueError: as in `_is_there`
        found = target.lstat()
        if S_ISREG(found.st_mode) and found.st_size == 0:
            target.unlink()


def _is_there(db: Reading, row: OutboxRow) -> bool:
    if row.folder is None or row.name is None:
        return False
    file = licenses.get(db, row.license_id).file
    return disk.content(Path(row.folder) / row.name, limit=len(file)) == file
