"""Reading what somebody named: a path or `-`, never more than its format allows."""

import sys
from typing import BinaryIO

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files.disk import why
from polygent_issuer.text import shown


def read_bounded(source: str, *, limit: int, what: str, stdin: BinaryIO | None = None) -> bytes:
    """Read a file that somebody named; pipes and devices too, for at most `limit` bytes.

    Args:
        source: a path, or `-` for stdin.
        limit: the largest size in bytes.
        what: what the file is to be, for messages: `license file`.
        stdin: what `-` reads; the process's own by default.

    Raises:
        UnreadableInput: (`unreadable_input`) when it cannot be read, or is larger.
    """
    named = f"the {what} from stdin" if source == "-" else f"the {what} {shown(source)}"
    try:
        data = _from_stdin(limit, stdin) if source == "-" else _from_path(source, limit)
    except IsADirectoryError:
        raise UnreadableInput(
            f"cannot read {named}: it is a folder", hint="name a file in it"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, a closed stdin
        raise UnreadableInput(
            f"cannot read {named}: {why(error)}",
            hint="check the path and its permissions; - reads stdin",
        ) from None
    if len(data) > limit:
        raise UnreadableInput(
            f"{named} is larger than {limit} bytes", hint="is it the right file? check the path"
        )
    return data


def _from_path(source: str, limit: int) -> bytes:
    with open(source, "rb") as stream:  # noqa: PTH123 - a Path would take "" for "."
        return stream.read(limit + 1)


def _from_stdin(limit: int, stdin: BinaryIO | None) -> bytes:
    if stdin is None and sys.stdin is None:
        raise ValueError("there is no stdin")
    return (stdin or sys.stdin.buffer).read(limit + 1)
