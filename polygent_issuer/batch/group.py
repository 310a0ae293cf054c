"""The items of one group, from their decisions to their rows, within one transaction."""

from collections.abc import Callable, Mapping, Sequence

from polygent_issuer import files
from polygent_issuer.batch.decisions import DecidedItem, Decider, independent_prefix
from polygent_issuer.batch.digest import REVIEW, digest
from polygent_issuer.batch.outcomes import OF_ALL, Done, Failed, Job, Kept, Outcome
from polygent_issuer.errors import IssuerError
from polygent_issuer.issuing import signing
from polygent_issuer.issuing.signing import Issued, sign
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Writing

_Signed = tuple[DecidedItem | Kept | Failed, tuple[Issued, ...]]


class Group:
    """Steps 1 to 3 of a run (`batch.run`)."""

    def __init__(
        self,
        db: Writing,
        deciding: Decider,
        *,
        signers: Mapping[str, Signer],
        staged: files.Together | None,
        review: str | None,
    ) -> None:
        """Issue within a transaction.

        Args:
            signers: by kid.
            staged: takes the temporary files; None for an archive.
            review: the digest that the journal keeps.
        """
        self._db = db
        self._deciding = deciding
        self._signers = signers
        self._staged = staged
        self._review = review

    def issue(self, jobs: Sequence[Job], enough: Callable[[], bool]) -> list[Outcome]:
        """The outcomes of the first of these jobs, if all goes well with the COMMIT.

        Args:
            enough: asked after each item; True closes the group with the items in hand.

        Raises:
            IssuerError: what stands in the way of all; nothing of the group is issued.
        """
        outcomes: list[Outcome] = []
        closed = False
        while not closed and len(outcomes) < len(jobs):
            decided = independent_prefix(jobs[len(outcomes) :], self._ready)
            signed, closed = self._signed(decided, enough)
            written = [self._written(each, issued) for each, issued in signed]
            self._write_files(written)
            outcomes += written
        if self._staged is not None:
            self._staged.sync()
        return outcomes

    def _ready(self, job: Job) -> DecidedItem | Kept | Failed:
        return self._deciding.ready(self._db, job, self._signers)

    def _signed(
        self, decided: Sequence[DecidedItem | Kept | Failed], enough: Callable[[], bool]
    ) -> tuple[list[_Signed], bool]:
        """Step 2; a key that fails stands in the way of all, so that is not caught."""
        signed: list[_Signed] = []
        for each in decided:
            to_issue = each.licenses if isinstance(each, DecidedItem) else ()
            issued = tuple(sign(one.proposal, one.signer, one.path) for one in to_issue)
            signed.append((each, issued))
            if enough():
                return signed, True
        return signed, False

    def _written(self, decided: DecidedItem | Kept | Failed, issued: tuple[Issued, ...]) -> Outcome:
        """Step 3: the rows of an item; where they cannot be kept, it fails alone."""
        if not isinstance(decided, DecidedItem):
            return decided
        job, decision = decided.job, decided.decision
        particulars = {}
        if self._review is not None:
            said = {"digest": self._review, "decision": digest(job, decision).hex()}
            particulars = {REVIEW: said}
        try:
            with self._db.part():
                for each in issued:
                    signing.record_issue(self._db, each, job.consent, particulars=particulars)
        except OF_ALL:
            raise
        except IssuerError as error:
            return Failed(job=job, error=error)
        return Done(job=job, issued=issued, note=decision.note)

    def _write_files(self, written: Sequence[Outcome]) -> None:
        """Step 3: the files of what has its rows."""
        if self._staged is None:
            return
        for outcome in written:
            for each in outcome.issued if isinstance(outcome, Done) else ():
                if each.path is not None:
                    self._staged.prepare(each.file, each.path.name)
