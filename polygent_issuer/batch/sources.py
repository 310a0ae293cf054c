"""License files from the command line: files, folders and stdin.

In a folder the ending or the content identifies a license file. Everything else is skipped and
listed.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files import disk, reading
from polygent_issuer.issuing.verification import LicenseFile, peek_kid, read_file
from polygent_issuer.text import escape
from polygent_issuer.verifier import LicenseError, hints, jws

STDIN: Final = "-"
_MOST_FROM_STDIN: Final = 64 * 1024 * 1024
_WHAT: Final = "license file"
_ENDING: Final = ".lic"
_TEXT: Final = (hints.START.encode(), hints.START_ENCODED.encode())
_UTF16: Final = (hints.START.encode("utf-16-le"), hints.START.encode("utf-16-be"))
# In the header of a mail, which ends before the first empty line (RFC 5322 §2.1).
_DRAFT: Final = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?X-Unsent: 1\r?\n")
_NAME_THEM: Final = "give the files, or their folder"
_JUNCTION: Final = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT of Windows


class Reason(StrEnum):
    """Why something in a folder was skipped; the values never change."""

    NOT_A_LICENSE = "not_a_license"
    FOLDER = "folder"
    HIDDEN = "hidden"
    LINK = "link"
    NOT_A_FILE = "not_a_file"
    UNREADABLE = "unreadable"


_MESSAGES: Final = {
    Reason.FOLDER: "a folder; add --recursive to read it",
    Reason.HIDDEN: "hidden",
    Reason.LINK: "a link",
    Reason.NOT_A_FILE: "not a regular file",
    Reason.UNREADABLE: "cannot be read",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file or folder in a folder that is not read as a license.

    Attributes:
        name: its path.
        reason: a stable code.
        message: what it is, for people.
    """

    name: str
    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """License files and skipped files, in the order of the command line.

    Attributes:
        sources: paths of license files, and sources that are read already.
        skipped: what else is in the folders.
    """

    sources: list[str | LicenseFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add_folder(self, folder: str, *, recursive: bool, registry: Path | None) -> None:
        """Add the license files of a folder, by name; without any, add a source that reports that.

        A file is a license when its name ends in `.lic` or its content is a license, mangled or
        not. Hidden files and folders are skipped, and so are links, except those to files whose
        name ends in `.lic`.

        Args:
            folder: its path.
            recursive: whether to read sub-folders.
            registry: the registry that this process may have open. It is not touched: to close a
                file releases every lock that the process has on it (fcntl(2)).
        """
        before, others = len(self.sources), len(self.skipped)
        open_registry = _stat(registry)
        path = str(Path(folder))
        begin = len("./") if path == os.curdir else 0
        for entry in _entries(path, recursive=recursive):
            if isinstance(entry, LicenseFile):
                self.sources.append(entry)
                continue
            item = _look(entry, entry.path[begin:], open_registry)
            if isinstance(item, Skipped):
                self.skipped.append(item)
            else:
                self.sources.append(item)
        if len(self.sources) == before:
            deeper = any(each.reason is Reason.FOLDER for each in self.skipped[others:])
            hint = "add --recursive to read its subfolders" if deeper else _NAME_THEM
            self.sources.append(_none(folder, "contains no license file", hint))


def gather(
    named: Iterable[str], *, recursive: bool = False, registry: Path | None = None
) -> tuple[tuple[LicenseFile, ...], tuple[Skipped, ...]]:
    """Read each license file that is named: a file, those of a folder, each line of stdin (`-`).

    A file that cannot be read is a source with its problem. The others are read all the same.

    Args:
        named: as the operator named them.
        recursive, registry: as `Listing.add_folder`.

    Returns:
        The files, and what was skipped in folders.
    """
    listing = Listing()
    for name in named:
        if name == STDIN:
            listing.sources.extend(_from_stdin())
        elif reading.names_folder(name):
            listing.add_folder(name, recursive=recursive, registry=registry)
        else:
            listing.sources.append(name)
    return tuple(map(read_file, listing.sources)), tuple(listing.skipped)


def _has_license_text(data: bytes) -> bool:
    """Return whether a file has a license as text, whatever mail or an editor did to it.

    A license within an archive, a database or another binary file does not count, nor one in an
    unsent mail draft (`--eml`), whose license was written as a file, too.
    """
    if peek_kid(data) is not None or any(beginning in data for beginning in _UTF16):
        return True
    if b"\0" in data or _DRAFT.match(data):
        return False
    return any(beginning in data for beginning in _TEXT)


def _describe(data: bytes) -> str:
    """Return what a file is that is not a license, as far as its beginning shows that."""
    if _DRAFT.match(data):
        return "an unsent mail draft"
    try:
        jws.parse(data)
    except LicenseError as error:
        return error.hint or "not a license"
    return "a license"


def _entries(folder: str, *, recursive: bool) -> "Iterator[os.DirEntry[str] | LicenseFile]":
    """Yield what is in a folder, by name; a sub-folder that is read is replaced by its content."""
    waiting: list[str | os.DirEntry[str]] = [folder]
    while waiting:
        each = waiting.pop()
        if isinstance(each, os.DirEntry) and not (recursive and _is_inner_folder(each)):
            yield each
            continue
        try:
            with os.scandir(each) as entries:
                inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            yield _none(os.fspath(each), f"cannot be read: {disk.reason(error)}")
        else:
            waiting.extend(inside)


def _look(
    entry: "os.DirEntry[str]", name: str, open_registry: os.stat_result | None
) -> str | LicenseFile | Skipped:
    """Return the path of a license file, why it is not read, or why something is skipped."""
    if entry.name.lower().endswith(_ENDING) and not _is_hidden(entry):
        return _named_as_license(entry, name)
    try:
        reason = _not_looked_into(entry)
        if reason is None and _is_same(entry, open_registry):
            return Skipped(name=name, reason=Reason.NOT_A_LICENSE, message="the registry")
    except OSError:  # on a file system that does not report the type of an entry
        reason = Reason.UNREADABLE
    data = disk.content(Path(entry.path), limit=jws.MAX_FILE_BYTES) if reason is None else None
    if data is None:
        reason = reason or Reason.UNREADABLE
        return Skipped(name=name, reason=reason, message=_MESSAGES[reason])
    if _has_license_text(data):
        return name
    return Skipped(name=name, reason=Reason.NOT_A_LICENSE, message=_describe(data))


def _is_same(entry: "os.DirEntry[str]", open_registry: os.stat_result | None) -> bool:
    if open_registry is None or entry.inode() != open_registry.st_ino:
        return False
    return os.path.samestat(entry.stat(), open_registry)


def _not_looked_into(entry: "os.DirEntry[str]") -> Reason | None:
    if _is_hidden(entry):
        return Reason.HIDDEN
    if _is_link(entry):
        return Reason.LINK
    if entry.is_dir():
        return Reason.FOLDER
    return None if entry.is_file() else Reason.NOT_A_FILE


def _named_as_license(entry: "os.DirEntry[str]", name: str) -> str | LicenseFile:
    """Return the path of a `.lic` file; a folder or a missing file is reported on reading."""
    try:
        mode = stat.S_IFREG if entry.is_file(follow_symlinks=False) else entry.stat().st_mode
    except OSError:
        return name
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return name
    # Not opened: a pipe waits for a writer, and a device may act.
    problem = UnreadableInput(
        f"cannot read the {_WHAT} {escape(name)}: it is not a regular file",
        hint="check the path and its permissions; - reads stdin",
    )
    return LicenseFile(name=name, problem=problem)


def _is_hidden(entry: "os.DirEntry[str]") -> bool:
    return entry.name.startswith(".")


def _is_link(entry: "os.DirEntry[str]") -> bool:
    is_junction = os.name == "nt" and (
        getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) == _JUNCTION
    )
    return entry.is_symlink() or is_junction


def _stat(path: Path | None) -> os.stat_result | None:
    try:
        return None if path is None else path.stat()
    except OSError:
        return None


def _is_inner_folder(entry: "os.DirEntry[str]") -> bool:
    try:  # a link first: following a loop of links is an error
        return not _is_hidden(entry) and not _is_link(entry) and entry.is_dir()
    except OSError:
        return False


def _none(folder: str, why: str, hint: str = _NAME_THEM) -> LicenseFile:
    problem = UnreadableInput(f"the folder {escape(folder)} {why}", hint=hint)
    return LicenseFile(name=folder, problem=problem)


def _from_stdin() -> Iterator[LicenseFile]:
    try:
        data = reading.read_bounded(STDIN, limit=_MOST_FROM_STDIN, what=_WHAT)
    except UnreadableInput as problem:
        yield LicenseFile(name=STDIN, problem=problem)
        return
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not lines:
        yield LicenseFile(
            name=STDIN,
            problem=UnreadableInput(
                "stdin is empty", hint="pipe a license into the command, or give file names"
            ),
        )
    for number, line in lines:
        yield LicenseFile(name=f"{STDIN}:{number}", data=line)
