"""How the files of a folder are judged, as it reaches the processes that do it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.batch.sources import Source
from polygent_issuer.cli.blocks import Style
from polygent_issuer.cli.verdicts import UploadWindow
from polygent_issuer.issuing.judging import Server, Verdict
from polygent_issuer.registry import Registry
from polygent_issuer.verifier import Key, KeySet

Told = tuple[Verdict, str, Style]
"""A verdict, and the line that tells of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """Which keys are trusted, and as which server.

    Attributes:
        points: the trusted keys, all of one moment.
        registry: what else is known of a license; each process looks at it by itself, a chunk in
            one snapshot, so that no writer waits for whoever reads the answers.
    """

    points: tuple[bytes, ...]
    registry: Path | None
    server: Server
    window: UploadWindow
    as_json: bool

    @contextmanager
    def begin(self) -> Iterator[Callable[[Sequence[str | Source]], list[Told]]]:
        """Open the registry; what reads and judges a chunk of files."""
        keys = KeySet.of(*map(Key, self.points), allow_example=True)
        with ExitStack() as closing:
            registry = None
            if self.registry is not None:
                registry = closing.enter_context(Registry.open(self.registry))
            if self.as_json:
                from polygent_issuer.cli.verify_lines import json_lines

                yield json_lines(keys, self.server, registry, self.window)
            else:
                from polygent_issuer.cli.verify_lines import text_lines

                yield text_lines(keys, self.server, registry)
