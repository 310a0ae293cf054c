"""Verification of license files: a report for one, a line for each of many."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from polygent_issuer import processes
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.input_files import (
    VerifyOptions,
    read_document,
    read_public_keys,
    skipped_blocks,
    skipped_json,
)
from polygent_issuer.cli.output import json_text, verification
from polygent_issuer.cli.output.model import Block, Line, Style
from polygent_issuer.cli.output.result import Result, write_blocks
from polygent_issuer.errors import ExitCode, NotFound, UsageProblem
from polygent_issuer.files import names_folder
from polygent_issuer.hints import run
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
from polygent_issuer.text import counted, escape
from polygent_issuer.verifier import Key, KeySet

if TYPE_CHECKING:
    from polygent_issuer.batch.sources import Listing
    from polygent_issuer.registry.errors import Place

MANY: Final[dict[processes.Method, int]] = {"fork": 1_000, "spawn": 5_000}
"""The least number of files that are verified in several processes, by their start method.

Measured: a file takes 0.13 ms, and a second core saves half of that. A start costs some 40 ms by
fork and some 250 ms by spawn. Twice the break-even also pays on a busy machine.
"""
_WORST_FIRST: Final = (
    (Verdict.NOT_AUTHENTIC, ExitCode.NOT_AUTHENTIC),
    (Verdict.UNREADABLE, ExitCode.INPUT),
    (Verdict.NOT_ACCEPTED, ExitCode.NOT_ACCEPTED),
)

FileLine = tuple[Verdict, str, Style]
"""A file's verdict, and its line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification(Result):
    """A report for each license."""

    results: tuple[VerificationResult, ...]
    now: datetime
    window: UploadWindow

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the worst verdict."""
        return _worst_exit(each.verdict for each in self.results)

    def to_json(self) -> Mapping[str, Any]:
        """Return `files`, each with its checks in FORMAT §5's order."""
        return {
            "at": dates.instant(self.now),
            "files": [verification.file_json(each, self.window) for each in self.results],
        }

    def blocks(self) -> Iterable[Block]:
        """Yield for each file the verdict, the license, the checks with fixes, and the timeline."""
        for number, each in enumerate(self.results):
            if number:
                yield Line()
            yield from verification.file_blocks(each, self.window, self.now)


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
    def begin(self) -> Iterator[Callable[[Sequence[str | LicenseFile]], list[FileLine]]]:
        """Open the registry, and yield the function that reads and verifies a chunk of files."""
        keys = KeySet.of(*map(Key, self.points), allow_example=True)
        line = self._json_line if self.as_json else _text_line
        with ExitStack() as opened:
            registry = None
            if self.registry is not None:
                from polygent_issuer.registry import Registry

                registry = opened.enter_context(Registry.open(self.registry))

            def verify_chunk(names: Sequence[str | LicenseFile]) -> list[FileLine]:
                files = list(map(read_file, names))
                return list(map(line, verify_files(files, keys, self.server, registry)))

            yield verify_chunk

    def _json_line(self, result: VerificationResult | UnreadableFile) -> FileLine:
        return result.verdict, verification.file_json_line(result, self.window), "plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class ManyVerifications(Result):
    """A line for each file as it is verified, and a summary, counted while it is written."""

    job: VerificationJob
    listing: "Listing"
    counts: Counter[Verdict] = field(default_factory=Counter)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the worst verdict, after everything is written."""
        return _worst_exit(self.counts)

    writes_itself = True

    @property
    def in_lines(self) -> bool:
        """Return whether the output is JSON lines."""
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
            others = skipped_json(self.listing.skipped)
            summary = {"at": at, "files": total, **counts, "skipped": others}
            stream.write(json_text.line({"summary": summary}) + "\n")
            stream.flush()
            return
        words = (f"{self.counts[each]:,} {each.replace('_', ' ')}" for each in Verdict)
        files = counted(total, "file")
        write_blocks(skipped_blocks(self.listing.skipped), stream)
        write_blocks([Line(f"{files}: {', '.join(words)}", "title")], stream)


def _worst_exit(verdicts: Iterable[Verdict]) -> ExitCode:
    """Return 10 if a file is not authentic, else 3 if one is unreadable, else 11."""
    seen = set(verdicts)
    return next((code for verdict, code in _WORST_FIRST if verdict in seen), ExitCode.DONE)


def _text_line(result: VerificationResult | UnreadableFile) -> FileLine:
    style: Style = "good" if result.verdict is Verdict.ACCEPTED else "bad"
    return result.verdict, verification.file_line(result), style


def run_verify(invocation: Invocation, options: VerifyOptions) -> Result:
    """Verify the files that the options name.

    Raises:
        UsageProblem: (`usage`) as `VerifyOptions.check`.
        UnreadableInput: (`unreadable_input`) the only file cannot be read; one of several becomes a
            result.
        NotFound, Ambiguous: (`not_found`, `ambiguous`) the license or the customer.
    """
    options.check()
    document = read_document(options.machine_info)
    names = options.license_files or []
    several = len(names) > 1 or any(map(names_folder, names))
    files = [] if several else _files(invocation, options)
    if options.public_key:
        registry, keys = None, read_public_keys(invocation, options.public_key)
    else:
        from polygent_issuer.registry.keys import key_set

        registry = invocation.registry
        with registry.reading() as db:
            keys = key_set(db)
    window = _upload_window(invocation, options)
    server = ServerContext(
        now=_instant(invocation, options),
        fingerprint=document.info.fingerprint if document else options.fingerprint,
        hosts=tuple(map(_parse_host, options.host or ())),
        window=window.span if options.install else None,
    )
    if not several:
        results = verify_files(files, keys, server, registry)
        readable = tuple(each for each in results if isinstance(each, VerificationResult))
        return Verification(results=readable, now=server.now, window=window)
    path = None if registry is None else registry.place
    job = VerificationJob(
        points=tuple(key.point for key in keys),
        registry=path,
        server=server,
        window=window,
        as_json=invocation.as_json,
    )
    file = path if isinstance(path, Path) else None
    listing = _listing(names, recursive=options.recursive, registry=file)
    return ManyVerifications(job=job, listing=listing)


def _files(invocation: Invocation, options: VerifyOptions) -> list[LicenseFile]:
    """Return the one file, or those of the registry."""
    if options.license_files:
        file = read_file(options.license_files[0])
        if file.problem is not None:
            raise file.problem
        return [file]
    from polygent_issuer.registry import licenses

    if options.customer is None:
        with invocation.registry.reading() as db:
            record = licenses.find(db, options.license_id or "")
        return [LicenseFile(name=f"license {record.id}", data=record.file)]
    customer = invocation.customer(options.customer)
    with invocation.registry.reading() as db:
        records = licenses.current(db, customer)
    if not records:
        raise NotFound(
            f"{customer.name} has no current license",
            hint=run("license", "list", "--customer", customer.slug),
        )
    return [LicenseFile(name=f"license {each.id}", data=each.file) for each in records]


def _upload_window(invocation: Invocation, options: VerifyOptions) -> UploadWindow:
    """Return the window of the settings; --public-key needs no home, so there it is assumed."""
    if options.public_key:
        return UploadWindow(span=dates.ASSUMED_UPLOAD_WINDOW, assumed=True)
    settings = invocation.settings
    return UploadWindow(
        span=settings.upload_window_or_assumed, assumed=settings.upload_window_is_assumed
    )


def _listing(names: Iterable[str], *, recursive: bool, registry: Path | None) -> "Listing":
    from polygent_issuer.batch import sources  # not for a single file

    listing = sources.Listing()
    for name in names:
        if names_folder(name):
            listing.add_folder(name, recursive=recursive, registry=registry)
        else:  # stdin is read here, since another process may not have it
            listing.sources.append(read_file(name) if name == sources.STDIN else name)
    return listing


def _instant(invocation: Invocation, options: VerifyOptions) -> datetime:
    if not options.at:
        return invocation.now
    from polygent_issuer.terms.parsing import parse_date_or_instant

    return parse_date_or_instant(options.at)


def _parse_host(text: str) -> str:
    """Return a Host header; what no browser sends is refused, since no pattern would cover it."""
    if not text.isascii():
        raise UsageProblem(
            f"not a host name as browsers send it: {escape(text)}",
            hint="write an international name as A-labels, such as xn--bcher-kva.example",
        )
    if "/" in text or "*" in text:
        raise UsageProblem(
            f"not a host name: {escape(text)}",
            hint="give --host only the name, such as api.acme.internal, without scheme, path and *",
        )
    return text
