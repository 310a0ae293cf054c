"""What `sign`, `renew` and `reissue` of one give back: what would be issued, or what was."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.issue_json import issued_json, proposal_json
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.proposal_view import fields, preview
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun(Result):
    """What would be issued; nothing was."""

    proposals: tuple[Proposal, ...]
    settings: Settings
    given: Consent

    def to_json(self) -> Mapping[str, Any]:
        """`licenses` as they would be, `dry_run` true."""
        licenses = [proposal_json(proposal, self.settings) for proposal in self.proposals]
        return {"dry_run": True, "licenses": licenses}

    def blocks(self) -> Iterable[Block]:
        """The preview, its findings, and that nothing happened."""
        yield from preview(self.proposals, self.settings)
        findings = [finding for each in self.proposals for finding in each.findings]
        for finding in findings:
            yield Line(f"{finding.code}: {finding.message}", "warn")
        codes = sorted({finding.code for finding in self.given.missing(findings)})
        if codes:
            flags = " ".join(f"--accept {code}" for code in codes)
            yield Line(f"it would need {flags} --reason TEXT, or a yes on a terminal", "warn")
        yield Line("dry run: nothing was issued", "dim")


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedReport(Result):
    """What was issued, and what the operator does next.

    Attributes:
        drafts: the mail drafts, by the ID of the license.
    """

    issued: tuple[Issued, ...]
    drafts: Mapping[str, tuple[Path, ...]]
    settings: Settings
    accepted: Consent
    to_stderr: bool

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout carries the license file itself."""
        return self.to_stderr

    def to_json(self) -> Mapping[str, Any]:
        """`licenses`, each with its `file` and `drafts`."""
        return {
            "dry_run": False,
            "licenses": [
                issued_json(
                    each,
                    self.settings,
                    drafts=self.drafts[each.proposal.license.jti],
                    agreed=self.accepted,
                )
                for each in self.issued
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """For each license: what, old → new, the file, until when to upload; what to do next."""
        for each in self.issued:
            license_id = each.proposal.license.jti
            yield Line(f"{each.proposal.action.done} license {license_id}", "good")
            yield fields(
                each.proposal,
                self.settings,
                file=str(each.path or "stdout"),
                drafts=self.drafts[license_id],
            )
            for note in each.proposal.notes:
                yield Line(note, "dim", 1)
        ids = " ".join(each.proposal.license.jti[:8] for each in self.issued)
        yield Line(f"once mailed: polygent-issue license sent {ids}", "dim")
