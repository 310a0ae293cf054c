"""Delivery of license files to their places, also after a crash or a full disk prevented it."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import IssuerError, OutputProblem, UsageProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.registry import (
    LicenseRecord,
    Reading,
    Registry,
    Writing,
    change,
    licenses,
)
from polygent_issuer.registry.change import OutboxRow
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.text import Hint, escape, run

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import Proposal

_NAMED: Final = 50
"""Licenses that a warning names individually; `doctor` names all."""
_ELSEWHERE: Final = "choose another place with --output"


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A place for license files: a folder, or stdout by `write`.

    `name` is the name of a single file; by default each license has its own.
    """

    folder: Path | None
    name: str | None = None
    write: Callable[[bytes], None] | None = None

    def target(self, proposal: "Proposal") -> Path | None:
        """Return the path for a license's file; `None` for stdout."""
        return None if self.folder is None else self.folder / (self.name or proposal.file_name)

    def check(self, proposals: "tuple[Proposal, ...]") -> None:
        """Check before signing that the files can be delivered.

        Raises:
            UsageProblem: (`usage`) one name for several licenses.
            OutputExists, OutputProblem: as `require_folder` and `require_free`.
        """
        if len(proposals) > 1 and (self.name is not None or self.folder is None):
            raise UsageProblem(
                f"{len(proposals)} licenses cannot be written to one file",
                hint="give a folder with --output FOLDER",
            )
        if self.folder is None:
            return
        publication.require_folder(self.folder, _ELSEWHERE)
        for proposal in proposals:
            self.free_target(proposal)

    def free_target(self, proposal: "Proposal") -> Path | None:
        """Return `target` after a check with `publication.require_free`."""
        target = self.target(proposal)
        if target is not None:
            publication.require_free(target, _ELSEWHERE)
        return target


def choose_destination(
    option: str | None, default: Path | None, write: Callable[[bytes], None]
) -> Destination:
    """Return the destination of `--output`, else of the settings, else the current folder.

    `-` is stdout. An existing folder, or a path with a trailing slash, is a folder; any other path
    is a file. A path that cannot be a file is `output_failed`.
    """
    if option == "-":
        return Destination(folder=None, write=write)
    if option is None and default is not None:
        return Destination(folder=default)
    if option == "":
        raise OutputProblem("--output is empty", hint="give a path, or leave out --output")
    try:
        path = Path(option or ".").expanduser().absolute()
        str(path).encode()  # the registry keeps it as text
    except FileNotFoundError:
        raise OutputProblem(
            "the current folder no longer exists",
            hint="change to another folder, or name one with --output",
        ) from None
    except (RuntimeError, UnicodeEncodeError):
        raise OutputProblem(
            f"not a valid path for a file: {escape(ascii(option))}", hint=_ELSEWHERE
        ) from None
    if option is None or disk.is_folder(path) or option.endswith(("/", os.sep)):
        return Destination(folder=path)
    return Destination(folder=path.parent, name=path.name)


def undelivered_warnings(registry: Registry, home: str | None = None) -> tuple[str, ...]:
    """Return a line for each current license of a home, by its id, that may not be delivered.

    Licenses of one archive share a line. Every command calls this, and thousands may be pending,
    so only `_NAMED` licenses of each archive are checked, and the rest count with them.
    """
    alone, bundles, refused = list[OutboxRow](), Counter[str](), Counter[str]()
    with registry.reading(checked=False) as db:
        for row, record in _waiting(db, change.pending_of(db, home)):
            if row.folder is None or not is_bundle(row.folder):
                alone.append(row)
            elif bundles[row.folder] >= _NAMED or (
                refused[row.folder] < _NAMED and is_vouched(db, record, row.folder, row.name)
            ):
                bundles[row.folder] += 1
            else:
                refused[row.folder] += 1
                alone.append(row)
    more = len(alone) - _NAMED
    return (
        *(
            Hint(f"{describe(row)}; export it: ", export_hint(row.license_id))
            for row in alone[:_NAMED]
        ),
        *([Hint(f"{more:,} more licenses like these; list them: ", run("doctor"))] * (more > 0)),
        *(
            f"{count:,} {'license is' if count == 1 else 'licenses are'} not yet in the archive "
            f"{escape(place)}; to finish it, repeat the command that began it"
            for place, count in bundles.items()
        ),
    )


def is_bundle(place: str) -> bool:
    """Return whether a place in the outbox is an archive, not a folder with such a name."""
    return place.endswith(".zip") and not os.path.isdir(place)  # noqa: PTH112 - Path.is_dir raises


def undelivered_rows(registry: Registry, home: str | None) -> tuple[OutboxRow, ...]:
    """Return the current licenses of a home, by its id, that may not be delivered, oldest first."""
    with registry.reading(checked=False) as db:
        return tuple(row for row, _ in _waiting(db, change.pending_of(db, home)))


def other_homes(registry: Registry, home: str | None) -> Iterator[tuple[int, str, str]]:
    """Yield each other home that has files to deliver.

    That is their number, and the operator and host of the journal row of the oldest one.
    """
    from polygent_issuer.registry import journal  # noqa: PLC0415  # as in `is_vouched`

    with registry.reading(checked=False) as db:
        homes: dict[str, list[OutboxRow]] = {}
        for row in change.pending(db):
            if row.home not in (None, home):
                homes.setdefault(str(row.home), []).append(row)
        for rows in homes.values():
            record = licenses.get(db, rows[0].license_id)
            issue = journal.intact_issue(db, record.id, customer=record.customer_slug)
            operator, host = (issue.operator, issue.body["host"]) if issue else ("unknown", "")
            yield len(rows), escape(operator), escape(str(host))


