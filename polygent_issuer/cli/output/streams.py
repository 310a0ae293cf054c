"""Writing to stdout while a command goes on; what it gives back at its end is `output`'s.

Everything here raises OutputProblem (`output_failed`) when stdout cannot be written.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from polygent_issuer.cli.output.broken_pipe import STREAM_ERRORS, stdout_failed
from polygent_issuer.cli.output.model import Block
from polygent_issuer.cli.output.result import write_blocks, write_json


def write_now(blocks: Iterable[Block]) -> None:
    """Blocks, at once."""
    with _stdout():
        write_blocks(blocks, sys.stdout)


def write_json_line(members: Mapping[str, Any]) -> None:
    """One JSON object on one line, at once: an item of a batch."""
    with _stdout():
        write_json(members, in_line=True)


def write_lines(lines: Iterable[str]) -> None:
    """Lines with their ends, made before."""
    with _stdout():
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        sys.stdout.writelines(lines)
        sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Bytes that were asked for (`-o -`), as they are."""
    with _stdout():
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


@contextmanager
def _stdout() -> Iterator[None]:
    try:
        yield
    except STREAM_ERRORS as problem:
        raise stdout_failed(problem) from None
