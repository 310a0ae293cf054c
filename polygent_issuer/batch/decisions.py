"""What is decided for an item in the transaction that is open, and which items go together.

Many are decided before any of them is signed or written: to do the same thing for many in a row is
faster by a third than all things for each in turn. So none of them may rest on what another
writes.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.batch.digest import digest, shortened
from polygent_issuer.batch.outcomes import OF_ALL, Decision, Failed, Job, Kept
from polygent_issuer.errors import IssuerError, RegistryChanged
from polygent_issuer.findings import require
from polygent_issuer.issuing.destination import Destination
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedLicense:
    """A license that is decided, with what it takes to sign it."""

    proposal: Proposal
    signer: Signer
    path: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedItem:
    """An item of which nothing stands in the way."""

    job: Job
    decision: Decision
    licenses: tuple[DecidedLicense, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decider:
    """How each item of a run is decided.

    Attributes:
        destination: a folder, or an archive.
        shown: the short digests of the decisions that the operator saw; None when nobody looked.
        with_reason: whether a finding is accepted only with a reason.
    """

    destination: Destination
    shown: Container[int] | None
    with_reason: bool

    def decide(self, db: Reading, job: Job) -> Decision:
        """The decision, when it is the one that was shown, and nothing is missing for it.

        Where nothing is left to be issued, somebody else was first, and that is as good.

        Raises:
            RegistryChanged: (`registry_changed`) when it is another one.
            ConsentNeeded: (`consent_needed`) when a finding was not accepted.
            IssuerError: whatever the job itself raises.
        """
        decision = job.decide(db)
        if decision.proposals and not self._was_shown(job, decision):
            raise RegistryChanged(
                "it would now be decided otherwise than it was shown; nothing was issued for it",
                hint="run the command again and look at what it shows now",
            )
        for each in decision.proposals:
            require(each.findings, job.consent, with_reason=self.with_reason)
        return decision

    def ready(
        self, db: Reading, job: Job, signers: Mapping[str, Signer]
    ) -> DecidedItem | Kept | Failed:
        """The same with all that it takes to sign, or the outcome where nothing is to be signed.

        Raises:
            IssuerError: what stands in the way of all items (`OF_ALL`).
        """
        try:
            decision = self.decide(db, job)
            licenses = tuple(self._to_issue(each, job, signers) for each in decision.proposals)
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        if not licenses:
            return Kept(job=job, decision=decision)
        return DecidedItem(job=job, decision=decision, licenses=licenses)

    def _was_shown(self, job: Job, decision: Decision) -> bool:
        return self.shown is None or shortened(digest(job, decision)) in self.shown

    def _to_issue(
        self, proposal: Proposal, job: Job, signers: Mapping[str, Signer]
    ) -> DecidedLicense:
        signer = signers.get(proposal.key.kid)
        if signer is None:
            raise RegistryChanged(
                f"another key was chosen to sign meanwhile; nothing was issued for {job.place}",
                hint="run the command again",
            )
        path = self.destination.free_target(proposal)
        return DecidedLicense(proposal=proposal, signer=signer, path=path)


def independent_prefix(
    jobs: Iterable[Job], ready: Callable[[Job], DecidedItem | Kept | Failed]
) -> list[DecidedItem | Kept | Failed]:
    """The first of these jobs, at least one, of which none rests on what another writes.

    A license that follows one of the same customer, for the same machine, concerns nobody else.
    What adds a customer or a machine may change anybody's findings, so it is alone. What writes
    nothing may rest on anything, so it comes before the first that writes; where it comes later
    it is decided again, once that is written.
    """
    found: list[DecidedItem | Kept | Failed] = []
    concerned: set[int] = set()
    for job in jobs:
        each = ready(job)
        whose = _concerned(each) if isinstance(each, DecidedItem) else set[int]()
        if concerned and (not whose or not concerned.isdisjoint(whose)):
            break
        found.append(each)
        if whose is None:
            break
        concerned |= whose
    return found


def _concerned(ready: DecidedItem) -> set[int] | None:
    """The customers whom an item concerns; None when it may concern anybody."""
    customers: set[int] = set()
    for each in ready.licenses:
        proposal = each.proposal
        machine = proposal.machine
        if isinstance(proposal.customer, NewCustomer) or proposal.document is not None:
            return None
        if machine is not None and (machine.known is None or machine.changed):
            return None
        customers.add(proposal.customer.id)
    return customers
