"""Verification of license files as the customer's server does it, with the data of this machine."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files import reading
from polygent_issuer.terms import dates
from polygent_issuer.verifier import (
    EXAMPLE_KID,
    AllowedDomain,
    CheckCode,
    CheckRow,
    KeySet,
    License,
    LicenseError,
    Outcome,
    Report,
    Tier,
    Verifier,
    jws,
    policy,
)
from polygent_issuer.verifier.errors import quoted
from polygent_issuer.verifier.verifier import every_row

if TYPE_CHECKING:
    from polygent_issuer.registry import LicenseRecord, Reading, Registry
    from polygent_issuer.registry.keys import CompromisedKey
    from polygent_issuer.registry.licenses import LicenseState

_CODES: Final = tuple(CheckCode)
_WINDOW: Final = _CODES.index(CheckCode.STALE_ISSUE_DATE)
_DOMAIN: Final = _CODES.index(CheckCode.DOMAIN_MISMATCH)
_MACHINE: Final = _CODES.index(CheckCode.MACHINE_MISMATCH)
_COMMAND_LINE: Final = "the command line"
_REGISTRY: Final = "the registry"
_NO_INSTALLATION: Final = CheckRow(
    code=CheckCode.STALE_ISSUE_DATE,
    outcome=Outcome.NOT_CHECKED,
    message="upload window: use --install to check it",
)
_NO_MACHINE: Final = CheckRow(
    code=CheckCode.MACHINE_MISMATCH,
    outcome=Outcome.NOT_CHECKED,
    message="no machine given, and the registry has none for this license",
    hint="--machine-info FILE or --fingerprint TEXT",
)


class Verdict(StrEnum):
    """The result for a file."""

    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    NOT_AUTHENTIC = "not_authentic"
    UNREADABLE = "unreadable"


class LicenseFile(NamedTuple):
    """A license file, or the error of reading it.

    Attributes:
        name: its path, or its line of stdin.
        data: its bytes as received, at most one more than a license file may have.
        problem: the error if it cannot be read.
    """

    name: str
    data: bytes = b""
    problem: UnreadableInput | None = None


def read_file(named: str | LicenseFile) -> LicenseFile:
    """Read the license file at a path, or from stdin (`-`); return a read one unchanged."""
    if isinstance(named, LicenseFile):
        return named
    try:
        data = reading.read_beginning(named, count=jws.MAX_FILE_BYTES + 1, what="license file")
    except UnreadableInput as problem:
        return LicenseFile(name=named, problem=problem)
    return LicenseFile(name=named, data=data)


def peek_kid(data: bytes) -> str | None:
    """Return the key that a file of the right form names, unchecked."""
    try:
        return jws.parse(data).kid
    except LicenseError:
        return None


class ServerContext(NamedTuple):
    """The server that would verify the files.

    Attributes:
        now: its time, aware.
        fingerprint: that of its machine; `None` if the operator gave none.
        hosts: the Host header of each request; empty without a request.
        window: the upload window of an installation; `None` without one.
    """

    now: datetime
    fingerprint: str | None
    hosts: tuple[str, ...]
    window: timedelta | None

    def circumstances(self) -> policy.Circumstances:
        """Return the context for the verifier, for the first request."""
        host = next(iter(self.hosts), None)
        return policy.Circumstances.of(self.now, self.fingerprint, host, self.window)


class UploadWindow(NamedTuple):
    """The time after issue in which a server installs a file; `assumed` without a setting."""

    span: timedelta
    assumed: bool

    def deadline(self, issued_at: datetime) -> datetime:
        """Return the upload deadline of a license."""
        return dates.upload_deadline(issued_at, self.span)


class VerificationResult(NamedTuple):
    """A file and its report.

    Attributes:
        name: the name of the file.
        at: the time of the check.
        failure: the first check that failed; `None` if the file is accepted.
        own_keys: whether the registry's keys were trusted, and not those of `--public-key`.
        kid: the key that a file which is not authentic names, unchecked; else `None`.
        example_key: whether the published example key signed it, which proves nothing.
        stored: its state in the registry, if the registry has it.
        latest: the last license in its chain of replacements, possibly itself; `None` if no check
            failed or the registry does not have it.
        fingerprint_from: the source of the compared fingerprint; `None` without one.
        hosts: the host of each request; the license must allow all of them.
        compromised: the key that it names, if this registry marks it as compromised; `stored` is
            then the license that was issued as exactly these bytes.
    """

    name: str
    at: datetime
    report: Report
    failure: CheckRow | None
    own_keys: bool
    kid: str | None = None
    example_key: bool = False
    stored: "LicenseState | None" = None
    latest: "LicenseRecord | None" = None
    fingerprint_from: str | None = None
    hosts: tuple[str, ...] = ()
    compromised: "CompromisedKey | None" = None

    @property
    def license(self) -> License | None:
        """The license if it is authentic."""
        return self.report.license

    @property
    def verdict(self) -> Verdict:
        """The result without its reasons."""
        if self.license is None:
            return Verdict.NOT_AUTHENTIC
        return Verdict.ACCEPTED if self.failure is None else Verdict.NOT_ACCEPTED


class UnreadableFile(NamedTuple):
    """A file that cannot be read."""

    name: str
    error: UnreadableInput

    @property
    def verdict(self) -> Verdict:
        """Always `UNREADABLE`."""
        return Verdict.UNREADABLE


def verify_files(
    files: Sequence[LicenseFile],
    keys: KeySet,
    server: ServerContext,
    registry: "Registry | None",
) -> list[VerificationResult | UnreadableFile]:
    """Run every check of FORMAT §5 on each file as the server would; results are in their order.

    Without a fingerprint the one in the registry is compared. Without that too, the check is
    reported as not checked, though a server would refuse the license.

    Args:
        files: at most some hundreds, since their licenses are read from the registry at once.
        keys: the trusted public keys.
        server: the server's time, machine, host and upload window.
        registry: read in one snapshot, after the signatures are checked; `None` if the keys are not
            the registry's.

    Raises:
        RegistryLocked: (`registry_locked`) another process locks the registry for too long.
    """
    verifier = Verifier(keys)
    licenses = [_authenticate(verifier, file) for file in files]
    with nullcontext() if registry is None else registry.reading() as db:
        known = _states(db, [each.jti for each in licenses if each is not None])
        judge = _Judge(verifier, server, server.circumstances(), db, known)
        return list(map(judge.result, files, licenses))


def alert_days(issued_at: datetime, expires_at: datetime) -> tuple[datetime, ...]:
    """Return the times at which the product warns its admins of a license's expiry."""
    moments = (expires_at - timedelta(days=days) for days in reversed(dates.ALERT_DAYS))
    return tuple(moment for moment in moments if moment > issued_at)


