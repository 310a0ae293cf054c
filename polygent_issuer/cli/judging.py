"""What the customer's server would say of a file, as far as this machine can know it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from polygent_issuer.errors import NotFound
from polygent_issuer.verifier import (
    CheckCode,
    CheckRow,
    ClockGuard,
    KeySet,
    License,
    Outcome,
    Report,
    Tier,
    Verifier,
)

if TYPE_CHECKING:
    from polygent_issuer.registry import LicenseRecord, Reading

ALERT_DAYS = (30, 14, 7, 1)
"""The product warns its admins this many days before the expiry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """The server that is imagined.

    Attributes:
        fingerprint: its machine's; `None` when nobody said.
        host: the request's Host header; `None` without a request.
        window: the freshness window of an installation; `None` when it is none.
    """

    now: datetime
    fingerprint: str | None
    host: str | None
    window: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A file and its report.

    Attributes:
        name: the file as it was named.
        kept: what the registry holds of it, if anything.
        fingerprint_from: where the machine's fingerprint came from.
    """

    name: str
    report: Report
    kept: "LicenseRecord | None" = None
    fingerprint_from: str | None = None

    @property
    def license(self) -> License | None:
        """The license, once authentic."""
        return self.report.license


def judge(name: str, data: bytes, keys: KeySet, server: Server, db: "Reading | None") -> Judged:
    """Run every check of FORMAT §5 as the server would.

    Without a fingerprint the one that the registry holds for this license is taken; where it
    holds none the check is reported as not checked, though a server would refuse.
    """
    verifier = Verifier(keys)
    held = verifier.report(data, now=server.now).license
    kept = None if db is None or held is None else _kept(db, held)
    fingerprint, source = server.fingerprint, "as given"
    if fingerprint is None and kept is not None and db is not None:
        fingerprint, source = _known_fingerprint(db, kept), "as the registry holds it"
    report = verifier.report(
        data,
        now=server.now,
        fingerprint=fingerprint,
        host=server.host,
        freshness_window=server.window,
        clock=ClockGuard(),
    )
    if fingerprint is None and held is not None and held.tier is Tier.STANDARD:
        report = replace(report, rows=tuple(_without_machine(row) for row in report.rows))
        source = "not given"
    return Judged(name=name, report=report, kept=kept, fingerprint_from=source)


def alert_days(held: License) -> tuple[datetime, ...]:
    """When the product warns its admins of the expiry."""
    moments = (held.expires_at - timedelta(days=days) for days in ALERT_DAYS)
    return tuple(moment for moment in moments if moment > held.issued_at)


def _without_machine(row: CheckRow) -> CheckRow:
    if row.code is not CheckCode.MACHINE_MISMATCH:
        return row
    return CheckRow(
        code=row.code,
        outcome=Outcome.NOT_CHECKED,
        message="no machine was given, and the registry knows none for it",
        hint="--machine-info FILE or --fingerprint TEXT",
    )


def _kept(db: "Reading", held: License) -> "LicenseRecord | None":
    from polygent_issuer.registry import licenses

    try:
        return licenses.get(db, held.jti)
    except NotFound:
        return None


def _known_fingerprint(db: "Reading", kept: "LicenseRecord") -> str | None:
    from polygent_issuer.registry import machines

    return None if kept.machine_id is None else machines.by_id(db, kept.machine_id).fingerprint
