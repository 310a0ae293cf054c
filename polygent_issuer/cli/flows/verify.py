"""The work of `polygent-issue verify`, imported when it is done and not for its help."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from polygent_issuer.batch import sources
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.verify_result import ManyVerifications, Verification, VerificationJob
from polygent_issuer.cli.options.machine_info import read_document
from polygent_issuer.cli.options.public_keys import from_files
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import NotFound, UsageProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.license_file import LicenseFile
from polygent_issuer.issuing.verification import (
    ServerContext,
    UploadWindow,
    VerificationResult,
    verify_files,
)
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """The options as they were typed."""

    license_files: tuple[str, ...]
    recursive: bool
    license_id: str | None
    customer: str | None
    machine_info: str | None
    fingerprint: str | None
    host: str | None
    at: str | None
    install: bool
    public_keys: tuple[Path, ...]

    @property
    def several(self) -> bool:
        """Whether there are several files, or a folder."""
        return len(self.license_files) > 1 or any(map(sources.is_folder, self.license_files))

    def check(self) -> None:
        """Check that one option names the licenses, and at most one the machine.

        Raises:
            UsageProblem: (`usage`) none does, or two do.
        """
        ways = sum(bool(each) for each in (self.license_files, self.license_id, self.customer))
        if ways != 1:
            raise UsageProblem(
                "more than one thing says which license is meant"
                if ways
                else "nothing says which license is meant",
                hint=Hint(run("verify", "FILE"), ", or --license ID, or --customer NAME"),
            )
        if (*self.license_files, self.machine_info).count("-") > 1:
            raise UsageProblem("stdin can be read once", hint="give - in one place only")
        if self.machine_info and self.fingerprint:
            raise UsageProblem("a server has one machine", hint="--machine-info or --fingerprint")


def run_verify(invocation: Invocation, options: VerifyOptions) -> Result:
    """Verify the files that the options name.

    Raises:
        UsageProblem: (`usage`) as `VerifyOptions.check`.
        UnreadableInput: (`unreadable_input`) the only file cannot be read; of several it is one
            of the results.
        NotFound, Ambiguous: (`not_found`, `ambiguous`) the license or the customer.
    """
    options.check()
    document = read_document(options.machine_info)
    files = [] if options.several else _files(invocation, options)
    registry = None if options.public_keys else invocation.registry
    if registry is None:
        keys = from_files(invocation, [*options.public_keys])
    else:
        from polygent_issuer.registry.keys import key_set

        with registry.reading() as db:
            keys = key_set(db)
    window = _upload_window(invocation, options)
    server = ServerContext(
        now=_instant(invocation, options),
        fingerprint=document.info.fingerprint if document else options.fingerprint,
        host=options.host,
        window=window.span if options.install else None,
    )
    if not options.several:
        results = verify_files(files, keys, server, registry)
        readable = tuple(each for each in results if isinstance(each, VerificationResult))
        return Verification(results=readable, now=server.now, window=window)
    path = None if registry is None else registry.path
    job = VerificationJob(
        points=tuple(key.point for key in keys),
        registry=path,
        server=server,
        window=window,
        as_json=invocation.as_json,
    )
    return ManyVerifications(job=job, listing=_listing(options, path))


def _files(invocation: Invocation, options: VerifyOptions) -> list[LicenseFile]:
    """Return the one file, or those of the registry."""
    if options.license_files:
        file = sources.read(options.license_files[0])
        if file.problem is not None:
            raise file.problem
        return [file]
    from polygent_issuer.cli.options import customer_argument
    from polygent_issuer.registry import licenses

    if options.customer is None:
        with invocation.registry.reading() as db:
            record = licenses.find(db, options.license_id or "")
        return [LicenseFile(name=f"license {record.id}", data=record.file)]
    customer = customer_argument.customer(invocation, options.customer)
    with invocation.registry.reading() as db:
        records = licenses.current(db, customer)
    if not records:
        raise NotFound(
            f"{customer.name} has no current license",
            hint=run("license", "list", "--customer", customer.slug),
        )
    return [LicenseFile(name=f"license {each.id}", data=each.file) for each in records]


def _upload_window(invocation: Invocation, options: VerifyOptions) -> UploadWindow:
    """The window of the settings; --public-key needs no home, so there it is assumed."""
    if options.public_keys:
        return UploadWindow(span=dates.ASSUMED_UPLOAD_WINDOW, assumed=True)
    settings = invocation.settings
    return UploadWindow(
        span=settings.upload_window_or_assumed, assumed=settings.upload_window_is_assumed
    )


def _listing(options: VerifyOptions, registry: Path | None) -> sources.Listing:
    listing = sources.Listing()
    for name in options.license_files:
        if sources.is_folder(name):
            listing.add_folder(name, recursive=options.recursive, registry=registry)
        else:  # stdin is read here: another process may not have it
            listing.sources.append(sources.read(name) if name == sources.STDIN else name)
    return listing


def _instant(invocation: Invocation, options: VerifyOptions) -> datetime:
    if not options.at:
        return invocation.now
    from polygent_issuer.terms.parsing import parse_date_or_instant

    return parse_date_or_instant(options.at)
