"""The items of a batch: each is a job that ends with an outcome."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Consent, FindingCode
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.registry import LicenseRecord, Reading, licenses
from polygent_issuer.registry.errors import RegistryFailed, RegistryLocked, RegistryMisuse

OF_ALL: Final = (RegistryFailed, RegistryLocked, RegistryMisuse)
"""Errors that end the batch, since they do not depend on the item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The decision on an item.

    Attributes:
        proposals: the licenses to issue; empty if nothing has to change.
        note: the reason for an empty decision, or additional information for the operator.
        kept: the license that stays as it is.
        on_hold: licenses would be issued, but the customer is on hold.
    """

    proposals: tuple[Proposal, ...] = ()
    note: str | None = None
    kept: LicenseRecord | None = None
    on_hold: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One item of a batch.

    Attributes:
        place: its name in messages: a customer, a license, a row of a file.
        subject: the customer, machine and contacts, for the digest; without line numbers.
        decide: makes the decision in the open transaction; an `IssuerError` is the outcome.
        consent: the accepted findings, and the reason.
        own: the consent in the item itself, such as a row of a file. It is a part of the digest,
            whether it counts or not.
        license_id: the license to renew, if it is known; it is read ahead.
    """

    place: str
    subject: str
    decide: Callable[[Reading], Decision]
    consent: Consent
    own: Consent = field(default_factory=Consent)
    license_id: str | None = None


def decide_job(db: Reading, job: Job) -> Decision:
    """Make the decision on a job; licenses of a customer on hold are kept back, whatever consent.

    Raises:
        IssuerError: that of the job.
    """
    decision = job.decide(db)
    for finding in (each for proposal in decision.proposals for each in proposal.findings):
        if finding.code is FindingCode.ON_HOLD:
            return Decision(note=f"{finding.message}; {finding.hint}", on_hold=True)
    return decision


def read_ahead(db: Reading, jobs: Iterable[Job]) -> None:
    """Read the licenses of many jobs in a few queries, as far as they are known."""
    licenses.read_ahead(db, [job.license_id for job in jobs if job.license_id is not None])


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Issued: license row, journal row and file are durable."""

    job: Job
    issued: tuple[Issued, ...]
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """An item that needs no change, or is skipped because the customer is on hold."""

    job: Job
    decision: Decision

    @property
    def word(self) -> str:
        """The name of the outcome: `kept` or `skipped`."""
        return "skipped" if self.decision.on_hold else "kept"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """An item that was not issued, or whose file could not be delivered.

    Attributes:
        issued: the licenses that are issued although their files are not delivered.
    """

    job: Job
    error: IssuerError
    issued: tuple[Issued, ...] = ()


Outcome = Done | Kept | Failed
