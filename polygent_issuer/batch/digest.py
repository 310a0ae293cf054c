"""What was decided, as a digest: decisions and dates, never ids or the instant of issue.

Two runs over the same registry and file give the same digest, so what was reviewed today can be
held against what would be done tomorrow.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from polygent_issuer.batch.outcomes import Decision, Job
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.proposal import Proposal

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
