"""`--bundle FILE.zip`: the licenses of a batch in one archive, with a table of contents.

While the batch runs, the outbox names the archive as the place of each license. The archive is
written from the registry at the end of the batch. After a crash the same command finishes it from
what is committed.
"""

import csv
import io
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final

from polygent_issuer.batch.items import Done, Outcome
from polygent_issuer.errors import OutputExists, OutputProblem, UnreadableInput
from polygent_issuer.files import publication, reading
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.registry import Actor, Reading, Registry, Writing, change, licenses
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.terms import dates
from polygent_issuer.text import escape, for_spreadsheet

_ELSEWHERE: Final = "choose another file with --bundle"
_FIRST_TIME: Final = (1980, 1, 1, 0, 0, 0)
_LAST_TIME: Final = (2107, 12, 31, 23, 59, 58)
MANIFEST: Final = "manifest.csv"
COLUMNS: Final = (
    "customer",
    "name",
    "machine",
    "license",
    "file",
    "last_full_day",
    "upload_before",
)
_MANIFEST_LIMIT: Final = 64 * 1024 * 1024
"""The maximum size of a manifest that is read, in bytes."""
_NOT_OURS: Final = (EOFError, RuntimeError, ValueError, NotImplementedError)
"""Raised for an archive that is cut off, encrypted, not UTF-8, or compressed in another way."""


class Bundle:
    """An archive that a batch fills.

    Attributes:
        target: its absolute path.
        written: the number of its licenses, once it is finished.
    """

    def __init__(self, target: Path, *, window: timedelta) -> None:
        """Describe the archive; nothing is written yet.

        Args:
            target: its absolute path.
            window: how long after issue a server accepts a license.
        """
        self.target = target
        self.written = 0
        self._window = window
        self._signed: dict[str, tuple[str, bytes]] = {}

    @property
    def destination(self) -> Destination:
        """The archive, as the place of each license."""
        return Destination(folder=self.target)

    def check(self) -> None:
        """Check the name of the archive before anything else.

        Raises:
            OutputProblem: (`output_failed`) the name does not end in `.zip`, or the folder is
                missing or not writable, or refuses the name.
        """
        place = str(self.target)
        if not outbox_delivery.is_bundle(place):
            raise OutputProblem(
                f"the name of an archive must end in .zip: {escape(place)}",
                hint="--bundle FILE.zip",
            )
        publication.require_folder(self.target.parent, _ELSEWHERE)
        with suppress(OutputExists):
            self.require_free()

    def require_free(self) -> None:
        """Check, before anything is signed, that an earlier run has not left an archive there.

        Raises:
            OutputExists: (`output_exists`) the path exists.
        """
        publication.require_free(self.target, _ELSEWHERE)

    def recover(self, registry: Registry, *, now: datetime, actor: Actor) -> None:
        """Clear the outbox of licenses that an existing archive contains, after a late crash.

        The licenses that the journal vouches for are cleared only if the archive contains all of
        them. The others are never written into an archive, so each is cleared individually.
        """
        if self.target.is_symlink() or self.target.exists():
            change.finish(registry, self._clear_archived, now=now, actor=actor)

    def note(self, outcome: Outcome) -> None:
        """Note the files of an outcome: this run verified them, so `finish` does not."""
        for each in outcome.issued if isinstance(outcome, Done) else ():
            if each.path is not None:
                name_and_digest = each.path.name, sha256(each.file).digest()
                self._signed[each.proposal.license.jti] = name_and_digest

    def finish(self, registry: Registry, *, now: datetime, actor: Actor) -> None:
        """Write the archive with every license that waits for it, if there are any.

        The registry is locked meanwhile.

        Raises:
            OutputExists, OutputProblem: as `publication.publish`; the licenses stay in the outbox.
        """
        place, prefix = str(self.target), outbox_delivery.temp_prefix(registry.id)

        def fill(db: Writing) -> None:
            outbox_delivery.sweep(db, self.target.parent, prefix)
            change.clear_superseded(db, place)
            waiting, written = self._vouched(db, place), list[str]()
            first = next(waiting, None)
            if first is None:
                return

            def write(temp: Path) -> None:
                written.extend(write_archive(temp, chain((first,), waiting), self._window))

            temp_name = f"{prefix}bundle.tmp"
            prepared = publication.prepare_with(write, self.target, temp_name=temp_name)
            prepared.publish(self.target.name)
            change.clear_pending(db, *written)
            self.written = len(written)

        change.finish(registry, fill, now=now, actor=actor)

    def _vouched(self, db: Writing, place: str) -> Iterator[change.Bundled]:
        """Yield the licenses that the journal records for this archive, by their IDs."""
        for each in change.pending_for_archive(db, place):
            signed = self._signed.get(each.id)
            if signed == (each.name, sha256(each.file).digest()) or _is_vouched(db, each, place):
                yield each

    def _clear_archived(self, db: Writing) -> None:
        place = str(self.target)
        archived = self._whole(change.pending_for_archive(db, place))
        vouched = {each.id for each in self._vouched(db, place)}
        change.clear_pending(db, *(archived if archived >= vouched else archived - vouched))

    def _whole(self, waiting: Iterable[change.Bundled]) -> set[str]:
        """Return the IDs of the licenses whose complete files are in the archive."""
        if not self.target.is_file():  # opening a pipe would block
            return set()
        try:
            with zipfile.ZipFile(self.target) as archive:
                return {each.id for each in waiting if _has(archive, each)}
        except (OSError, zipfile.BadZipFile):
            return set()


