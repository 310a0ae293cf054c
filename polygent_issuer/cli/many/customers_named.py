"""The customers of a batch: named on the command line, or on stdin, a line each."""

from collections.abc import Iterator, Sequence
from typing import Final

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.names import customer
from polygent_issuer.errors import Ambiguous, NotFound, UnreadableInput

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
        data = files.read_bounded(STDIN, limit=_MOST, what="list of customers")
        try:
            lines = data.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UnreadableInput(
                "the list of customers from stdin is not UTF-8", hint="one slug or name a line"
            ) from None
        yield from (line.strip() for line in lines if line.strip())