def _authenticate(verifier: Verifier, file: LicenseFile) -> License | None:
    if file.problem is not None:
        return None
    try:
        return verifier.authenticate(file.data)
    except LicenseError:
        return None


def _states(db: "Reading | None", ids: Sequence[str]) -> "Mapping[str, LicenseState]":
    if db is None or not ids:
        return {}
    from polygent_issuer.registry import licenses  # noqa: PLC0415  # 20 ms

    return licenses.states(db, ids)


class _Judge(NamedTuple):
    """Makes results in one snapshot of the registry; `known` are the states of its licenses."""

    verifier: Verifier
    server: ServerContext
    circumstances: policy.Circumstances
    db: "Reading | None"
    known: "Mapping[str, LicenseState]"

    def result(
        self, file: LicenseFile, license_: License | None
    ) -> VerificationResult | UnreadableFile:
        if file.problem is not None:
            return UnreadableFile(name=file.name, error=file.problem)
        return self._not_authentic(file) if license_ is None else self._authentic(file, license_)

    def _authentic(self, file: LicenseFile, license_: License) -> VerificationResult:
        stored, at, source = self.known.get(license_.jti), self.circumstances, None
        if license_.tier is Tier.STANDARD:
            source = _COMMAND_LINE
            if at.fingerprint is None:
                fingerprint = None if stored is None else stored.fingerprint
                source = None if fingerprint is None else _REGISTRY
                at = at._replace(fingerprint=fingerprint)
        outside, hosts = _outside(license_.allowed_domain, self.server.hosts), self.server.hosts
        if outside:
            at = at._replace(host=outside[0])
        rows = list(every_row(license_, at))
        if len(hosts) > 1 and license_.allowed_domain is not None:
            rows[_DOMAIN] = _domain_row(rows[_DOMAIN], license_.allowed_domain, hosts, outside)
        if rows[_WINDOW].outcome is Outcome.NOT_CHECKED:
            rows[_WINDOW] = _NO_INSTALLATION
        if license_.tier is Tier.STANDARD:
            rows[_MACHINE] = _machine_row(rows[_MACHINE], source)
        report = Report(rows=tuple(rows), license=license_)
        failure = report.failure
        has_example = self.verifier.keys.get(EXAMPLE_KID) is not None
        return VerificationResult(
            name=file.name,
            at=self.server.now,
            report=report,
            failure=failure,
            own_keys=self.db is not None,
            example_key=has_example and peek_kid(file.data) == EXAMPLE_KID,
            stored=stored,
            latest=None if failure is None else self._latest(stored),
            fingerprint_from=source,
            hosts=hosts,
        )

    def _not_authentic(self, file: LicenseFile) -> VerificationResult:
        kid, db = peek_kid(file.data), self.db
        compromised = stored = None
        if db is not None and kid is not None:
            from polygent_issuer.registry import keys  # noqa: PLC0415  # 20 ms

            compromised = keys.find_compromised_key(db, kid)
            stored = _of_file(db, kid, file.data) if compromised else None
        report = self.verifier.report(file.data, now=self.server.now)
        rows = tuple(_explained_unknown(row, compromised) for row in report.rows)
        return VerificationResult(
            name=file.name,
            at=self.server.now,
            report=replace(report, rows=rows),
            failure=next(row for row in rows if row.outcome is Outcome.FAILED),
            kid=kid,
            own_keys=db is not None,
            stored=stored,
            latest=self._latest(stored),
            compromised=compromised,
        )

    def _latest(self, stored: "LicenseState | None") -> "LicenseRecord | None":
        if self.db is None or stored is None:
            return None
        from polygent_issuer.registry import licenses  # noqa: PLC0415  # 20 ms

        record = licenses.get(self.db, stored.id)
        seen = {record.id}
        while (following := licenses.successor(self.db, record)) and following.id not in seen:
            record = following
            seen.add(record.id)
        return record


