"""The temporary folder of a sandbox, and the published example key (`keys.example/`)."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from polygent_issuer.enforcement import StoreFailed
from polygent_issuer.errors import OutputProblem
from polygent_issuer.sandbox.simulated_server import SimulatedServer
from polygent_issuer.verifier import Key, KeySet


@contextmanager
def throw_away(
    keys: KeySet, *, clock: Callable[[], datetime], first: bytes | None
) -> Iterator[SimulatedServer]:
    """A site of which nothing is left afterwards; the arguments are those of `Site`.

    Raises:
        OutputProblem: the folder for temporary files cannot be written, or is full.
    """
    with ExitStack() as kept:
        try:
            folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="polygent-"))
            site = SimulatedServer(keys, folder=Path(folder), clock=clock, first=first)
        except (OSError, StoreFailed) as problem:
            why = problem.message if isinstance(problem, StoreFailed) else str(problem.strerror)
            raise OutputProblem(
                f"the sandbox cannot keep its database: {why[:1].lower()}{why[1:]}",
                hint="TMPDIR=FOLDER names a folder that can be written",
            ) from None
        kept.enter_context(closing(site))
        yield site


EXAMPLE: Final = KeySet.of(
    Key.from_jwk(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MJMYDekrXvlfaKtp0rtjnyAxcK2hYX2NkWmWWNQbS4w",
            "y": "w3wTuwwbXsy1kdIji5mBD-RBvSAgtrTiKqZcP2z4Cis",
        },
        allow_example=True,
    ),
    allow_example=True,
)
"""It proves nothing: everybody has its private half."""
