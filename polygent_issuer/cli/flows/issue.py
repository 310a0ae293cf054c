"""Issue first and later licenses: decide, show, ask, unlock the key, publish, report."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.common import read_document
from polygent_issuer.cli.options.issue import FirstOptions, IssueOptions, NextOptions, parse_changes
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Block, Line
from polygent_issuer.cli.output.proposal import fields, issued_json, preview, proposal_json, written
from polygent_issuer.cli.output.result import Report
from polygent_issuer.cli.prompts import confirm_or_cancel, obtain_consent
from polygent_issuer.errors import UnreadableInput, UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.first_license import (
    FirstLicenseRequest,
    new_customer,
    owner_of_machine,
    propose_first,
    resolve_customer,
)
from polygent_issuer.issuing.next_license import RenewalRequest, propose_renewals
from polygent_issuer.issuing.outbox_delivery import choose_destination
from polygent_issuer.issuing.proposal import Action, Proposal, require_order_id
from polygent_issuer.issuing.signing import Issued, choose_key, proposals_of, publish
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Customer, Reading, customers
from polygent_issuer.terms.parsing import Plan
from polygent_issuer.text import Hint, run
from polygent_issuer.verifier import Tier

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


_NO_DOCUMENT: Final = "none"
_CHECK_PATH: Final = "check the path and its permissions"


def issue_first(invocation: Invocation, options: FirstOptions) -> Report:
    """Sign a first license; prompt for missing values at a terminal."""
    customer = options.customer
    changes = parse_changes(invocation.settings, options.terms)
    require_order_id(changes, invocation.settings)  # before any question
    document = read_document(options.machine_info)
    passphrase = options.passphrases.source(invocation)
    known = _owner(invocation, document, options)
    tier, unlocked = changes.implied_tier, dict[str, Signer]()
    asks_file = document is None and tier is not Tier.ENTERPRISE and invocation.interactive
    if asks_file or (known is None and not (customer and changes.plan)):
        unlocked = _unlock_before_questions(invocation, options.issue, passphrase)
    if asks_file:
        document = _ask_document(required=tier is Tier.STANDARD)
        known = _owner(invocation, document, options)
    named, claimed = (customer, False) if customer or known else _ask(invocation, document)
    if changes.plan is None and known is None and invocation.interactive:
        tier = tier or (Tier.STANDARD if document else Tier.ENTERPRISE)
        changes = replace(changes, plan=_ask_plan(invocation.settings, tier))
    settings, now, license_id = invocation.settings, invocation.now, invocation.new_id()
    request = FirstLicenseRequest(
        customer=named,
        claimed=claimed,
        slug=options.slug,
        document=document,
        label=options.label,
        plan=changes.plan or settings.plan_for(changes.tier),
        changes=changes,
        key=options.issue.key,
    )

    def decide(db: Reading) -> tuple[Proposal, ...]:
        return (propose_first(db, request, settings=settings, now=now, license_id=license_id),)

    return _issue(invocation, decide, options, passphrase, unlocked)


def issue_next(invocation: Invocation, action: Action, name: str, options: NextOptions) -> Report:
    """Renew or reissue licenses of one customer, all or nothing."""
    settings, now, selection = invocation.settings, invocation.now, options.selection
    changes = parse_changes(settings, options.terms)
    document = read_document(selection.machine_info)
    customer = invocation.customer(name, whole=True)
    selection.check(1)
    request = RenewalRequest(
        action=action,
        customer=customer.slug,
        license_ids=tuple(selection.license_ids or ()),
        machine=selection.machine,
        all_machines=selection.all_machines,
        document=document,
        changes=changes,
        key=options.issue.key,
    )

    @cache  # a second decision has the same IDs
    def id_after(_replaced: str) -> str:
        return invocation.new_id()

    def decide(db: Reading) -> tuple[Proposal, ...]:
        return propose_renewals(db, request, settings=settings, now=now, id_after=id_after)

    passphrase = options.passphrases.source(invocation)
    return _issue(invocation, decide, options, passphrase)


def _unlock_before_questions(
    invocation: Invocation, options: IssueOptions, passphrase: Passphrase
) -> dict[str, Signer]:
    """Unlock the key at a terminal, since one that cannot be used would lose the answers."""
    if not invocation.interactive or options.dry_run:
        return {}
    with invocation.registry.reading() as db:
        key = choose_key(db, options.key)
    return invocation.signers_of([key], passphrase)


def _owner(
    invocation: Invocation, document: "ReceivedDocument | None", options: FirstOptions
) -> Customer | None:
    """Return the owner of the document's machine; refuse a wrong slug or key before any prompt."""
    named, slug = options.customer, options.slug
    with invocation.registry.reading() as db:
        if invocation.interactive:
            choose_key(db, options.issue.key)
        known = owner_of_machine(db, document)
        if slug is not None and (named or known):
            resolve_customer(db, named, document, claimed=False, slug=slug)
        elif slug is not None:
            customers.require_free_slug(db, slug)
        return known


def _ask(invocation: Invocation, document: "ReceivedDocument | None") -> tuple[str | None, bool]:
    """Return the customer, and whether only the document names it."""
    proposed = document.info.customer if document else None
    if not invocation.interactive:
        return proposed, True

    def check(answer: str) -> None:
        with invocation.registry.reading() as db:
            new_customer(db, answer)

    return prompts.text("customer", default=proposed, check=check), False


