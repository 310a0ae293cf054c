"""Issue many items in groups: one COMMIT and two syncs for a group.

A group follows the one protocol (`registry.change`), and its items are compared individually:

1. Decide the items on a snapshot, and close it.
2. Sign, and verify our own bytes with the pinned key. No transaction is open meanwhile.
3. `BEGIN IMMEDIATE`. Decide an item again if another command or an earlier item wrote rows that it
   may depend on. An item that needs nothing any more is kept. An item with a different decision
   ends the transaction and is signed again.
4. Write license, outbox and journal rows, then the temporary files next to their targets. Sync the
   files together, then `COMMIT` once.
5. Link each file to its name and sync the folder. Only then are its items acknowledged. The next
   transaction clears the outbox.

A failed item does not affect the others. A crash loses nothing that was acknowledged. Committed
licenses that were not delivered are delivered from the registry by the next command, and never
signed again.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Final

from polygent_issuer.batch.items import (
    OF_ALL,
    REVIEW,
    DecidedItem,
    Done,
    Failed,
    Group,
    Job,
    Kept,
    Outcome,
    SignedItem,
    ToIssue,
    decide_job,
    digest,
    read_ahead,
    shortened,
)
from polygent_issuer.errors import HomeProblem, IssuerError, OutputProblem, RegistryChanged
from polygent_issuer.files.publication import BatchPublication
from polygent_issuer.findings import Finding, require
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.signing import Issued, delivery_failed, record_issue, sign
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import (
    Actor,
    Reading,
    Registry,
    Writing,
    change,
    licenses,
)

MAX_GROUP_SIZE: Final = 256
"""The maximum number of items of one COMMIT."""
_SIGNING: Final = 1.0
"""Seconds after which a smaller group is written, since tokens are slow."""
_WRITING: Final = 0.14
"""Seconds of the write lock for rows; files and syncs included, it lasts at most 250 ms."""
_TRIES: Final = 3
"""The number of times that an item is signed again after a different decision; then it fails."""


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
            unlock: returns the signers, by kid, of all keys that may be needed. It is called once,
                outside any transaction, and only if there is something to sign.
            destination: a folder, in which each license has its own name, or an archive, which the
                caller finishes afterwards (`bundle`).
            stopped: called after each item; True ends the batch after the present group.
            with_reason: whether accepting a finding needs a reason.
            review: the digest of the preview that the operator named. The journal records it, so
                that an interrupted run can be continued with the same digest.
        """
        if destination.folder is None:
            raise ValueError("a batch goes into a folder or an archive")
        self._registry = registry
        self._unlock = unlock
        self._signers: Mapping[str, Signer] = {}
        self._folder = destination.folder
        self._into_bundle = outbox_delivery.is_bundle(str(destination.folder))
        # The caller checks that the path of an archive is free.
        self._target = destination.target if self._into_bundle else destination.free_target
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
        """Carry out the jobs in their order; yield each outcome when it is durable.

        Args:
            jobs: an iterator that is read while no transaction is open.
            shown: the short digests of the decisions that the operator saw. A job with another
                decision fails with `registry_changed`.

        Raises:
            IssuerError: the registry, the disk or the key failed, which affects all items.
                Acknowledged items stay; nothing else is issued.
        """
        self._shown = shown
        with self._registry.reading() as db:
            pending = change.pending_of(db, self._actor.home)
        if pending:  # if nothing is issued, no group delivers it
            change.finish(self._registry, self._begin, now=self._now, actor=self._actor)
        jobs = iter(jobs)
        while not self._stopped() and (chunk := list(islice(jobs, MAX_GROUP_SIZE))):
            yield from self._run_group(chunk)
        if self._delivered:
            with suppress(HomeProblem):  # the next command repeats it
                change.clear_delivered(
                    self._registry, self._delivered, now=self._now, actor=self._actor
                )

    def _run_group(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Carry out these jobs, in one transaction or several."""

        def decide(db: Reading) -> list[DecidedItem]:
            read_ahead(db, jobs)
            return [self._decide(db, job) for job in jobs]

        decided = change.decide(self._registry, decide, now=self._now, actor=self._actor)
        if self._behind is None:
            self._behind = decided.behind
        group = Group(decided=replace(decided, behind=self._behind), unsigned=decided.decision)
        while group.unsigned and not isinstance(first := group.unsigned[0], ToIssue):
            # Outcomes before the first item to issue need no key.
            yield first
            del group.unsigned[0]
        if group.unsigned and not self._signers:
            self._signers = self._unlock()
        tries = 0
        while group.signed or group.unsigned:
            self._sign_group(group)
            outcomes, changed = self._write_group(group)
            yield from outcomes
            if changed is not None:
                tries = 1 if outcomes else tries + 1
                if tries <= _TRIES:
                    (group.signed[0],) = self._sign_items([changed])
                else:
                    del group.signed[0]
                    yield Failed(job=changed.job, error=_changed())
            if self._stopped():
                return

    def _decide(self, db: Reading, job: Job) -> DecidedItem:
        """Decide an item; return its outcome if there is nothing to issue.

        If another command has issued it meanwhile, the item is kept.

        Raises:
            IssuerError: an error that affects all items (`OF_ALL`).
        """
        try:
            decision = decide_job(db, job)
            if not decision.proposals:
                return Kept(job=job, decision=decision)
            if self._shown is not None and shortened(digest(job, decision)) not in self._shown:
                raise _changed()
            for proposal in decision.proposals:
                require(proposal.findings, job.consent, with_reason=self._with_reason)
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        return ToIssue(job=job, decision=decision)

    def _sign_group(self, group: Group) -> None:
        """Do step 2 for as many items as time allows."""
        together = max((signer.at_once for signer in self._signers.values()), default=1)
        until = monotonic() + _SIGNING
        while group.unsigned:
            group.signed += self._sign_items(group.unsigned[:together])
            del group.unsigned[:together]
            if monotonic() > until or self._stopped():
                return

    def _sign_items(self, items: Sequence[DecidedItem]) -> Iterator[SignedItem]:
        """Sign items together; yield each, or the error that prevents it.

        Raises:
            KeyUnavailable: the key failed, which affects all items.
        """
        prepared = [*map(self._paths, items)]
        ready = (each for each in prepared if not isinstance(each, IssuerError))
        issued = iter(sign(chain.from_iterable(ready), self._signers))
        for item, each in zip(items, prepared, strict=True):
            if isinstance(each, IssuerError):
                yield item, each
            else:
                yield item, tuple(islice(issued, len(each)))

    def _paths(self, item: DecidedItem) -> list[tuple[Proposal, Path | None]] | IssuerError:
        """Return the licenses of an item with the paths of their files, or what prevents them."""
        proposals = item.decision.proposals if isinstance(item, ToIssue) else ()
        if not all(proposal.key.kid in self._signers for proposal in proposals):
            return RegistryChanged(
                "the active signing key changed during the run; nothing was issued for "
                f"{item.job.place}",
                hint="run the command again",
            )
        try:
            return [(proposal, self._target(proposal)) for proposal in proposals]
        except OutputProblem as problem:
            return problem

    def _write_group(self, group: Group) -> tuple[list[Outcome], ToIssue | None]:
        """Do steps 3 to 5 for the first items of a group, and remove them from it.

        Returns:
            Their outcomes, and the next item if its decision changed.
        """
        staged = None if self._into_bundle else BatchPublication(self._folder, self._prefix)

        def write(db: Writing, as_decided: bool) -> tuple[list[Outcome], ToIssue | None]:  # noqa: FBT001
            self._begin(db)
            group.affects_all = group.affects_all or not as_decided
            outcomes, changed = self._write_rows(db, group)
            if staged is not None:
                for outcome in outcomes:
                    for issued in outcome.issued if isinstance(outcome, Done) else ():
                        if issued.path is not None:
                            staged.prepare(issued.file, issued.path.name)
                staged.sync()
            group.decided = replace(group.decided, head=db.head())
            return outcomes, changed

        try:
            outcomes, changed = change.carry_out_items(group.decided, write)
        except BaseException:
            if staged is not None:
                staged.discard()
            raise
        del group.signed[: len(outcomes)]
        return outcomes if staged is None else self._deliver(outcomes, staged), changed

    def _begin(self, db: Writing) -> None:
        """Begin a write; the first one also removes what an earlier crash left."""
        if self._first:
            outbox_delivery.deliver_pending(db, self._prefix)
            if not self._into_bundle:
                outbox_delivery.sweep(db, self._folder, self._prefix)
            self._first = False
        change.clear_pending(db, *self._delivered)
        self._delivered.clear()

    def _write_rows(self, db: Writing, group: Group) -> tuple[list[Outcome], ToIssue | None]:
        """Do steps 3 and 4 until the time is over, or an item has to be signed again."""
        outcomes: list[Outcome] = []
        until = monotonic() + _WRITING
        ready = (issued for _, issued in group.signed if not isinstance(issued, IssuerError))
        ids = (each.proposal.license.jti for each in chain.from_iterable(ready))
        licenses.read_ahead_new(db, ids)
        for signed, issued in group.signed:
            item = self._decide(db, signed.job) if group.may_affect(signed) else signed
            if not isinstance(item, ToIssue):
                outcomes.append(item)
            elif item is signed or _is_as_signed(item, signed):
                outcomes.append(self._write_item(db, item, issued))
                if isinstance(outcomes[-1], Done):
                    group.note(item)
            else:
                return outcomes, item
            if monotonic() > until:
                break
        return outcomes, None

    def _write_item(
        self, db: Writing, item: ToIssue, signed: tuple[Issued, ...] | IssuerError
    ) -> Done | Failed:
        """Write the rows of an item, which fails alone if they are refused."""
        job, decision = item.job, item.decision
        if isinstance(signed, IssuerError):
            return Failed(job=job, error=signed)
        issued = tuple(map(_with_proposal, signed, decision.proposals))
        particulars = None
        if self._review is not None:
            as_digest = digest(job, decision).hex()
            particulars = {REVIEW: {"digest": self._review, "decision": as_digest}}
        try:
            with db.part():
                for license_ in issued:
                    record_issue(db, license_, job.consent, extra_details=particulars)
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        return Done(job=job, issued=issued, note=decision.note)

    def _deliver(self, outcomes: list[Outcome], staged: BatchPublication) -> list[Outcome]:
        """Do step 5; a file that could not be linked is written once more, else reported."""
        failed = staged.publish()
        return [
            self._deliver_item(outcome, failed) if isinstance(outcome, Done) else outcome
            for outcome in outcomes
        ]

    def _deliver_item(self, done: Done, unpublished: Container[str]) -> Done | Failed:
        problems: dict[str, OutputProblem] = {}
        for issued in done.issued:
            license_id = issued.proposal.license.jti
            try:
                if issued.path is not None and issued.path.name in unpublished:
                    # Another command may have delivered it and removed the temporary file.
                    outbox_delivery.write(issued.file, issued.path, license_id, self._prefix)
            except OutputProblem as problem:
                problems[license_id] = problem
            else:
                self._delivered.append(license_id)
        if not problems:
            return done
        return Failed(job=done.job, error=delivery_failed(problems), issued=done.issued)


def _is_as_signed(item: ToIssue, signed: DecidedItem) -> bool:
    """Return whether an item has the decision that was signed, except for the license ID."""
    return (
        isinstance(signed, ToIssue)
        and digest(item.job, item.decision) == digest(signed.job, signed.decision)
        and _replaces(item) == _replaces(signed)
    )


def _with_proposal(signed: Issued, proposal: Proposal) -> Issued:
    """Return the signed license with the proposal of its newest decision."""
    if signed.proposal is proposal:
        return signed
    return replace(signed, proposal=replace(proposal, license=signed.proposal.license))


def _replaces(item: ToIssue) -> list[tuple[str, ...]]:
    return [proposal.license.replaces for proposal in item.decision.proposals]


def _changed() -> RegistryChanged:
    return RegistryChanged(
        "the registry changed after the preview; nothing was issued for this item",
        hint="run the command again and check the new preview",
    )