def write_archive(temp: Path, entries: Iterable[change.Bundled], window: timedelta) -> list[str]:
    """Write license files and their manifest into a ZIP archive; return the IDs, in order."""
    written = []
    manifest = io.StringIO(newline="")
    rows = csv.writer(manifest)
    rows.writerow(COLUMNS)
    with zipfile.ZipFile(temp, "w") as archive:
        for each in entries:
            written.append(each.id)
            archive.writestr(_entry(each.name, each.issued_at), each.file)
            rows.writerow(_row(each, window))
        # Without a BOM Excel reads the system's code page.
        archive.writestr(_entry(MANIFEST, None), BOM_UTF8 + manifest.getvalue().encode())
    return written


def licenses_in(path: Path) -> tuple[str, ...]:
    """Return the IDs of the licenses in an archive, by its manifest.

    Raises:
        UnreadableInput: (`unreadable_input`) it cannot be read, or is not such an archive.
    """
    place, reason = escape(str(path)), None
    try:
        with reading.open_file(str(path)) as stream, zipfile.ZipFile(stream) as archive:
            if archive.getinfo(MANIFEST).file_size <= _MANIFEST_LIMIT:
                text = archive.read(MANIFEST).decode("utf-8-sig")
                rows = csv.DictReader(text.splitlines())
                # A row without this cell is a TypeError.
                return tuple(str.strip(row[COLUMNS[3]]) for row in rows)
            reason = "its manifest is too large"
    except OSError as problem:
        reason = (problem.strerror or str(problem)).lower()
    except (*_NOT_OURS, KeyError, TypeError, csv.Error, zipfile.BadZipFile, zlib.error):
        reason = f"it is not an archive with a {MANIFEST} of this tool"
    raise UnreadableInput(
        f"cannot read the archive {place}: {reason}",
        hint="give the FILE.zip of --bundle, or license IDs",
    )


def _row(each: change.Bundled, window: timedelta) -> tuple[str, ...]:
    until = dates.upload_deadline(each.issued_at, window)
    cells = (
        each.customer_slug,
        each.customer_name,
        each.machine_label or "",
        each.id,
        each.name,
        dates.last_full_day(each.expires_at).isoformat(),
        dates.instant(until),
    )
    return tuple(map(for_spreadsheet, cells))


def _is_vouched(db: Reading, each: change.Bundled, place: str) -> bool:
    try:
        record = licenses.get(db, each.id)
    except RegistryDamaged:
        return False
    return outbox_delivery.is_vouched(db, record, place, each.name)


def _has(archive: zipfile.ZipFile, each: change.Bundled) -> bool:
    try:
        return archive.read(each.name) == each.file
    except (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False


def _entry(name: str, at: datetime | None) -> zipfile.ZipInfo:
    """Return an entry with the time of issue, so that the same licenses give the same bytes.

    ZIP counts the years from 1980 in 7 bits (APPNOTE 4.4.6). Other times become the nearest one.
    """
    issued = _FIRST_TIME if at is None else at.timetuple()[:6]
    info = zipfile.ZipInfo(name, min(max(issued, _FIRST_TIME), _LAST_TIME))
    info.external_attr = 0o644 << 16
    return info