def _of_file(db: "Reading", kid: str, data: bytes) -> "LicenseState | None":
    """Return the state of the license that was issued as exactly these bytes."""
    from polygent_issuer.registry import licenses  # noqa: PLC0415  # 20 ms

    token = jws.parse(data)
    record = licenses.of_file(db, kid, jws.assemble(token.signing_input, token.signature))
    return None if record is None else licenses.states(db, [record.id])[record.id]


def _explained_unknown(row: CheckRow, compromised: "CompromisedKey | None") -> CheckRow:
    """Replace a server's hint on an unknown key, which may be a forger's key."""
    if row.code is not CheckCode.UNKNOWN_KEY:
        return row
    message = row.message if compromised is None else compromised.message
    return replace(row, message=message, hint=None)


@lru_cache(maxsize=16)  # most files of a folder have the same row
def _machine_row(row: CheckRow, source: str | None) -> CheckRow:
    """Explain which machine a standard license was compared with, if any."""
    if source is None:
        return _NO_MACHINE
    if source == _COMMAND_LINE:
        return row
    # The registry's fingerprint may differ from that of the customer's machine.
    note = "no machine given; compared with the machine in the registry"
    return replace(row, message=f"{row.message} ({note})")


def _outside(domain: AllowedDomain | None, hosts: Sequence[str]) -> tuple[str, ...]:
    """Return the hosts that a license for this domain does not allow."""
    return () if domain is None else tuple(host for host in hosts if not domain.matches(host))


def _domain_row(
    row: CheckRow, domain: AllowedDomain, hosts: Sequence[str], outside: Sequence[str]
) -> CheckRow:
    """Name each of several hosts that is not in the allowed domain."""
    message = f"for all {len(hosts)} hosts"
    if outside:
        names = ", ".join(map(quoted, outside))
        count = f"{len(outside)} of {len(hosts)} hosts"
        message = f"not in the allowed domain {domain}: {names} ({count})"
    return replace(row, message=message)
