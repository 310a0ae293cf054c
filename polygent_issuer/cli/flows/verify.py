"""Verification of license files: a report for one or a few, `verify_many` for many."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.input_files import (
    VerifyOptions,
    read_document,
    read_public_keys,
)
from polygent_issuer.cli.output import verification
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import ExitCode, NotFound, UsageProblem
from polygent_issuer.files import names_folder
from polygent_issuer.issuing.verification import (
    LicenseFile,
    ServerContext,
    UploadWindow,
    VerificationResult,
    read_file,
    verify_files,
)
from polygent_issuer.terms import dates
from polygent_issuer.text import escape, run


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification(Result):
    """A report for each license."""

    results: tuple[VerificationResult, ...]
    now: datetime
    window: UploadWindow

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the worst verdict."""
        return verification.worst_exit(each.verdict for each in self.results)

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
    from polygent_issuer.cli.flows.verify_many import ManyVerifications, VerificationJob, listing_of

    path = None if registry is None else registry.place
    job = VerificationJob(
        points=tuple(key.point for key in keys),
        registry=path,
        server=server,
        window=window,
        as_json=invocation.as_json,
    )
    file = path if isinstance(path, Path) else None
    listing = listing_of(names, recursive=options.recursive, registry=file)
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
