"""Many items, each by itself, issued in groups: one COMMIT and two syncs for a group.

For each group, as for a single issue (DESIGN, "An issue"):

1. `BEGIN IMMEDIATE`, and decide each item on what the registry holds by then.
2. Sign, and verify our own bytes with the pinned key.
3. Temporary files beside their targets, made durable together.
4. License, outbox and journal rows of the whole group in one `COMMIT`.
5. Link each file to its name, sync the folder; only now its items are acknowledged.

An item that fails leaves the others alone. A crash loses nothing that was acknowledged, and what
it kept back of a group is delivered from the registry by the next command, never signed again.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Final

from polygent_issuer import files
from polygent_issuer.batch.digest import REVIEW, digest, shortened
from polygent_issuer.batch.outcomes import OF_ALL, Decision, Done, Failed, Job, Kept, Outcome
from polygent_issuer.errors import HomeProblem, IssuerError, OutputProblem, RegistryChanged
from polygent_issuer.findings import require
from polygent_issuer.issuing import keep, recover
from polygent_issuer.issuing.destination import Destination
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.publish import undelivered
from polygent_issuer.issuing.signing import sign
from polygent_issuer.registry import Actor, Reading, Registry, Writing, outbox
from polygent_issuer.signer import Signer

GROUP: Final = 256
"""Items of one COMMIT, at most."""
_PATIENCE: Final = 1.0
"""Seconds after which a group is closed with fewer: tokens are slow, and others wait meanwhile."""


class Run:
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
        self._registry = registry
        self._unlock = unlock
        self._signers: Mapping[str, Signer] = {}
        if destination.folder is None:
            raise ValueError("a batch goes into a folder or an archive")
        self._destination = destination
        self._folder = destination.folder
        self._into_bundle = recover.is_bundle(str(destination.folder))
        self._now = now
        self._actor = actor
        self._stopped = stopped
        self._with_reason = with_reason
        self._review = review
        self._prefix = recover.temp_prefix(registry.id)
        self._shown: Container[int] | None = None
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
        self._recover()
        jobs, waiting = iter(jobs), list[Job]()
        while not self._stopped() and (waiting := waiting or list(islice(jobs, GROUP))):
            if not self._signers:
                idle = self._idle(waiting)
                del waiting[: len(idle)]
                yield from idle
                if not waiting:
                    continue
                self._signers = self._unlock()
            outcomes = self._group(waiting)
            del waiting[: len(outcomes)]
            yield from outcomes
        self._confirm()

    def _recover(self) -> None:
        """Finish what a crash kept back: where nothing is to be issued, no group would do it."""
        with self._registry.reading() as db:
            if not outbox.pending(db):
                return
        with self._registry.writing(now=self._now, actor=self._actor) as db:
            self._begin(db)

    def _idle(self, jobs: list[Job]) -> list[Outcome]:
        """The outcomes before the first job that issues: for them nobody is asked for a key."""
        outcomes: list[Outcome] = []
        with self._registry.reading() as db:
            for job in jobs:
                try:
                    decision = self._decided(db, job)
                except OF_ALL:
                    raise
                except IssuerError as error:
                    outcomes.append(Failed(job=job, error=error))
                else:
                    if decision.proposals:
                        break
                    outcomes.append(Kept(job=job, decision=decision))
        return outcomes

    def _group(self, jobs: list[Job]) -> list[Outcome]:
        """Steps 1 to 5 for the first of these jobs, as many as time allows."""
        staged = None if self._into_bundle else files.Together(self._folder, self._prefix)
        outcomes: list[Outcome] = []
        try:
            with self._registry.writing(now=self._now, actor=self._actor) as db:
                self._begin(db)
                until = monotonic() + _PATIENCE
                for job in jobs:
                    outcomes.append(self._one(db, job, staged))
                    if monotonic() > until or self._stopped():
                        break
                if staged is not None:
                    staged.sync()
        except BaseException:
            if staged is not None:
                staged.discard()
            raise
        return outcomes if staged is None else self._deliver(outcomes, staged)

    def _begin(self, db: Writing) -> None:
        """What every write begins with; the sweep is for what a crash left long before."""
        if self._first:
            recover.deliver(db, self._prefix)
            if not self._into_bundle:
                files.sweep(self._folder, self._prefix)
            self._first = False
        for license_id in self._delivered:
            outbox.clear(db, license_id)
        self._delivered.clear()

    def _one(self, db: Writing, job: Job, staged: files.Together | None) -> Outcome:
        """Steps 1 and 2 of one item, its rows, and its temporary files."""
        try:
            decision = self._decided(db, job)
            ready = [self._ready(each, job) for each in decision.proposals]
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        # A key that fails stands in the way of all, so that is not caught.
        issued = tuple(sign(proposal, signer, path) for proposal, signer, path in ready)
        if not issued:
            return Kept(job=job, decision=decision)
        try:
            with db.part():
                for each in issued:
                    keep.keep(db, each, job.consent, particulars=self._reviewed(job, decision))
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        for each in issued:
            if each.path is not None and staged is not None:
                staged.prepare(each.file, each.path.name)
        return Done(job=job, issued=issued, note=decision.note)

    def _decided(self, db: Reading, job: Job) -> Decision:
        """The decision, when it is the one that was shown, and nothing is missing for it.

        Where nothing is left to be issued, somebody else was first, and that is as good.
        """
        decision = job.decide(db)
        if decision.proposals and not self._was_shown(job, decision):
            raise RegistryChanged(
                "it would now be decided otherwise than it was shown; nothing was issued for it",
                hint="run the command again and look at what it shows now",
            )
        for each in decision.proposals:
            require(each.findings, job.consent, with_reason=self._with_reason)
        return decision

    def _was_shown(self, job: Job, decision: Decision) -> bool:
        return self._shown is None or shortened(digest(job, decision)) in self._shown

    def _ready(self, proposal: Proposal, job: Job) -> tuple[Proposal, Signer, Path | None]:
        """What it takes to sign."""
        signer = self._signers.get(proposal.key.kid)
        if signer is None:
            raise RegistryChanged(
                f"another key was chosen to sign meanwhile; nothing was issued for {job.place}",
                hint="run the command again",
            )
        return proposal, signer, self._destination.free_target(proposal)

    def _reviewed(self, job: Job, decision: Decision) -> dict[str, object]:
        if self._review is None:
            return {}
        return {REVIEW: {"digest": self._review, "decision": digest(job, decision).hex()}}

    def _deliver(self, outcomes: list[Outcome], staged: files.Together) -> list[Outcome]:
        """Step 5; whatever got no name is tried once more by itself, and else told of."""
        unpublished = {each.name: each.problem for each in staged.publish()}
        return [
            self._delivered_or_failed(each, unpublished) if isinstance(each, Done) else each
            for each in outcomes
        ]

    def _delivered_or_failed(
        self, done: Done, unpublished: Mapping[str, OutputProblem]
    ) -> Done | Failed:
        problems = []
        for each in done.issued:
            license_id = each.proposal.license.jti
            try:
                if each.path is not None and each.path.name in unpublished:
                    # Another command may have delivered it and swept the temporary file.
                    recover.write(each.file, each.path, license_id, self._prefix)
            except OutputProblem as problem:
                problems.append(undelivered(license_id, problem))
            else:
                self._delivered.append(license_id)
        return Failed(job=done.job, error=problems[0], issued=done.issued) if problems else done

    def _confirm(self) -> None:
        """Clear the outbox of the last group; when that fails, the next command does it."""
        if self._delivered:
            with (
                suppress(HomeProblem),
                self._registry.writing(now=self._now, actor=self._actor) as db,
            ):
                for license_id in self._delivered:
                    outbox.clear(db, license_id)
