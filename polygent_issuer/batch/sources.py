"""License files as somebody names them: files, folders of them, stdin; each one by itself."""

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
        elif Path(name).is_dir():
            yield from _from_folder(Path(name))
        else:
            yield _from_file(name)


def _from_file(name: str) -> Source:
    try:
        data = files.read_beginning(name, count=jws.MAX_FILE_BYTES + 1, what=_WHAT)
    except UnreadableInput as problem:
        return Source(name=name, problem=problem)
    return Source(name=name, data=data)


def _from_folder(folder: Path) -> Iterator[Source]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".lic")
    except OSError as error:
        found, told = [], f"cannot be read: {disk.why(error)}"
    else:
        told = "holds no .lic file"
    for path in found:
        yield _from_file(str(path))
    if not found:
        problem = UnreadableInput(
            f"the folder {shown(str(folder))} {told}", hint="name the files, or their folder"
        )
        yield Source(name=str(folder), problem=problem)


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
