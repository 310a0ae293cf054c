"""Issue one license: show, ask, unlock the key, publish, report."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli import consent, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.issue import IssueOptions
from polygent_issuer.cli.output import result, streams
from polygent_issuer.cli.output.license_fields import issued_json, proposal_json
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.proposal import fields, preview
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.destination import Destination, resolve
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.signing import Issued, proposals_of, publish
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import KeyRecord, Reading


def signers_of(
    invocation: Invocation, keys: Iterable[KeyRecord], passphrase: Passphrase
) -> dict[str, Signer]:
    """The signer of each key, by kid, unlocked; this is where prompts happen.

    Raises:
        KeyUnavailable: each code of custody and of the key store.
    """
    from polygent_issuer.keys.signing import signer_for

    signers: dict[str, Signer] = {}
    for kid, key in {key.kid: key for key in keys}.items():
        signers[kid] = signer_for(
            invocation.settings,
            key,
            passphrase=passphrase,
            timeout=invocation.settings.keyring_timeout,
            warn=invocation.warn,
        )
        invocation.closing.callback(signers[kid].close)
    return signers


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


def carry_out(
    invocation: Invocation,
    decide: Callable[[Reading], tuple[Proposal, ...]],
    how: IssueOptions,
    given: Consent,
    passphrase: Passphrase,
) -> result.Result:
    """Decide, show, obtain consent, sign, deliver; everything that a person is asked comes first.

    Raises:
        IssuerError: whatever stands in the way; nothing is issued then, unless it says so.
    """
    settings = invocation.settings
    tell_default_issuer(invocation)
    decided = invocation.decide(decide)
    proposals = proposals_of(decided)
    destination = _destination(invocation, how.output)
    destination.check(proposals)
    drafts = drafter(invocation, how.eml)
    if how.dry_run:
        return DryRun(proposals=proposals, settings=settings, given=given)
    if invocation.interactive:
        result.write_blocks(preview(proposals, settings), sys.stderr)
    findings = [finding for proposal in proposals for finding in proposal.findings]
    agreed = consent.obtain(invocation, findings, given)
    if invocation.interactive and not how.yes:
        prompts.go_ahead("go ahead?", default=True)
    issued = publish(
        decided,
        signers=signers_of(invocation, [each.key for each in proposals], passphrase),
        consent=agreed,
        destination=destination,
    )
    return IssuedReport(
        issued=issued,
        drafts=drafts.write(each.proposal.license.jti for each in issued),
        settings=settings,
        to_stderr=destination.folder is None,
        accepted=agreed,
    )


def _destination(invocation: Invocation, option: str | None) -> Destination:
    if option == "-" and invocation.as_json:
        raise UsageProblem("--json and --output - both want stdout", hint="--output FILE")
    return resolve(option, invocation.settings.output, streams.write_bytes)


def tell_default_issuer(invocation: Invocation) -> None:
    """Tell whose name licenses will bear while nobody has set one."""
    if invocation.loaded.origins["issuer"].where == "default":
        invocation.warn(
            f"licenses will name {invocation.settings.issuer} as their issuer: "
            "polygent-issue config set issuer NAME"
        )
