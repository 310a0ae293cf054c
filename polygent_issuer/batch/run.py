"""Many items, each by itself, issued in groups: one COMMIT and two syncs for a group.

A group goes through the one protocol (`registry.change`), and is compared item by item:

1. Decide the items on a snapshot, which is closed again.
2. Sign, and verify our own bytes with the pinned key; no transaction is open meanwhile.
3. `BEGIN IMMEDIATE`. Decide an item again if anybody, or an earlier item, wrote what it may rest
   on. What needs nothing any more is kept; what would be issued otherwise than it was signed ends
   the transaction, and is signed again.
4. License, outbox and journal rows; then temporary files beside their targets, made durable
   together; one `COMMIT`.
5. Link each file to its name, sync the folder; only now its items are acknowledged. The next
   transaction clears the outbox.

An item that fails leaves the others alone. A crash loses nothing that was acknowledged, and what
it kept back of a group is delivered from the registry by the next command, never signed again.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Any, Final

from polygent_issuer import files
from polygent_issuer.batch.outcomes import (
    OF_ALL,
    Decision,
    Done,
    Failed,
    Job,
    Kept,
    Outcome,
    read_ahead,
)
from polygent_issuer.batch.preview import REVIEW, digest, shortened
from polygent_issuer.errors import HomeProblem, IssuerError, OutputProblem, RegistryChanged
from polygent_issuer.findings import Finding, require
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.issuing.signing import Issued, record_issue, sign, undelivered
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Actor, Reading, Registry, Writing, change, journal, outbox
from polygent_issuer.registry.change import Decided

MAX_GROUP_SIZE: Final = 256
"""Items of one COMMIT, at most."""
_SIGNING: Final = 1.0
"""Seconds after which a group is written with fewer: tokens are slow."""
_WRITING: Final = 0.14
"""Seconds of the write lock for rows; with files and syncs it is held for 250 ms at most."""
_TRIES: Final = 3
"""How often an item is signed again because it would be issued otherwise; then it fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """An item for which something is to be issued, as far as its decision goes."""

    job: Job
    decision: Decision


_Ready = _Wanted | Kept | Failed
_Signed = tuple[_Ready, tuple[Issued, ...] | IssuerError]


