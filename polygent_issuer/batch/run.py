"""Many items, each by itself, issued in groups: one COMMIT and two syncs for a group.

For each group, as for a single issue (DESIGN, "An issue"):

1. `BEGIN IMMEDIATE`, and decide each item on what the registry holds by then.
2. Sign, and verify our own bytes with the pinned key.
3. License, outbox and journal rows; then temporary files beside their targets, made durable
   together.
4. One `COMMIT` for the whole group.
5. Link each file to its name, sync the folder; only now its items are acknowledged.

An item that fails leaves the others alone. A crash loses nothing that was acknowledged, and what
it kept back of a group is delivered from the registry by the next command, never signed again.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Final

from polygent_issuer import files
from polygent_issuer.batch.decisions import Decider
from polygent_issuer.batch.group import Group
from polygent_issuer.batch.outcomes import OF_ALL, Done, Failed, Job, Kept, Outcome
from polygent_issuer.errors import HomeProblem, IssuerError, OutputProblem
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.destination import Destination
from polygent_issuer.issuing.signing import undelivered
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Actor, Registry, Writing, outbox

MAX_GROUP_SIZE: Final = 256
"""Items of one COMMIT, at most."""
_PATIENCE: Final = 1.0
"""Seconds after which a group is closed with fewer: tokens are slow, and others wait meanwhile."""


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
        self._registry = registry
        self._unlock = unlock
        self._signers: Mapping[str, Signer] = {}
        if destination.folder is None:
            raise ValueError("a batch goes into a folder or an archive")
        self._deciding = Decider(destination=destination, shown=None, with_reason=with_reason)
        self._folder = destination.folder
        self._into_bundle = outbox_delivery.is_bundle(str(destination.folder))
        self._now = now
        self._actor = actor
        self._stopped = stopped
        self._review = review
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
        self._deciding = replace(self._deciding, shown=shown)
        self._recover()
        jobs, waiting = iter(jobs), list[Job]()
        while not self._stopped() and (waiting := waiting or list(islice(jobs, MAX_GROUP_SIZE))):
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
                    decision = self._deciding.decide(db, job)
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
        try:
            with self._registry.writing(now=self._now, actor=self._actor) as db:
                self._begin(db)
                group = Group(
                    db, self._deciding, signers=self._signers, staged=staged, review=self._review
                )
                until = monotonic() + _PATIENCE
                outcomes = group.issue(jobs, lambda: monotonic() > until or self._stopped())
        except BaseException:
            if staged is not None:
                staged.discard()
            raise
        return outcomes if staged is None else self._deliver(outcomes, staged)

    def _begin(self, db: Writing) -> None:
        """What every write begins with; the sweep is for what a crash left long before."""
        if self._first:
            outbox_delivery.deliver_pending(db, self._prefix)
            if not self._into_bundle:
                files.sweep(self._folder, self._prefix)
            self._first = False
        outbox.clear(db, *self._delivered)
        self._delivered.clear()

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
                    outbox_delivery.write(each.file, each.path, license_id, self._prefix)
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
                outbox.clear(db, *self._delivered)
