"""`polygent-issue vectors`: write the formats, the rules and the vectors to a folder."""

from pathlib import Path
from typing import Annotated

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.files import disk
from polygent_issuer.guide import vectors as shipped
from polygent_issuer.home.create import ensure_folder


def vectors(
    invocation: Invocation,  # noqa: ARG001 - every command has one
    to: Annotated[Path, argument("DIR", "Write to this folder, which is created if missing.")],
) -> Report:
    """Write test vectors for other languages.

    FORMAT.md has the formats, ENFORCEMENT.md the rules that a server keeps, and vectors/ test cases
    as JSON with the expected answers, license files and a README. An existing file is never
    overwritten. If the command was interrupted, run it again.
    """
    folder = to.absolute()
    documents = {folder / name: data for name, data in shipped.files().items()}
    for path, data in documents.items():
        if disk.content(path, limit=len(data)) != data:
            files.require_free(path, disk.ELSEWHERE)
    for parent in dict.fromkeys((folder, *(path.parent for path in documents))):
        ensure_folder(parent)
    for path, data in documents.items():
        files.publish(data, path)
    names = [path.relative_to(folder).as_posix() for path in documents]
    return Report(
        {"folder": str(folder), "files": names},
        [
            Line(f"wrote {len(names)} files to {folder}", "good"),
            Line(f"read first: {folder / 'vectors' / 'README.md'}"),
        ],
    )
