"""`polygent-issue vectors`: write the formats, the rules and the vectors to a folder."""

from pathlib import Path
from typing import Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.blocks import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.files import disk, publication
from polygent_issuer.guide import ENFORCEMENT, FORMAT
from polygent_issuer.home.create import ensure_folder

_PACKAGE: Final = Path(__file__).parents[2]
_INSTALLED: Final = _PACKAGE / "vectors"
_SOURCE: Final = _PACKAGE.parent / "tests" / "vectors"
_SUFFIXES: Final = frozenset({".json", ".lic", ".md"})


def vectors(
    invocation: Invocation,  # noqa: ARG001 - every command has one
    to: Path = argument("DIR", "Write to this folder, which is created if missing."),
) -> Report:
    """Write test vectors for other languages.

    FORMAT.md has the formats, ENFORCEMENT.md the rules that a server keeps, and vectors/ test cases
    as JSON with the expected answers, license files and a README. An existing file is never
    overwritten. If the command was interrupted, run it again.
    """
    folder = to.absolute()
    documents = {folder / name: data for name, data in shipped_files().items()}
    for path, data in documents.items():
        if disk.content(path, limit=len(data)) != data:
            publication.require_free(path, disk.ELSEWHERE)
    for parent in dict.fromkeys((folder, *(path.parent for path in documents))):
        ensure_folder(parent)
    for path, data in documents.items():
        publication.publish(data, path)
    names = [path.relative_to(folder).as_posix() for path in documents]
    return Report(
        {"folder": str(folder), "files": names},
        [
            Line(f"wrote {len(names)} files to {folder}", "good"),
            Line(f"read first: {folder / 'vectors' / 'README.md'}"),
        ],
    )


def shipped_files() -> dict[str, bytes]:
    """Return the content of each file by its path, with `/` between the parts.

    The vectors are those of the installed package, or of the source tree. OSError if they cannot be
    read.
    """
    folder = _INSTALLED if _INSTALLED.is_dir() else _SOURCE
    vectors = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    return {
        **{path.name: path.read_bytes() for path in (FORMAT, ENFORCEMENT)},
        **{f"vectors/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in vectors},
    }
