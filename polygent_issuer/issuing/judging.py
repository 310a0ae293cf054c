"""What the customer's server would say of a file, as far as this machine can know it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.issuing import leaked_key
from polygent_issuer.issuing.check_rows import for_people, with_source
from polygent_issuer.issuing.foreign_files import named_kid
from polygent_issuer.issuing.leaked_key import LeakedKey
from polygent_issuer.verifier import (
    EXAMPLE_KID,
    KeySet,
    License,
    Report,
    Tier,
    Verifier,
    policy,
)

if TYPE_CHECKING:
    from polygent_issuer.registry import LicenseRecord, Reading

ALERT_DAYS = (30, 14, 7, 1)
"""The product warns its admins this many days before the expiry."""


class Verdict(StrEnum):
    """What is to be thought of a file."""

    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    NOT_AUTHENTIC = "not_authentic"
    UNREADABLE = "unreadable"


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

    def circumstances(self, fingerprint: str | None) -> policy.Circumstances:
        """What it knows, with this fingerprint for its machine's."""
        return policy.Circumstances.of(self.now, fingerprint, self.host, self.window)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A file and its report.

    Attributes:
        name: the file as it was named.
        at: when the server judges it.
        kid: the key that it names, whoever wrote that; `None` when it has no such form.
        own_keys: whether the registry's keys were the trusted ones, and not named files.
        kept: what the registry holds of it, if anything.
        heir: the last license in the chain that replaced it; itself when nothing did.
        fingerprint_from: where the fingerprint that was compared came from; `None` when none
            was.
        leaked: the key that it names, when this registry says that others may hold it; `kept` is
            then the license that was issued as exactly these bytes.
    """

    name: str
    at: datetime
    report: Report
    kid: str | None
    own_keys: bool
    kept: "LicenseRecord | None" = None
    heir: "LicenseRecord | None" = None
    fingerprint_from: str | None = None
    leaked: LeakedKey | None = None

    @property
    def license(self) -> License | None:
        """The license, once authentic."""
        return self.report.license

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of it."""
        if not self.report.authentic:
            return Verdict.NOT_AUTHENTIC
        return Verdict.ACCEPTED if self.report.accepted else Verdict.NOT_ACCEPTED

    @property
    def example_key(self) -> bool:
        """Whether it is authentic only by the example key, with which anybody can sign."""
        return self.report.authentic and self.kid == EXAMPLE_KID


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A file that could not be read, among others that could."""

    name: str
    error: UnreadableInput

    @property
    def verdict(self) -> Verdict:
        """That it cannot be read."""
        return Verdict.UNREADABLE


def judge(name: str, data: bytes, keys: KeySet, server: Server, db: "Reading | None") -> Judged:
    """Run every check of FORMAT §5 as the server would.

    Without a fingerprint the one that the registry holds for this license is taken; where it
    holds none the check is reported as not checked, though a server would refuse.
    """
    kid = named_kid(data)
    report = Verifier(keys).report(
        data,
        now=server.now,
        fingerprint=server.fingerprint,
        host=server.host,
        freshness_window=server.window,
    )
    held = report.license
    leaked = None if db is None or held is not None or kid is None else leaked_key.find(db, kid)
    kept = heir = None
    fingerprint, known = server.fingerprint, False
    if db is not None:
        from polygent_issuer.issuing import kept_license  # noqa: PLC0415  # 20 ms

        kept = kept_license.find(db, held, data, leaked)
        heir = None if kept is None else kept_license.heir(db, kept)
        if fingerprint is None and kept is not None:
            fingerprint, known = kept_license.fingerprint(db, kept), True
    if held is not None and known:  # the signature, which costs most, is checked once
        acceptance = policy.every_row(held, server.circumstances(fingerprint))
        report = replace(report, rows=(*report.rows[: -len(acceptance)], *acceptance))
    rows = tuple(for_people(row, leaked, authentic=held is not None) for row in report.rows)
    source = None
    if held is not None and held.tier is Tier.STANDARD:
        if fingerprint is not None:
            source = "the registry" if known else "the command line"
        rows = tuple(with_source(row, source) for row in rows)
    return Judged(
        name=name,
        at=server.now,
        report=replace(report, rows=rows),
        kid=kid,
        own_keys=db is not None,
        kept=kept,
        heir=heir,
        fingerprint_from=source,
        leaked=leaked,
    )


def alert_days(held: License) -> tuple[datetime, ...]:
    """When the product warns its admins of the expiry."""
    moments = (held.expires_at - timedelta(days=days) for days in ALERT_DAYS)
    return tuple(moment for moment in moments if moment > held.issued_at)