class BatchRunner:
    """One pass over a batch."""

    def __init__(
        self,
        registry: Registry,
        *,
        unlock: Callable[[], Mapping[str, Signer]],
        destination: Destination,
        now: datetime,
        actor: Actor,
        stopped: Callable[[], bool] = lambda: False,
        with_reason: bool = True,
        review: str | None = None,
    ) -> None:
        """Prepare to issue into a folder.

        Args:
            unlock: gives the signers, by kid, of each key that may be needed. It is called once,
                outside of any transaction, and only when there is something to sign.
            destination: a folder, in which each license has its own name, or an archive, which
                whoever asks finishes afterwards (`bundle`).
            stopped: asked after each item; True ends the batch with the group in hand.
            with_reason: whether a finding is accepted only with a reason.
            review: the digest of the review that the operator named; the journal keeps it, so
                that a run that broke off can go on under the same review.
        """
        if destination.folder is None:
            raise ValueError("a batch goes into a folder or an archive")
        self._registry = registry
        self._unlock = unlock
        self._signers: Mapping[str, Signer] = {}
        self._destination = destination
        self._folder = destination.folder
        self._into_bundle = outbox_delivery.is_bundle(str(destination.folder))
        self._now = now
        self._actor = actor
        self._stopped = stopped
        self._with_reason = with_reason
        self._review = review
        self._shown: Container[int] | None = None
        self._behind: tuple[Finding, ...] | None = None
        self._prefix = outbox_delivery.temp_prefix(registry.id)
        self._delivered: list[str] = []
        self._first = True

    def outcomes(
        self, jobs: Iterable[Job], shown: Container[int] | None = None
    ) -> Iterator[Outcome]:
        """Carry out the jobs in their order; each outcome comes when it is durable.

        Args:
            jobs: no transaction may be open while they are drawn.
            shown: the short digests of the decisions that the operator saw; a job that would now
                issue something else fails with `registry_changed`.

        Raises:
            IssuerError: what stands in the way of all: the registry, the disk, the key. What was
                acknowledged stays; nothing else is issued.
        """
        self._shown = shown
        with self._registry.reading() as db:
            pending = outbox.pending(db)
        if pending:  # where nothing is to be issued, no group would deliver it
            self._finish(self._begin)
        jobs = iter(jobs)
        while not self._stopped() and (chunk := list(islice(jobs, MAX_GROUP_SIZE))):
            yield from self._group(chunk)
        if self._delivered:
            with suppress(HomeProblem):  # then the next command does it
                self._finish(lambda db: outbox.clear(db, *self._delivered))

    def _group(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Carry out these jobs, in as many transactions as it takes."""

        def decide(db: Reading) -> list[_Ready]:
            read_ahead(db, jobs)
            return [self._ready(db, job) for job in jobs]

        decided = change.decide(self._registry, decide, now=self._now, actor=self._actor)
        if self._behind is None:
            self._behind = decided.behind
        group = _Group(decided=replace(decided, behind=self._behind), rest=decided.decision)
        while group.rest and not isinstance(first := group.rest[0], _Wanted):
            # For what comes before the first that issues, nobody is asked for a key.
            yield first
            del group.rest[0]
        if group.rest and not self._signers:
            self._signers = self._unlock()
        tries = 0
        while group.signed or group.rest:
            self._sign(group)
            outcomes, otherwise = self._write(group)
            yield from outcomes
            if otherwise is not None:
                tries = 1 if outcomes else tries + 1
                if tries <= _TRIES:
                    group.signed[0] = self._signed(otherwise)
                else:
                    del group.signed[0]
                    yield Failed(job=otherwise.job, error=_changed())
            if self._stopped():
                return

    def _ready(self, db: Reading, job: Job) -> _Ready:
        """Decide an item; where nothing is to be issued, return its outcome.

        Where nothing is left to be issued, somebody else was first, and that is as good.

        Raises:
            IssuerError: what stands in the way of all items (`OF_ALL`).
        """
        try:
            decision = job.decide(db)
            if not decision.proposals:
                return Kept(job=job, decision=decision)
            if self._shown is not None and shortened(digest(job, decision)) not in self._shown:
                raise _changed()
            for each in decision.proposals:
                require(each.findings, job.consent, with_reason=self._with_reason)
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        return _Wanted(job=job, decision=decision)

    def _sign(self, group: "_Group") -> None:
        """Step 2, for as many items as time allows."""
        until = monotonic() + _SIGNING
        while group.rest:
            group.signed.append(self._signed(group.rest[0]))
            del group.rest[0]
            if monotonic() > until or self._stopped():
                return

    def _signed(self, item: _Ready) -> _Signed:
        """Sign an item, or say what stands in its way.

        Raises:
            KeyUnavailable: a key that fails stands in the way of all.
        """
        issued: list[Issued] = []
        for each in item.decision.proposals if isinstance(item, _Wanted) else ():
            signer = self._signers.get(each.key.kid)
            if signer is None:
                return item, RegistryChanged(
                    "another key was chosen to sign meanwhile; nothing was issued for "
                    f"{item.job.place}",
                    hint="run the command again",
                )
            try:
                path = self._destination.free_target(each)
            except OutputProblem as problem:
                return item, problem
            issued.append(sign(each, signer, path))
        return item, tuple(issued)

    def _write(self, group: "_Group") -> tuple[list[Outcome], _Wanted | None]:
        """Steps 3 to 5 for the first items of a group, which lets go of them.

        Returns:
            Their outcomes, and what the next item is, if it would be issued otherwise.
        """
        staged = None if self._into_bundle else files.BatchPublication(self._folder, self._prefix)

        def write(db: Writing, as_decided: bool) -> tuple[list[Outcome], _Wanted | None]:  # noqa: FBT001
            self._begin(db)
            group.everybody = group.everybody or not as_decided
            outcomes, otherwise = self._write_rows(db, group)
            if staged is not None:
                done = (each for each in outcomes if isinstance(each, Done))
                for each in (issued for one in done for issued in one.issued):
                    if each.path is not None:
                        staged.prepare(each.file, each.path.name)
                staged.sync()
            group.decided = replace(group.decided, head=journal.head(db))
            return outcomes, otherwise

        try:
            outcomes, otherwise = change.carry_out_items(group.decided, write)
        except BaseException:
            if staged is not None:
                staged.discard()
            raise
        del group.signed[: len(outcomes)]
        return outcomes if staged is None else self._deliver(outcomes, staged), otherwise

    def _begin(self, db: Writing) -> None:
        """What every write begins with; the sweep is for what a crash left long before."""
        if self._first:
            outbox_delivery.deliver_pending(db, self._prefix)
            if not self._into_bundle:
                outbox_delivery.sweep(db, self._folder, self._prefix)
            self._first = False
        outbox.clear(db, *self._delivered)
        self._delivered.clear()

    def _write_rows(self, db: Writing, group: "_Group") -> tuple[list[Outcome], _Wanted | None]:
        """Steps 3 and 4: compare and write, until time is over or an item is to be signed again."""
        outcomes: list[Outcome] = []
        until = monotonic() + _WRITING
        for signed, issued in group.signed:
            item = self._ready(db, signed.job) if group.may_concern(signed) else signed
            if not isinstance(item, _Wanted):
                outcomes.append(item)
            elif item is signed or _is_as_signed(item, signed):
                outcomes.append(self._written(db, item, issued))
                if isinstance(outcomes[-1], Done):
                    group.note(item)
            else:
                return outcomes, item
            if monotonic() > until:
                break
        return outcomes, None

    def _written(
        self, db: Writing, item: _Wanted, signed: tuple[Issued, ...] | IssuerError
    ) -> Done | Failed:
        """Write the rows of an item; where they cannot be kept, it fails alone."""
        job, decision = item.job, item.decision
        if isinstance(signed, IssuerError):
            return Failed(job=job, error=signed)
        issued = tuple(map(_as_decided, signed, decision.proposals))
        particulars = None
        if self._review is not None:
            as_digest = digest(job, decision).hex()
            particulars = {REVIEW: {"digest": self._review, "decision": as_digest}}
        try:
            with db.part():
                for each in issued:
                    record_issue(db, each, job.consent, extra_details=particulars)
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        return Done(job=job, issued=issued, note=decision.note)

    def _deliver(self, outcomes: list[Outcome], staged: files.BatchPublication) -> list[Outcome]:
        """Step 5; whatever got no name is tried once more by itself, and else reported."""
        failed = staged.publish()
        return [
            self._delivered_or_failed(each, failed) if isinstance(each, Done) else each
            for each in outcomes
        ]

    def _delivered_or_failed(self, done: Done, unpublished: Container[str]) -> Done | Failed:
        problems: dict[str, OutputProblem] = {}
        for each in done.issued:
            license_id = each.proposal.license.jti
            try:
                if each.path is not None and each.path.name in unpublished:
                    # Another command may have delivered it and swept the temporary file.
                    outbox_delivery.write(each.file, each.path, license_id, self._prefix)
            except OutputProblem as problem:
                problems[license_id] = problem
            else:
                self._delivered.append(license_id)
        if not problems:
            return done
        return Failed(job=done.job, error=undelivered(problems), issued=done.issued)

    def _finish(self, work: Callable[[Writing], None]) -> None:
        change.finish(self._registry, work, now=self._now, actor=self._actor)


@dataclass(kw_only=True, slots=True)
class _Group:
    """Items that were decided on one snapshot, and what was written since.

    Attributes:
        rest: what is not signed yet; `signed` what is signed, and not written yet.
        everybody: whether something was written that may concern anybody.
        customers: whom else this group's own rows concern.
    """

    decided: Decided[Any]
    rest: list[_Ready]
    signed: list[_Signed] = field(default_factory=list)
    everybody: bool = False
    customers: set[int] = field(default_factory=set)

    def note(self, item: _Wanted) -> None:
        """Note whom the rows of an item concern."""
        concerned = _concerned(item)
        self.customers |= concerned
        self.everybody = self.everybody or not concerned

    def may_concern(self, item: _Ready) -> bool:
        """Whether what was written may change the decision on an item."""
        if self.everybody or not self.customers:
            return self.everybody
        concerned = _concerned(item) if isinstance(item, _Wanted) else None
        # What issues nothing may rest on anything.
        return not concerned or not concerned.isdisjoint(self.customers)


def _concerned(item: _Wanted) -> set[int]:
    """Return the customers whom an item concerns; none when it may concern anybody.

    A license that follows one of the same customer, for the same machine, concerns nobody else.
    What adds a customer or a machine may change anybody's findings.
    """
    customers: set[int] = set()
    for each in item.decision.proposals:
        machine = each.machine
        if isinstance(each.customer, NewCustomer) or each.document is not None:
            return set()
        if machine is not None and (machine.known is None or machine.changed):
            return set()
        customers.add(each.customer.id)
    return customers


def _is_as_signed(item: _Wanted, signed: _Ready) -> bool:
    """Whether an item would be issued as it was signed, but for the license's ID."""
    return (
        isinstance(signed, _Wanted)
        and digest(item.job, item.decision) == digest(signed.job, signed.decision)
        and _replaces(item) == _replaces(signed)
    )


def _as_decided(signed: Issued, proposal: Proposal) -> Issued:
    """Return what was signed, with the rows of its newest decision."""
    if signed.proposal is proposal:
        return signed
    return replace(signed, proposal=replace(proposal, license=signed.proposal.license))


def _replaces(item: _Wanted) -> list[tuple[str, ...]]:
    return [each.license.replaces for each in item.decision.proposals]


def _changed() -> RegistryChanged:
    return RegistryChanged(
        "it would now be decided otherwise than it was shown; nothing was issued for it",
        hint="run the command again and look at what it shows now",
    )
