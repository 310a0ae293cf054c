"""Public documents, written to a file or to stdout."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output import result
from polygent_issuer.errors import OutputExists, UsageProblem
from polygent_issuer.files import disk

STDOUT = "-"

OutputFile = Annotated[
    str | None,
    option("--output", "FILE|DIR", "Write to this new file or folder, not to stdout.", short="-o"),
]


def write(
    invocation: Invocation, data: bytes, to: str | None, *, name: str, option: str = "--output"
) -> Path | None:
    """Write a document to a new file or to stdout; with `--json` and no `to` it is in the JSON.

    Args:
        invocation: of the command.
        data: the document.
        to: a file, a folder, or `-`; None is stdout.
        name: of the file when `to` is a folder.
        option: the one that names it, for hints.

    Raises:
        UsageProblem: (`usage`) when `--json` and `-` both use stdout.
        OutputProblem: (`output_exists`, `output_failed`) when it cannot be written.
    """
    if to == STDOUT and invocation.as_json:
        raise UsageProblem(f"--json and {option} - both use stdout", hint=f"{option} FILE")
    if to is None and invocation.as_json:
        return None
    if to in (None, STDOUT):
        result.write_bytes(data)
        return None
    with new_file(str(to), name, option) as path:
        return files.publish(data, path)


@contextmanager
def new_file(to: str, name: str, option: str = "--output") -> Iterator[Path]:
    """Yield the path of a new file, which is `name` in a folder; errors suggest another `option`.

    Raises:
        OutputProblem: (`output_exists`, `output_failed`) the folder is missing, or the file exists.
    """
    target = Path(to).absolute()
    path = target / name if disk.is_folder(target) else target
    elsewhere = f"choose another file with {option}"
    files.require_folder(path.parent, elsewhere)
    try:
        yield path
    except OutputExists as exists:
        raise OutputExists(exists.message, hint=elsewhere) from None
