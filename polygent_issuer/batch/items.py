"""The items of a batch, from the job over the preview to the outcome.

The digest of a preview covers decisions and dates, but neither IDs nor the time of issue. So a
preview of today can be compared with a run of tomorrow.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Consent, Finding, FindingCode
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.registry import KeyRecord, LicenseRecord, Reading, Registry, journal, licenses
from polygent_issuer.registry.change import Decided
from polygent_issuer.registry.errors import RegistryFailed, RegistryLocked, RegistryMisuse
from polygent_issuer.text import Hint

if TYPE_CHECKING:
    from hashlib import _Hash

OF_ALL: Final = (RegistryFailed, RegistryLocked, RegistryMisuse)
"""Errors that end the batch, since they do not depend on the item."""
REVIEW: Final = "review"
"""The member of a journal row's details with the digests of the preview and of the decision."""
_OF_ONE_RUN: Final = frozenset({"jti", "iat", "replaces"})
_CHUNK: Final = 256


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


def digest(job: Job, decision: Decision | str) -> bytes:
    """Return the digest of the decision on one item, 32 bytes.

    Args:
        decision: the decision, or the code of the error.
    """
    if isinstance(decision, str):
        members: Sequence[object] = ["failed", decision]
    elif decision.proposals:
        members = [_members(proposal, job.own) for proposal in decision.proposals]
    else:
        members = ["skip" if decision.on_hold else "keep"]
    text = json.dumps([job.subject, *members], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).digest()


def shortened(digest: bytes) -> int:
    """Return the first 64 bits of a digest: enough to compare two decisions on one item."""
    return int.from_bytes(digest[:8], "big")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewItem:
    """The decision on one item, or the error.

    Attributes:
        before: the digest of the decision that an interrupted run of the same preview carried out.
    """

    job: Job
    decision: Decision
    error: IssuerError | None = None
    before: bytes | None = None

    @property
    def digest(self) -> bytes:
        """The digest of the decision, 32 bytes."""
        return digest(self.job, self.error.code if self.error else self.decision)

    @property
    def missing(self) -> tuple[Finding, ...]:
        """The findings that are not accepted yet."""
        findings = (finding for each in self.decision.proposals for finding in each.findings)
        return self.job.consent.missing(findings)


def preview(
    registry: Registry, jobs: Iterable[Job], *, resumed: str | None = None
) -> Iterator[PreviewItem]:
    """Decide each job on the present registry; nothing is written.

    Args:
        jobs: an iterator that is read while no transaction is open.
        resumed: the digest of a preview, if its run may have been interrupted.
    """
    jobs = iter(jobs)
    while chunk := list(islice(jobs, _CHUNK)):
        items = []
        with registry.reading() as db:
            read_ahead(db, chunk)
            for job in chunk:
                try:
                    decision = decide_job(db, job)
                except OF_ALL:
                    raise
                except IssuerError as error:
                    items.append(PreviewItem(job=job, decision=Decision(), error=error))
                else:
                    before = _before(db, decision, resumed) if resumed else None
                    items.append(PreviewItem(job=job, decision=decision, before=before))
        yield from items


def issued_in_run(db: Reading, review: str) -> dict[str, list[LicenseRecord]]:
    """Return the IDs that a run of a preview issued, each with the licenses that it replaced.

    Args:
        review: the digest of the preview.
    """
    issued: dict[str, list[LicenseRecord]] = {}
    for row in journal.containing(db, review):
        recorded, replaces = row.details.get(REVIEW), row.details.get("replaces", [])
        if row.license and isinstance(recorded, dict) and recorded.get("digest") == review:
            ids = replaces if isinstance(replaces, list) else [replaces]
            issued[row.license] = [licenses.get(db, each) for each in map(str, ids)]
    return issued


@dataclass(kw_only=True, slots=True)
class Preview:
    """The counts and the digest of the items of `preview`.

    Attributes:
        actions: the number of licenses to issue by action, of kept, skipped and refused items.
        missing: the number of items that each finding stops, by its code.
        ready: the number of licenses that can be issued with the present consent.
        keys: the keys that would sign them, by kid.
        shown: the short digests of the items, for `BatchRunner.outcomes`.
    """

    actions: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    ready: int = 0
    keys: dict[str, KeyRecord] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)
    _whole: "_Hash" = field(default_factory=sha256)

    def add(self, item: PreviewItem) -> None:
        """Count one item."""
        self._whole.update(item.before or item.digest)
        self.shown.add(shortened(item.digest))
        if item.error is not None:
            self.actions["refused"] += 1
        elif not item.decision.proposals:
            self.actions["skip" if item.decision.on_hold else "keep"] += 1
        for proposal in item.decision.proposals:
            self.actions[str(proposal.action)] += 1
        self.missing.update({str(finding.code) for finding in item.missing})
        if not item.missing:
            self.ready += len(item.decision.proposals)
            self.keys |= {each.key.kid: each.key for each in item.decision.proposals}

    @property
    def issues(self) -> int:
        """The number of licenses to issue, if all findings were accepted."""
        return sum(n for word, n in self.actions.items() if word not in ("keep", "skip", "refused"))

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all items, lower-case hex."""
        return self._whole.hexdigest()


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


def _members(proposal: Proposal, own: Consent) -> Sequence[object]:
    """Return the new terms, the replaced licenses, and the findings that `own` would accept.

    A license with neither order id nor note has the digest that it had before there were any.
    """
    claims = proposal.license.to_claims()
    accepted = [str(code) for code in own.used(proposal.findings)]
    return [
        str(proposal.action),
        {name: claims[name] for name in claims if name not in _OF_ONE_RUN},
        proposal.machine.label if proposal.machine else None,
        proposal.term,
        proposal.plan,
        proposal.key.kid,
        sorted(old.expires_at.isoformat() for old in proposal.replaced),
        [(change.key, change.old, change.new) for change in proposal.differences],
        sorted({str(finding.code) for finding in proposal.findings}),
        [accepted, own.reason] if accepted else [],
        *([proposal.order_id, proposal.note] if proposal.order_id or proposal.note else []),
    ]


def _before(db: Reading, decision: Decision, review: str) -> bytes | None:
    """Return the digest of the decision that a run of this preview recorded for a kept license."""
    if decision.kept is None:
        return None
    issue = journal.issue_of(db, decision.kept)
    recorded = issue.details.get(REVIEW) if issue is not None else None
    if issue is None or not isinstance(recorded, dict) or recorded.get("digest") != review:
        return None
    try:
        return bytes.fromhex(recorded["decision"])
    except (LookupError, TypeError, ValueError):
        raise db.damaged(f"has a row that cannot be read: journal/{issue.seq}") from None
