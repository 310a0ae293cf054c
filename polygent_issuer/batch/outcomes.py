"""The items of a batch: each is a job that ends with an outcome; a group is written at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Consent, FindingCode
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.registry import LicenseRecord, Reading, licenses
from polygent_issuer.registry.change import Decided
from polygent_issuer.registry.errors import RegistryFailed, RegistryLocked, RegistryMisuse
from polygent_issuer.text import Hint

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
        customer: the slug or another name of the customer, whose licenses are read ahead.
    """

    place: str
    subject: str
    decide: Callable[[Reading], Decision]
    consent: Consent
    own: Consent = field(default_factory=Consent)
    license_id: str | None = None
    customer: str | None = None


def decide_job(db: Reading, job: Job) -> Decision:
    """Make the decision on a job; licenses of a customer on hold are kept back, whatever consent.

    Raises:
        IssuerError: that of the job.
    """
    decision = job.decide(db)
    for finding in (each for proposal in decision.proposals for each in proposal.findings):
        if finding.code is FindingCode.ON_HOLD:
            return Decision(note=Hint(f"{finding.message}; ", finding.hint or ""), on_hold=True)
    return decision


def read_ahead(db: Reading, jobs: Sequence[Job]) -> None:
    """Read the licenses of many jobs in a few queries, as far as they are known."""
    licenses.read_ahead(db, [job.license_id for job in jobs if job.license_id is not None])
    licenses.read_ahead_of(db, [job.customer for job in jobs if job.customer is not None])


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ToIssue:
    """An item with licenses to issue, as of its last decision."""

    job: Job
    decision: Decision


DecidedItem = ToIssue | Kept | Failed
"""A decided item: licenses to issue, or its outcome."""
SignedItem = tuple[DecidedItem, tuple[Issued, ...] | IssuerError]
"""A decided item with its signed licenses, or the error that prevents them."""


@dataclass(kw_only=True, slots=True)
class Group:
    """Items that were decided on one snapshot, and the effects of later writes.

    Attributes:
        unsigned: the items that are not signed yet.
        signed: the items that are signed and not written yet.
        affects_all: whether a later write may affect any decision.
        customers: the customers that the rows of this group affect.
    """

    decided: Decided[Any]
    unsigned: list[DecidedItem]
    signed: list[SignedItem] = field(default_factory=list)
    affects_all: bool = False
    customers: set[int] = field(default_factory=set)

    def note(self, item: ToIssue) -> None:
        """Note the customers that the rows of an item affect."""
        affected = _affected(item)
        self.customers |= affected
        self.affects_all = self.affects_all or not affected

    def may_affect(self, item: DecidedItem) -> bool:
        """Return whether later writes may change the decision on an item."""
        if self.affects_all or not self.customers:
            return self.affects_all
        affected = _affected(item) if isinstance(item, ToIssue) else None
        # The decision to issue nothing may depend on any row.
        return not affected or not affected.isdisjoint(self.customers)


def _affected(item: ToIssue) -> set[int]:
    """Return the customers that an item affects; empty if it may affect any customer.

    A renewal for the same customer and machine affects this customer only. A new customer or
    machine may change the findings of all others.
    """
    customers: set[int] = set()
    for proposal in item.decision.proposals:
        machine = proposal.machine
        if isinstance(proposal.customer, NewCustomer) or proposal.document is not None:
            return set()
        if machine is not None and (machine.known is None or machine.changed):
            return set()
        customers.add(proposal.customer.id)
    return customers
