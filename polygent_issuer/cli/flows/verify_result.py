"""The results of `polygent-issue verify`: of a file or a few, or of very many by all cores."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO

from polygent_issuer.batch import processes, sources
from polygent_issuer.batch.sources import Listing
from polygent_issuer.cli.output import json_text, skipped_files, verification
from polygent_issuer.cli.output.model import Block, Line, Style
from polygent_issuer.cli.output.result import Result, write_blocks
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing.license_file import LicenseFile
from polygent_issuer.issuing.verification import (
    ServerContext,
    UnreadableFile,
    UploadWindow,
    Verdict,
    VerificationResult,
    verify_files,
)
from polygent_issuer.terms import dates
from polygent_issuer.verifier import Key, KeySet

MANY: Final[dict[processes.Method, int]] = {"fork": 1_000, "spawn": 5_000}
"""From how many files on other processes are worth their start, by how they are started.

Measured: a file takes 0.13 ms, of which a second core saves half; a start costs some 40 ms by fork
and some 250 ms anew. Below twice the break-even a busy machine would only lose.
"""
_WORST_FIRST: Final = (
    (Verdict.NOT_AUTHENTIC, ExitCode.NOT_AUTHENTIC),
    (Verdict.UNREADABLE, ExitCode.INPUT),
    (Verdict.NOT_ACCEPTED, ExitCode.NOT_ACCEPTED),
)

FileLine = tuple[Verdict, str, Style]
"""A file's verdict, and the line about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification(Result):
    """A report for each license."""

    results: tuple[VerificationResult, ...]
    now: datetime
    window: UploadWindow

    @property
    def exit_code(self) -> ExitCode:
        """As `worst_exit`."""
        return worst_exit(each.verdict for each in self.results)

    def to_json(self) -> Mapping[str, Any]:
        """`files`, each with its checks in FORMAT §5's order."""
        return {
            "at": dates.instant(self.now),
            "files": [verification.file_json(each, self.window) for each in self.results],
        }

    def blocks(self) -> Iterable[Block]:
        """For each file: the verdict, the license, the checks, what to do, the timeline."""
        for number, each in enumerate(self.results):
            if number:
                yield Line()
            yield from verification.file_blocks(each, self.window, self.now)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerificationJob:
    """How files are verified, as it reaches the processes that do it.

    Attributes:
        points: the trusted keys, all of one moment.
        registry: what else is known of a license; each process opens it, and reads it once for a
            chunk, so that no writer waits for whoever reads the results.
    """

    points: tuple[bytes, ...]
    registry: Path | None
    server: ServerContext
    window: UploadWindow
    as_json: bool

    @contextmanager
    def begin(self) -> Iterator[Callable[[Sequence[str | LicenseFile]], list[FileLine]]]:
        """Open the registry; yields what reads and verifies a chunk of files."""
        keys = KeySet.of(*map(Key, self.points), allow_example=True)
        line = self._json_line if self.as_json else _text_line
        with ExitStack() as opened:
            registry = None
            if self.registry is not None:
                from polygent_issuer.registry import Registry

                registry = opened.enter_context(Registry.open(self.registry))

            def verify_chunk(names: Sequence[str | LicenseFile]) -> list[FileLine]:
                files = list(map(sources.read, names))
                return list(map(line, verify_files(files, keys, self.server, registry)))

            yield verify_chunk

    def _json_line(self, result: VerificationResult | UnreadableFile) -> FileLine:
        text = json_text.line(verification.file_json(result, self.window))
        return result.verdict, text, "plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class ManyVerifications(Result):
    """A line for each file as it is verified, and a summary; counted while it is written."""

    job: VerificationJob
    listing: Listing
    counts: Counter[Verdict] = field(default_factory=Counter)

    @property
    def exit_code(self) -> ExitCode:
        """As `worst_exit`, once everything is written."""
        return worst_exit(self.counts)

    @property
    def writes_itself(self) -> bool:
        """Always: it is never whole in memory."""
        return True

    @property
    def in_lines(self) -> bool:
        """Whether programs read it, a line at a time."""
        return self.job.as_json

    def write(self, stream: TextIO) -> None:
        """Verify and write, chunk by chunk."""
        start = processes.method()
        files = self.listing.sources
        count = processes.cores() if len(files) >= MANY[start] else 1
        with closing(processes.in_order(self.job, files, processes=count, start=start)) as chunks:
            for chunk in chunks:
                self.counts.update(verdict for verdict, _, _ in chunk)
                if self.in_lines:
                    stream.writelines(text + "\n" for _, text, _ in chunk)
                    stream.flush()
                else:
                    write_blocks((Line(text, style) for _, text, style in chunk), stream)
        self._write_summary(stream)

    def _write_summary(self, stream: TextIO) -> None:
        total = self.counts.total()
        if self.in_lines:
            at = dates.instant(self.job.server.now)
            counts = {str(verdict): self.counts[verdict] for verdict in Verdict}
            others = skipped_files.to_json(self.listing.skipped)
            summary = {"at": at, "files": total, **counts, "skipped": others}
            stream.write(json_text.line({"summary": summary}) + "\n")
            stream.flush()
            return
        words = (f"{self.counts[each]:,} {each.replace('_', ' ')}" for each in Verdict)
        files = "1 file" if total == 1 else f"{total:,} files"
        write_blocks(skipped_files.blocks(self.listing.skipped), stream)
        write_blocks([Line(f"{files}: {', '.join(words)}", "title")], stream)


def worst_exit(verdicts: Iterable[Verdict]) -> ExitCode:
    """10 if any is not authentic, else 3 if any is unread, else 11 if any is not accepted."""
    seen = set(verdicts)
    return next((code for verdict, code in _WORST_FIRST if verdict in seen), ExitCode.DONE)


def _text_line(result: VerificationResult | UnreadableFile) -> FileLine:
    style: Style = "good" if result.verdict is Verdict.ACCEPTED else "bad"
    return result.verdict, verification.file_line(result), style
