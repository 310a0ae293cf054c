"""`polygent-issue verify` and `inspect`: check license files as a server would; show one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import (
    MachineInfoFile,
    OptionGroup,
    PublicKeyFiles,
    Recursive,
    argument,
    flag,
    option,
    read_document,
    read_public_keys,
)
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.errors import ExitCode, HomeMissing, NotFound, UsageProblem
from polygent_issuer.text import Hint, escape, run

if TYPE_CHECKING:
    from polygent_issuer.issuing.verification import (
        LicenseFile,
        UnreadableFile,
        UploadWindow,
        VerificationResult,
    )
    from polygent_issuer.registry.keys import CompromisedKey
    from polygent_issuer.verifier import CheckRow, KeySet, License


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions(OptionGroup):
    """The licenses that `verify` checks, the server that it simulates, and the time."""

    license_files: list[str] | None = argument(
        "FILE|DIR...", "Verify these license files or folders (- for stdin).", default=None
    )
    recursive: Recursive = False
    license_id: str | None = option(
        "--license", "ID", "Verify a license stored in the registry.", candidates.licenses
    )
    customer: str | None = option(
        "--customer", "NAME", "Verify a customer's current licenses.", candidates.customers
    )
    machine_info: MachineInfoFile = None
    fingerprint: str | None = option(
        "--fingerprint", "TEXT", "Verify for the machine with this fingerprint."
    )
    host: list[str] | None = option(
        "--host", "HOST", "Verify for a request with this Host header (repeatable)."
    )
    at: str | None = option("--at", "DATE", "Evaluate at this time instead of now.")
    install: bool = flag("--install", "Check the upload window, too, as at installation.")
    public_key: PublicKeyFiles = None

    def check(self) -> None:
        """Check that exactly one option selects licenses, and at most one the machine.

        Raises:
            UsageProblem: (`usage`) the options contradict each other.
        """
        ways = sum(map(bool, (self.license_files, self.license_id, self.customer)))
        if ways != 1:
            exclusive = "FILE, --license and --customer are mutually exclusive"
            raise UsageProblem(
                exclusive if ways else "no license given",
                hint=Hint(run("verify", "FILE"), ", or --license ID, or --customer NAME"),
            )
        if (*(self.license_files or ()), self.machine_info).count("-") > 1:
            raise UsageProblem("- is given more than once", hint="give - in one place only")
        if self.machine_info and self.fingerprint:
            raise UsageProblem(
                "--machine-info and --fingerprint are mutually exclusive", hint="give one of them"
            )


def verify(invocation: Invocation, options: VerifyOptions) -> Result:
    """Check license files as a server would.

    All checks run. Each failure states what the customer sees, and the command that fixes it.
    Without --machine-info or --fingerprint the license is compared with its machine in the
    registry.

    For several files, or a folder, one line for each file (with --json an object) is printed as
    soon as it is verified, then a summary. In a folder a file is a license if its name ends in .lic
    or its content is a license. Other files are counted and listed.
    """
    from polygent_issuer.files.reading import names_folder
    from polygent_issuer.issuing.verification import ServerContext, verify_files

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
        return _report(verify_files(files, keys, server, registry), server.now, window)
    from polygent_issuer.cli.flows.verify_many import VerificationJob, listing_of, verify_many

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
    return verify_many(job, listing)


def _report(
    results: "Iterable[VerificationResult | UnreadableFile]", now: datetime, window: "UploadWindow"
) -> Report:
    from polygent_issuer.cli.output import verification
    from polygent_issuer.issuing.verification import VerificationResult
    from polygent_issuer.terms import dates

    files = [each for each in results if isinstance(each, VerificationResult)]
    members = {
        "at": dates.instant(now),
        "files": [verification.file_json(each, window) for each in files],
    }
    text: list[Block] = []
    for each in files:
        text += [*([Line()] if text else []), *verification.file_blocks(each, window, now)]
    return Report(members, text, verification.worst_exit(each.verdict for each in files))


def _files(invocation: Invocation, options: VerifyOptions) -> "list[LicenseFile]":
    from polygent_issuer.issuing.verification import LicenseFile, read_file

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


def _upload_window(invocation: Invocation, options: VerifyOptions) -> "UploadWindow":
    """Return the window of the settings; --public-key needs no home, so there it is assumed."""
    from polygent_issuer.issuing.verification import UploadWindow
    from polygent_issuer.terms import dates

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


def inspect(
    invocation: Invocation,
    license_file: str = argument("FILE", "Show this license file (- for stdin)."),
    public_key: PublicKeyFiles = None,
) -> Report:
    """Show the content of a license file.

    The signature is checked with the registry's keys, or with --public-key. If that is not
    possible, the claims are shown as unverified.
    """
    from polygent_issuer.issuing.verification import peek_kid, read_file
    from polygent_issuer.verifier import EXAMPLE_KID, CheckCode, Verifier

    file = read_file(license_file)
    if file.problem is not None:
        raise file.problem
    kid = peek_kid(file.data)
    keys, compromised, reason = _inspect_keys(invocation, public_key, kid)
    report = Verifier(keys).report(file.data, now=invocation.now)
    failure = None if report.authentic else report.failure
    unknown = failure is not None and failure.code is CheckCode.UNKNOWN_KEY
    unchecked = (reason or "signed with an unknown key") if unknown else None
    claims = report.license or _unverified(file.data)
    members = {
        "file": license_file,
        "kid": kid,
        "authentic": failure is None,
        "example_key": report.authentic and kid == EXAMPLE_KID,
        "compromised_key": None if compromised is None else compromised.to_json(),
        "signature_checked": unchecked is None,
        "failure": failure.code if failure else None,
        "message": failure.message if failure else None,
        "claims": None if claims is None else claims.to_claims(),
    }
    forged = failure is not None and unchecked is None
    return Report(
        members,
        _inspect_text(members, claims, failure, unchecked),
        ExitCode.NOT_AUTHENTIC if forged or claims is None else ExitCode.DONE,
    )


def _inspect_text(
    members: Mapping[str, Any],
    claims: "License | None",
    failure: "CheckRow | None",
    unchecked: str | None,
) -> Iterable[Block]:
    """Yield the claims, then why the signature is bad (`failure`) or was not checked."""
    from polygent_issuer.cli.output.records import claim_rows
    from polygent_issuer.cli.output.verification import EXAMPLE_KEY

    if claims is not None:
        yield Line(f"{members['file']}:", "title")
        yield Fields(tuple(claim_rows(claims)))
    if unchecked is not None:
        yield Line(f"NOT CHECKED: the signature: {unchecked}", "warn")
        yield Line("anyone could have written this file", "warn")
    elif failure is not None:
        yield Line(f"NOT AUTHENTIC: {failure.code}: {failure.message}", "bad")
        if failure.hint:
            yield Line(failure.hint, "plain", 1)
    else:
        yield Line(f"checked: form, signature (key {members['kid']}), claims", "good")
    if members["example_key"]:
        yield Line(EXAMPLE_KEY, "bad")
    rest = "not checked: expiry, upload window, machine, host, clock ("
    yield Line(Hint(rest, run("verify"), " checks them)"), "dim")


def _inspect_keys(
    invocation: Invocation, public_key: list[Path] | None, kid: str | None
) -> "tuple[KeySet, CompromisedKey | None, str | None]":
    """Return the trusted keys, and the reason why the file's key is not trusted, if it is known."""
    if public_key:
        return read_public_keys(invocation, public_key), None, None
    from polygent_issuer.registry import keys
    from polygent_issuer.verifier import KeySet

    try:
        with invocation.registry.reading() as db:
            compromised = None if kid is None else keys.find_compromised_key(db, kid)
            reason = None if compromised is None else compromised.message
            return keys.key_set(db), compromised, reason
    except HomeMissing:
        return KeySet.of(), None, "no home with public keys, and no --public-key"


def _unverified(data: bytes) -> "License | None":
    from polygent_issuer.verifier import License, LicenseError, jws

    try:
        return License.from_payload(jws.parse(data).payload)
    except LicenseError:
        return None
