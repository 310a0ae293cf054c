"""Preview of a batch: each item decided in order, all of them counted, and one digest.

The digest is of decisions and dates, never of ids or the instant of issue: what was reviewed today
can be compared with what would be done tomorrow.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Final

from polygent_issuer.batch.outcomes import OF_ALL, Decision, Job, read_ahead
from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Consent, Finding
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.registry import Reading, Registry, journal

if TYPE_CHECKING:
    from hashlib import _Hash

REVIEW: Final = "review"
"""The particular of a journal row that names the digest of the review, and of the decision."""
_OF_ONE_RUN: Final = frozenset({"jti", "iat", "replaces"})


def digest(job: Job, decided: Decision | str) -> bytes:
    """The digest of what one item of a batch would do, 32 bytes.

    Args:
        decided: the decision, or the code of the error that it ends with.
    """
    if isinstance(decided, str):
        what: Sequence[object] = ["failed", decided]
    elif decided.proposals:
        what = [_said(proposal, job.own) for proposal in decided.proposals]
    else:
        what = ["keep"]
    said = json.dumps([job.subject, *what], sort_keys=True, separators=(",", ":"))
    return sha256(said.encode()).digest()


def shortened(digest: bytes) -> int:
    """Its first 64 bits: enough to tell that a decision is still the same."""
    return int.from_bytes(digest[:8], "big")


def _said(proposal: Proposal, own: Consent) -> Sequence[object]:
    """What is new, what it takes the place of, and what an item's own consent would let pass."""
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
    ]


_CHUNK: Final = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewItem:
    """What would be done for one item, or why nothing can be.

    Attributes:
        before: the digest of what a run that broke off has done for it, under the same review.
    """

    job: Job
    decision: Decision
    error: IssuerError | None = None
    before: bytes | None = None

    @property
    def digest(self) -> bytes:
        """The digest of what would be done, 32 bytes."""
        return digest(self.job, self.error.code if self.error else self.decision)

    @property
    def missing(self) -> tuple[Finding, ...]:
        """The findings that nobody accepted for it yet."""
        found = (finding for each in self.decision.proposals for finding in each.findings)
        return self.job.consent.missing(found)


def preview(
    registry: Registry, jobs: Iterable[Job], *, resumed: str | None = None
) -> Iterator[PreviewItem]:
    """Decide each job on what the registry holds now; nothing is written.

    Args:
        jobs: no transaction may be open while they are drawn.
        resumed: the digest of a review whose run may have broken off.
    """
    jobs = iter(jobs)
    while chunk := list(islice(jobs, _CHUNK)):
        items = []
        with registry.reading() as db:
            read_ahead(db, chunk)
            for job in chunk:
                try:
                    decision = job.decide(db)
                except OF_ALL:
                    raise
                except IssuerError as error:
                    items.append(PreviewItem(job=job, decision=Decision(), error=error))
                else:
                    before = _before(db, decision, resumed) if resumed else None
                    items.append(PreviewItem(job=job, decision=decision, before=before))
        yield from items


def _before(db: Reading, decision: Decision, review: str) -> bytes | None:
    """What the journal says that a run of this review decided for a license that is kept."""
    if decision.kept is None:
        return None
    issue = journal.issue_of(db, decision.kept)
    found = issue.details.get(REVIEW) if issue is not None else None
    if issue is None or not isinstance(found, dict) or found.get("digest") != review:
        return None
    try:
        return bytes.fromhex(found["decision"])
    except (LookupError, TypeError, ValueError):
        raise db.damaged(f"has a row that cannot be read: journal/{issue.seq}") from None


@dataclass(kw_only=True, slots=True)
class Preview:
    """Adds up the items of `preview`.

    Attributes:
        actions: how many licenses would be issued, by action; items that are kept, and refused.
        missing: how many items each finding stops, by its code.
        ready: how many licenses would be issued with the consents that there are.
        shown: the short digests of the items, as `BatchRunner.outcomes` takes them.
    """

    actions: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    ready: int = 0
    shown: set[int] = field(default_factory=set)
    _whole: "_Hash" = field(default_factory=sha256)

    def add(self, item: PreviewItem) -> None:
        """Count one more."""
        self._whole.update(item.before or item.digest)
        self.shown.add(shortened(item.digest))
        if item.error is not None:
            self.actions["refused"] += 1
        elif not item.decision.proposals:
            self.actions["keep"] += 1
        for proposal in item.decision.proposals:
            self.actions[str(proposal.action)] += 1
        self.missing.update({str(finding.code) for finding in item.missing})
        if not item.missing:
            self.ready += len(item.decision.proposals)

    @property
    def issues(self) -> int:
        """How many licenses would be issued, if everything were accepted."""
        return sum(n for word, n in self.actions.items() if word not in ("keep", "refused"))

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all items, lower-case hex."""
        return self._whole.hexdigest()
