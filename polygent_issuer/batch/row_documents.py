"""The document of a machine that a row names: a file beside the apply file."""

from pathlib import Path

from polygent_issuer import files, machine_info
from polygent_issuer.batch.rows import Row
from polygent_issuer.errors import UnreadableInput
from polygent_issuer.issuing.proposal import ReceivedDocument


def document_of(row: Row, folder: Path | None) -> ReceivedDocument | None:
    """Read it; None when the row names none.

    Args:
        folder: where the apply file is; None when it came from stdin.

    Raises:
        UnreadableInput: (`unreadable_input`) when it cannot be read, or there is no folder.
        InputRefused: (`invalid_machine_info`) when it is no such document.
    """
    if row.machine_info is None:
        return None
    if folder is None:
        raise UnreadableInput(
            "machine_info names a file beside the apply file, and that came from stdin",
            hint="polygent-issue apply FILE",
        )
    content = files.read_within(
        folder, row.machine_info, limit=machine_info.LIMIT, what="machine info"
    )
    return ReceivedDocument(content=content, info=machine_info.parse(content))
