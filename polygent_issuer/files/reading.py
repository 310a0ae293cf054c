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
    data = read_beginning(source, count=limit + 1, what=what, stdin=stdin)
    if len(data) > limit:
        raise UnreadableInput(
            f"{_named(source, what)} is larger than {limit} bytes",
            hint="is it the right file? check the path",
        )
    return data


def read_beginning(source: str, *, count: int, what: str, stdin: BinaryIO | None = None) -> bytes:
    """Read the first `count` bytes of a file: enough for one whose reader judges its size.

    Raises:
        UnreadableInput: (`unreadable_input`) when it cannot be read.
    """
    try:
        return _from_stdin(count, stdin) if source == "-" else _from_path(source, count)
    except IsADirectoryError:
        raise UnreadableInput(
            f"cannot read {_named(source, what)}: it is a folder", hint="name a file in it"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, a closed stdin
        raise UnreadableInput(
            f"cannot read {_named(source, what)}: {why(error)}",
            hint="check the path and its permissions; - reads stdin",
        ) from None


def _named(source: str, what: str) -> str:
    return f"the {what} from stdin" if source == "-" else f"the {what} {shown(source)}"


def _from_path(source: str, count: int) -> bytes:
    data = b""
    with open(source, "rb", buffering=0) as stream:  # noqa: PTH123 - a Path would take "" for "."
        while part := stream.read(count - len(data)):  # a pipe gives it piecemeal
            data += part
    return data


def _from_stdin(count: int, stdin: BinaryIO | None) -> bytes:
    if stdin is None and sys.stdin is None:
        raise ValueError("there is no stdin")
    return (stdin or sys.stdin.buffer).read(count)
