"""The customers of a batch: named on the command line, or on stdin, a line each."""

from collections.abc import Iterator, Sequence
from typing import Final

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.names import customer
from polygent_issuer.errors import Ambiguous, NotFound

STDIN: Final = "-"
_MOST: Final = 64 * 1024 * 1024
"""Bytes of names on stdin."""


def slugs(invocation: Invocation, names: Sequence[str]) -> tuple[str, ...]:
    """Each customer once, however often and by whatever name; who is not known, as it was typed.

    Raises:
        UnreadableInput: (`unreadable_input`) stdin is not UTF-8, or too much.
    """

    def slug(name: str) -> str:
        try:
            return customer(invocation, name).slug
        except (NotFound, Ambiguous):
            return name

    return tuple(dict.fromkeys(map(slug, _named(names))))


def _named(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name != STDIN:
            yield name
            continue
        text = files.read_text(STDIN, limit=_MOST, what="list of customers")
        yield from (line.strip() for line in text.splitlines() if line.strip())
