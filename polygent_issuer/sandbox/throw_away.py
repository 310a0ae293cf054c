"""Where a sandbox keeps what it must: a folder that goes with it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path

from polygent_issuer.enforcement import StoreFailed
from polygent_issuer.errors import OutputProblem
from polygent_issuer.sandbox.site import Site
from polygent_issuer.verifier import KeySet


@contextmanager
def throw_away(
    keys: KeySet, *, clock: Callable[[], datetime], first: bytes | None
) -> Iterator[Site]:
    """A site of which nothing is left afterwards; the arguments are those of `Site`.

    Raises:
        OutputProblem: the folder for temporary files cannot be written, or is full.
    """
    with ExitStack() as kept:
        try:
            folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="polygent-"))
            site = Site(keys, folder=Path(folder), clock=clock, first=first)
        except (OSError, StoreFailed) as problem:
            why = problem.message if isinstance(problem, StoreFailed) else str(problem.strerror)
            raise OutputProblem(
                f"the sandbox cannot keep its database: {why[:1].lower()}{why[1:]}",
                hint="TMPDIR=FOLDER names a folder that can be written",
            ) from None
        kept.enter_context(closing(site))
        yield site
