"""License files as somebody names them: files, folders of them, stdin; each one by itself."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from polygent_issuer import files
from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files import disk
from polygent_issuer.text import shown
from polygent_issuer.verifier import jws

STDIN: Final = "-"
_MOST_FROM_STDIN: Final = 64 * 1024 * 1024
_WHAT: Final = "license file"
_ENDING: Final = ".lic"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One license file, or why it cannot be read.

    Attributes:
        name: what a person calls it: its path, or its line of stdin.
        data: its bytes as received, at most one more than a license file may have.
        problem: why there are none.
    """

    name: str
    data: bytes = b""
    problem: UnreadableInput | None = None


def gather(named: Iterable[str]) -> Iterator[Source]:
    """Each license file that is named: a file, each `.lic` of a folder, each line of stdin (`-`).

    What cannot be read is a source with its problem, so that the others are not held up.
    """
    for name in named:
        if name == STDIN:
            yield from _from_stdin()
        elif is_folder(name):
            yield from map(read, listed(name))
        else:
            yield read(name)


def is_folder(name: str) -> bool:
    """Whether a name is a folder's; of what cannot be looked at, reading says why."""
    return name != STDIN and os.path.isdir(name)  # noqa: PTH112 - a Path raises where it may not look


def listed(folder: str) -> list[str | Source]:
    """The paths of a folder's `.lic` files in their order, not of those deeper in it.

    Where there is none, or the folder cannot be read: one source that says so.
    """
    try:
        found = sorted(each for each in os.listdir(folder) if _is_license(each))  # noqa: PTH208 - a tenth of the time
    except OSError as error:
        return [_none(folder, f"cannot be read: {disk.why(error)}")]
    if not found:
        return [_none(folder, "holds no .lic file")]
    beginning = str(Path(folder) / "x")[:-1]
    return [beginning + name for name in found]


def read(named: str | Source) -> Source:
    """The license file of a path, or `-` for all of stdin; a source as it is."""
    if isinstance(named, Source):
        return named
    try:
        data = files.read_beginning(named, count=jws.MAX_FILE_BYTES + 1, what=_WHAT)
    except UnreadableInput as problem:
        return Source(name=named, problem=problem)
    return Source(name=named, data=data)


def _is_license(name: str) -> bool:
    return name.lower().endswith(_ENDING) and len(name) > len(_ENDING)


def _none(folder: str, why: str) -> Source:
    problem = UnreadableInput(
        f"the folder {shown(folder)} {why}", hint="name the files, or their folder"
    )
    return Source(name=folder, problem=problem)


def _from_stdin() -> Iterator[Source]:
    try:
        data = files.read_bounded(STDIN, limit=_MOST_FROM_STDIN, what=_WHAT)
    except UnreadableInput as problem:
        yield Source(name=STDIN, problem=problem)
        return
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not lines:
        yield Source(name=STDIN, problem=UnreadableInput("stdin is empty", hint="name the files"))
    for number, line in lines:
        yield Source(name=f"{STDIN}:{number}", data=line)
