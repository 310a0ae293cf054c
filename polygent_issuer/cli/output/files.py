"""Public documents, written to a file or to stdout."""

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
    target = Path(str(to)).absolute()
    file = target / name if disk.is_folder(target) else target
    files.require_folder(file.parent, f"choose another file or folder with {option}")
    try:
        return files.publish(data, file)
    except OutputExists as exists:
        raise OutputExists(exists.message, hint=f"choose another file with {option}") from None
