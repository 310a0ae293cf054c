"""`polygent-issue verify` of a folder or many files: judged by all cores, told as they come."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from polygent_issuer import dates
from polygent_issuer.batch import processes, sources
from polygent_issuer.batch.sources import Listing
from polygent_issuer.cli import json_text, skipped
from polygent_issuer.cli.blocks import Line
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import Result, write_blocks
from polygent_issuer.cli.verdicts import UploadWindow, worst_exit
from polygent_issuer.cli.verify_examination import Examination
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing.judging import Server, Verdict
from polygent_issuer.verifier import KeySet

_WORTH: dict[processes.Method, int] = {"fork": 1_000, "spawn": 5_000}
"""From how many files on other processes are worth their start, by how they are started.

Measured: a file takes 0.13 ms, of which a second core saves half; a start costs some 40 ms by fork
and some 250 ms anew. Below twice the break-even a busy machine would only lose.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts(Result):
    """A line for each file as it is judged, and a summary; counted while it is written."""

    examination: Examination
    listing: Listing
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
        files = self.listing.sources
        count = processes.cores() if len(files) >= _WORTH[start] else 1
        results = processes.in_order(self.examination, files, processes=count, start=start)
        with closing(results) as chunks:
            for chunk in chunks:
                self.counted.update(verdict for verdict, _, _ in chunk)
                if self.in_lines:
                    stream.writelines(text + "\n" for _, text, _ in chunk)
                    stream.flush()
                else:
                    write_blocks((Line(text, style) for _, text, style in chunk), stream)
        self._write_summary(stream)

    def _write_summary(self, stream: TextIO) -> None:
        total = self.counted.total()
        if self.in_lines:
            at = dates.instant(self.examination.server.now)
            counts = {str(verdict): self.counted[verdict] for verdict in Verdict}
            others = skipped.to_json(self.listing.skipped)
            summary = {"at": at, "files": total, **counts, "skipped": others}
            stream.write(json_text.line({"summary": summary}) + "\n")
            stream.flush()
            return
        words = (f"{self.counted[each]:,} {each.replace('_', ' ')}" for each in Verdict)
        files = "1 file" if total == 1 else f"{total:,} files"
        write_blocks(skipped.blocks(self.listing.skipped), stream)
        write_blocks([Line(f"{files}: {', '.join(words)}", "title")], stream)


def verdicts(
    invocation: Invocation,
    named: Sequence[str],
    keys: KeySet,
    server: Server,
    window: UploadWindow,
    *,
    registry: Path | None,
    recursive: bool,
) -> Verdicts:
    """What will judge these files, folders and `-` when it is written."""
    listing = Listing()
    for name in named:
        if sources.is_folder(name):
            listing.add_folder(name, recursive=recursive, registry=registry)
        else:
            listing.sources.append(sources.read(name) if name == sources.STDIN else name)
    return Verdicts(
        examination=Examination(
            points=tuple(key.point for key in keys),
            registry=registry,
            server=server,
            window=window,
            as_json=invocation.as_json,
        ),
        listing=listing,
    )
