"""`polygent-issue verify` of a folder or many files: judged by all cores, told as they come."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from polygent_issuer import dates
from polygent_issuer.batch import processes, sources
from polygent_issuer.batch.sources import Source
from polygent_issuer.cli.blocks import Line, Style
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import SCHEMA, Result, write_blocks
from polygent_issuer.cli.verdicts import UploadWindow, worst_exit
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing.judging import Server, Verdict
from polygent_issuer.registry import Registry
from polygent_issuer.verifier import Key, KeySet

Told = tuple[Verdict, str, Style]
"""A verdict, and the line that tells of it."""

_WORTH: dict[processes.Method, int] = {"fork": 1_000, "spawn": 5_000}
"""From how many files on other processes are worth their start, by how they are started.

Measured: a file takes 0.13 ms, of which a second core saves half; a start costs some 40 ms by fork
and some 250 ms anew. Below twice the break-even a busy machine would only lose.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """How files are judged, as it reaches a process.

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts(Result):
    """A line for each file as it is judged, and a summary; counted while it is written."""

    examination: Examination
    named: Sequence[str | Source]
    counted: Counter[Verdict] = field(default_factory=Counter)

    @property
    def exit_code(self) -> ExitCode:
        """As `worst_exit`, once everything is written."""
        return worst_exit(self.counted)

    @property
    def writes_itself(self) -> bool:
        """Always: it is never whole in memory."""
        return True

    @property
    def in_lines(self) -> bool:
        """Whether programs read it, a line at a time."""
        return self.examination.as_json

    def write(self, stream: TextIO) -> None:
        """Judge and write, chunk by chunk."""
        start = processes.method()
        count = processes.cores() if len(self.named) >= _WORTH[start] else 1
        told = processes.in_order(self.examination, self.named, processes=count, start=start)
        with closing(told) as chunks:
            for chunk in chunks:
                self.counted.update(verdict for verdict, _, _ in chunk)
                if self.in_lines:
                    stream.writelines(text + "\n" for _, text, _ in chunk)
                    stream.flush()
                else:
                    write_blocks((Line(text, style) for _, text, style in chunk), stream)
        self._write_summary(stream)

    def _write_summary(self, stream: TextIO) -> None:
        if self.in_lines:
            at = dates.instant(self.examination.server.now)
            summary = {str(verdict): self.counted[verdict] for verdict in Verdict}
            members = {"at": at, "files": self.counted.total(), **summary}
            stream.write(json.dumps({"schema": SCHEMA, "summary": members}) + "\n")
            stream.flush()
        else:
            counts = ", ".join(
                f"{self.counted[verdict]} {str(verdict).replace('_', ' ')}" for verdict in Verdict
            )
            write_blocks([Line(f"{self.counted.total()} files: {counts}")], stream)


def verdicts(
    invocation: Invocation,
    named: Sequence[str],
    keys: KeySet,
    server: Server,
    window: UploadWindow,
    *,
    registry: Path | None,
) -> Verdicts:
    """What will judge these files, folders and `-` when it is written."""
    return Verdicts(
        examination=Examination(
            points=tuple(key.point for key in keys),
            registry=registry,
            server=server,
            window=window,
            as_json=invocation.as_json,
        ),
        named=[each for name in named for each in _listed(name)],
    )


def _listed(name: str) -> Sequence[str | Source]:
    if sources.is_folder(name):
        return sources.listed(name)
    return [sources.read(name) if name == sources.STDIN else name]
