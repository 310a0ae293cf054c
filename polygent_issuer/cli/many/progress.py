"""How far a batch is: a bar on a terminal's stderr, nothing elsewhere."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.plain_text import is_plain


class Progress(Protocol):
    """What is told of each item."""

    def __call__(self) -> None:
        """One more is done."""
        ...


def progress(
    invocation: Invocation, what: str, total: int | None
) -> AbstractContextManager[Progress]:
    """A bar with count, rate and time left, while it is entered; it leaves no trace.

    Args:
        what: is being done.
        total: how many items there are, when that is known.
    """
    unseen = invocation.quiet or not invocation.interactive or is_plain(sys.stderr)
    if unseen or total == 0:
        return nullcontext(_nothing)
    from polygent_issuer.cli.many.bar import bar

    return bar(what, total)


def _nothing() -> None:
    """Say nothing."""