def describe(row: OutboxRow) -> str:
    """Describe an undelivered license and its place."""
    place = f"{row.folder}/{row.name}" if row.folder else None
    where = escape(place) if place else "stdout, or a folder recorded before the last restore"
    return f"license {row.license_id[:8]} was issued, but its file may not have reached {where}"


def deliver_pending(db: Writing, prefix: str) -> None:
    """Deliver the pending files of this home and clear their rows; a failed one is reported again.

    Rows of replaced or retired licenses are cleared. The bytes come from the registry, so nothing
    is signed twice. A license whose bytes and place the journal does not confirm is not delivered:
    its row was edited, or written by an earlier version. It is reported until it is exported.
    """
    for row in change.pending_of(db, db.actor.home):
        try:
            record = licenses.get(db, row.license_id)
        except RegistryDamaged:
            continue
        if not record.is_current or _is_delivered(db, row, record, prefix):
            change.clear_pending(db, record.id)


def sweep(db: Reading, folder: Path, prefix: str) -> None:
    """Remove temporary files of a crash, except for licenses in the outbox, still to be linked."""
    disk.sweep(folder, prefix, tuple(f"{prefix}{row.license_id}" for row in change.pending(db)))


def is_vouched(db: Reading, record: LicenseRecord, folder: str, name: str | None) -> bool:
    """Return whether the journal confirms this place, key and file, and the file verifies.

    A `name` that is hidden, is a path, or contains control characters is never confirmed; nor is
    a place that another user of a team's database recorded, who could give it to any home.
    """
    # Imported late (40 ms): most commands have nothing undelivered.
    from polygent_issuer.issuing.proposal import load_license  # noqa: PLC0415
    from polygent_issuer.registry import journal  # noqa: PLC0415

    if name is None or not _is_plain(name) or not os.path.isabs(folder):  # noqa: PTH117 - a text
        return False
    try:
        license_ = load_license(db, record)
        issue = journal.intact_issue(db, record.id, customer=license_.sub)
    except IssuerError:
        return False
    if issue is None or issue.kid != record.kid or not db.is_own(issue.server_user):
        return False
    digests, place = issue.body.get("files"), issue.details.get("to")
    digest = sha256(record.file).hexdigest()
    is_its_file = isinstance(digests, dict) and digests.get(record.id) == digest
    return is_its_file and place == os.path.join(folder, name)  # noqa: PTH118 - as it was split


def write(file: bytes, target: Path, license_id: str, prefix: str) -> None:
    """Write the file of a license in the registry; the next issue sweeps a temporary file."""
    temp_name = f"{prefix}{license_id}-{os.getpid()}.tmp"
    publication.prepare(file, target.parent, temp_name=temp_name).publish(target.name)


def temp_prefix(registry_id: str) -> str:
    """Return the prefix of a registry's temporary files; an edited ID cannot change the folder."""
    return f".polygent-{re.sub('[^0-9A-Za-z]', '_', registry_id[:8])}-"


def export_hint(license_id: str) -> Hint:
    """Return the command that writes the file of a license in the registry."""
    return run("license", "export", license_id[:8], "--output", "FILE")


def _remove_empty_file(target: Path) -> None:
    """Remove the empty file that reserved the name before a crash, on disks without links."""
    with suppress(OSError, ValueError):  # ValueError: as in `_is_there`
        status = target.lstat()
        if S_ISREG(status.st_mode) and status.st_size == 0:
            target.unlink()


def _is_plain(name: str) -> bool:
    """Return whether a name is that of a visible file without a folder."""
    is_path = name != Path(name).name or "\\" in name
    return not is_path and not name.startswith(".") and name == escape(name)


def _waiting(db: Reading, rows: Iterable[OutboxRow]) -> Iterator[tuple[OutboxRow, LicenseRecord]]:
    for row in rows:
        record = licenses.get(db, row.license_id)
        if record.is_current and not _is_there(row, record):
            yield row, record


def _is_delivered(db: Writing, row: OutboxRow, record: LicenseRecord, prefix: str) -> bool:
    """Return whether the file is durable in its place; write it if the journal confirms it."""
    if row.folder is None or row.name is None:
        return False
    target = Path(row.folder) / row.name
    # Under load the command that issued it has delivered it, but not cleared its row yet. It synced
    # the content before the COMMIT, but perhaps not the name.
    if _is_there(row, record):
        with suppress(OutputProblem):
            disk.sync_folder(target.parent)
            return True
    if is_bundle(row.folder) or not is_vouched(db, record, row.folder, row.name):
        return False
    try:
        _remove_empty_file(target)
        write(record.file, target, record.id, prefix)
    except OutputProblem:
        return False
    return True


def _is_there(row: OutboxRow, record: LicenseRecord) -> bool:
    if row.folder is None or row.name is None:
        return False
    content = disk.content(Path(row.folder) / row.name, limit=len(record.file))
    return content == record.file
