"""Preview of a batch: a decision on each item in order, the counts, and one digest.

The digest covers decisions and dates, but neither IDs nor the time of issue. So a preview of today
can be compared with a run of tomorrow.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Final

from polygent_issuer.batch.outcomes import OF_ALL, Decision, Job, decide_job, read_ahead
from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Consent, Finding
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.registry import KeyRecord, LicenseRecord, Reading, Registry, journal, licenses

if TYPE_CHECKING:
    from hashlib import _Hash

REVIEW: Final = "review"
"""The member of a journal row's details with the digests of the preview and of the decision."""
_OF_ONE_RUN: Final = frozenset({"jti", "iat", "replaces"})


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


_CHUNK: Final = 256


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
