"""Verification of many license files: a line for each, by several processes, and a summary."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from polygent_issuer import processes
from polygent_issuer.batch.sources import STDIN, Listing
from polygent_issuer.cli.output import verification
from polygent_issuer.cli.output.blocks import Line, Style
from polygent_issuer.cli.output.result import OwnFormat, json_line, write_blocks
from polygent_issuer.errors import ExitCode
from polygent_issuer.files.reading import names_folder
from polygent_issuer.issuing.verification import (
    LicenseFile,
    ServerContext,
    UnreadableFile,
    UploadWindow,
    Verdict,
    VerificationResult,
    read_file,
    verify_files,
)
from polygent_issuer.terms import dates
from polygent_issuer.text import counted
from polygent_issuer.verifier import Key, KeySet

if TYPE_CHECKING:
    from polygent_issuer.registry.errors import Place

MANY: Final[dict[processes.Method, int]] = {"fork": 1_000, "spawn": 5_000}
"""The least number of files that are verified in several processes, by their start method.

Measured: a file takes 0.13 ms, and a second core saves half of that. A start costs some 40 ms by
fork and some 250 ms by spawn. Twice the break-even also pays on a busy machine.
"""
Lines = tuple[Counter[Verdict], list[tuple[str, str]]]
"""The number of files with each verdict; each file's JSON in two parts, or its text and style."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerificationJob:
    """The verification of files, for the processes that do it.

    Attributes:
        points: the trusted keys, from one snapshot.
        registry: the source of further data about a license. Each process opens it, and reads it
            once for a chunk, so that a slow reader of the results blocks no writer.
    """

    points: tuple[bytes, ...]
    registry: "Place | None"
    server: ServerContext
    window: UploadWindow
    as_json: bool

    @contextmanager
    def begin(self) -> Iterator[Callable[[Sequence[str | LicenseFile]], Lines]]:
        """Open the registry, and yield the function that reads and verifies a chunk of files."""
        keys = KeySet.of(*map(Key, self.points), allow_example=True)
        with ExitStack() as opened:
            registry = None
            if self.registry is not None:
                from polygent_issuer.registry import Registry

                registry = opened.enter_context(Registry.open(self.registry))

            def verify_chunk(names: Sequence[str | LicenseFile]) -> Lines:
                files = list(map(read_file, names))
                results = verify_files(files, keys, self.server, registry)
                return Counter(result.verdict for result in results), list(map(self._line, results))

            yield verify_chunk

    def _line(self, result: VerificationResult | UnreadableFile) -> tuple[str, str]:
        if self.as_json:
            return verification.file_json_line(result, self.window)
        style: Style = "good" if result.verdict is Verdict.ACCEPTED else "bad"
        return verification.file_line(result), style


def verify_many(job: VerificationJob, listing: Listing) -> OwnFormat:
    """Return a line for each file, verified and written chunk by chunk, and a summary."""

    def write(stream: TextIO) -> ExitCode:
        start, counts = processes.method(), Counter[Verdict]()
        files = listing.sources
        count = processes.cores() if len(files) >= MANY[start] else 1
        with closing(processes.in_order(job, files, processes=count, start=start)) as chunks:
            for verdicts, lines in chunks:
                counts.update(verdicts)
                if job.as_json:
                    stream.writelines(own + end for own, end in lines)
                    stream.flush()
                else:
                    write_blocks(starmap(Line, lines), stream)
        _write_summary(stream, job, listing, counts)
        return verification.worst_exit(counts)

    return OwnFormat(write, in_lines=job.as_json)


def _write_summary(
    stream: TextIO, job: VerificationJob, listing: Listing, counts: Counter[Verdict]
) -> None:
    if job.as_json:
        numbers = {str(verdict): counts[verdict] for verdict in Verdict}
        summary = {
            "at": dates.instant(job.server.now),
            "files": counts.total(),
            **numbers,
            "skipped": verification.skipped_json(listing.skipped),
        }
        stream.write(json_line({"summary": summary}) + "\n")
        stream.flush()
        return
    words = (f"{counts[each]:,} {each.replace('_', ' ')}" for each in Verdict)
    write_blocks(verification.skipped_blocks(listing.skipped), stream)
    files = counted(counts.total(), "file")
    write_blocks([Line(f"{files}: {', '.join(words)}", "title")], stream)


def listing_of(names: Iterable[str], *, recursive: bool, registry: Path | None) -> Listing:
    """List the license files that are named: files, those of folders, and stdin."""
    listing = Listing()
    for name in names:
        if names_folder(name):
            listing.add_folder(name, recursive=recursive, registry=registry)
        else:  # stdin is read here, since another process may not have it
            listing.sources.append(read_file(name) if name == STDIN else name)
    return listing