def _ask_document(*, required: bool) -> "ReceivedDocument | None":
    """Prompt for a machine-info file, and read it; an enterprise license needs none."""

    def read(answer: str) -> "ReceivedDocument | None":
        if answer == _NO_DOCUMENT and not required:
            return None
        path = os.path.expanduser(answer.strip())  # noqa: PTH111  # leaves ~unknown as it is
        try:
            return read_document(str(Path(path).absolute()))  # - is a file here, not stdin
        except UnreadableInput as unreadable:
            raise UnreadableInput(unreadable.message, hint=_CHECK_PATH) from None

    question = "machine-info file"
    if not required:
        question += f" ({_NO_DOCUMENT} for an enterprise license)"
    return read(prompts.text(question, check=read, what="path"))


def _ask_plan(settings: Settings, tier: Tier) -> Plan:
    """Prompt for a plan of the tier, if there are several.

    Raises:
        NotFound: (`not_found`) no plan has the tier.
    """
    fitting = [name for name, each in settings.plans.items() if each.tier is tier]
    default = fitting[0] if len(fitting) == 1 else settings.plan_for(tier).name
    return settings.plan(prompts.choice("plan", fitting, default=default))


def _issue(
    invocation: Invocation,
    decide: Callable[[Reading], tuple[Proposal, ...]],
    options: FirstOptions | NextOptions,
    passphrase: Passphrase,
    unlocked: Mapping[str, Signer] = MappingProxyType({}),
) -> Report:
    """Decide, show, obtain consent, sign and deliver; all prompts come before signing."""
    settings, issue_options = invocation.settings, options.issue
    consent = options.consents.parse()
    invocation.warn_of_default_issuer()
    decided = invocation.decide(decide)
    proposals = proposals_of(decided)
    if issue_options.output == "-" and invocation.as_json:
        raise UsageProblem("--json and --output - both use stdout", hint="--output FILE")
    destination = choose_destination(issue_options.output, settings.output, result.write_bytes)
    destination.check(proposals)
    mail = None if issue_options.eml is None else drafter(invocation, issue_options.eml)
    if issue_options.dry_run:
        return _dry_run(proposals, settings, consent)
    if invocation.interactive:
        result.write_blocks(preview(proposals, settings), sys.stderr)
    findings = [finding for proposal in proposals for finding in proposal.findings]
    keys = [each.key for each in proposals]
    if invocation.interactive and consent.missing(findings):  # a wrong PIN would lose the reason
        unlocked = invocation.signers_of(keys, passphrase, unlocked)
    agreed = obtain_consent(invocation, findings, consent)
    confirm_or_cancel(invocation, "go ahead?", yes=issue_options.yes, default=True)
    signers = invocation.signers_of(keys, passphrase, unlocked)
    issued = publish(decided, signers=signers, consent=agreed, destination=destination)
    invocation.seal_at_end(signers)
    drafts = {} if mail is None else mail.write(each.proposal.license.jti for each in issued)
    return _report(
        issued,
        drafts,
        settings,
        agreed=agreed,
        to_stderr=destination.folder is None,
        shown=invocation.interactive,
    )


def _dry_run(proposals: Sequence[Proposal], settings: Settings, consent: Consent) -> Report:
    findings = [finding for each in proposals for finding in each.findings]
    blocks = [*preview(proposals, settings)]
    blocks += (Line(f"{finding.code}: {finding.message}", "warn") for finding in findings)
    if codes := sorted({finding.code for finding in consent.missing(findings)}):
        flags = " ".join(f"--accept {code}" for code in codes)
        blocks.append(Line(f"consent needed: {flags} --reason TEXT, or yes at a terminal", "warn"))
    blocks.append(Line("dry run: nothing was issued", "dim"))
    licenses = [proposal_json(each, settings) for each in proposals]
    return Report({"dry_run": True, "licenses": licenses}, blocks)


def _report(
    issued: Sequence[Issued],
    drafts: Mapping[str, tuple[Path, ...]],
    settings: Settings,
    *,
    agreed: Consent,
    to_stderr: bool,
    shown: bool,
) -> Report:
    """Return each license with its file, and the next step; `shown` omits repeated terms."""
    licenses: list[Mapping[str, Any]] = []
    blocks: list[Block] = []
    for each in issued:
        proposal, file = each.proposal, str(each.path or "stdout")
        mails = drafts.get(proposal.license.jti, ())
        licenses.append(issued_json(each, settings, drafts=mails, agreed=agreed))
        blocks.append(Line(f"{proposal.action.done} license {proposal.license.jti}", "good"))
        if shown:
            blocks.append(written(file, mails))
            continue
        blocks.append(fields(proposal, settings, file=file, drafts=mails))
        blocks += (Line(note, "dim", 1) for note in proposal.notes)
    sent = run("license", "sent", *(each.proposal.license.jti[:8] for each in issued))
    blocks.append(Line(Hint("after sending it: ", sent), "dim"))
    members = {"dry_run": False, "licenses": licenses}
    return Report(members, blocks, text_to_stderr=to_stderr)
