"""What `sign`, `renew` and `reissue` share: show, ask, unlock, publish, report."""

import sys
from collections.abc import Callable

from polygent_issuer.cli import consent, output, prompts, streaming
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.drafts import drafter
from polygent_issuer.cli.issue_options import IssueOptions
from polygent_issuer.cli.issue_view import DryRun, IssuedReport
from polygent_issuer.cli.proposal_view import preview
from polygent_issuer.cli.signers import signers_of
from polygent_issuer.errors import UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.destination import Destination, resolve
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.publish import proposals_of, publish
from polygent_issuer.keystore.passphrases import Passphrase
from polygent_issuer.registry import Reading


def carry_out(
    invocation: Invocation,
    decide: Callable[[Reading], tuple[Proposal, ...]],
    how: IssueOptions,
    given: Consent,
    passphrase: Passphrase,
) -> output.Result:
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
        output.write_blocks(preview(proposals, settings), sys.stderr)
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
    return resolve(option, invocation.settings.output, streaming.write_bytes)


def tell_default_issuer(invocation: Invocation) -> None:
    """Tell whose name licenses will bear while nobody has set one."""
    if invocation.loaded.origins["issuer"].where == "default":
        invocation.warn(
            f"licenses will name {invocation.settings.issuer} as their issuer: "
            "polygent-issue config set issuer NAME"
        )
