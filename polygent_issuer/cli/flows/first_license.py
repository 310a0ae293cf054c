"""What `sign` does: whose license it is, and on which plan, is found out or asked."""

from dataclasses import replace

from polygent_issuer.cli import prompts
from polygent_issuer.cli.consent import ConsentOptions, given
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.issue import carry_out
from polygent_issuer.cli.options import terms as terms_options
from polygent_issuer.cli.options.issue import IssueOptions
from polygent_issuer.cli.options.machine_info import read_document
from polygent_issuer.cli.options.passphrase import PassphraseOptions, source
from polygent_issuer.cli.output.result import Result
from polygent_issuer.issuing.customer_resolution import (
    new_customer,
    owner_of_machine,
    resolve_customer,
)
from polygent_issuer.issuing.first_license import FirstLicenseRequest, propose_first
from polygent_issuer.issuing.proposal import Proposal, ReceivedDocument
from polygent_issuer.registry import Customer, Reading, customers
from polygent_issuer.terms.terms import Plan
from polygent_issuer.verifier import Tier


def issue_first(
    invocation: Invocation,
    machine_info: str | None,
    customer: str | None,
    slug: str | None,
    label: str | None,
    *,
    terms: terms_options.FirstTerms,
    how: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Sign a first license; what is missing is asked on a terminal.

    Raises:
        IssuerError: whatever stands in the way; nothing is issued then, unless it says so.
    """
    changes = terms_options.changes(invocation.settings, terms)
    document = read_document(machine_info)
    known = _owner(invocation, document, customer, slug)
    named, claimed = (customer, False) if customer or known else _ask(invocation, document)
    if changes.plan is None and known is None and invocation.interactive:
        changes = replace(changes, plan=_ask_plan(invocation, changes.tier))
    request = FirstLicenseRequest(
        customer=named,
        claimed=claimed,
        slug=slug,
        document=document,
        label=label,
        plan=changes.plan or invocation.settings.plan_for(changes.tier),
        changes=changes,
        key=how.key,
    )
    license_id = invocation.new_id()

    def decide(db: Reading) -> tuple[Proposal, ...]:
        settings, now = invocation.settings, invocation.now
        return (propose_first(db, request, settings=settings, now=now, license_id=license_id),)

    return carry_out(
        invocation,
        decide,
        how,
        given(consents),
        source(invocation, passphrases),
    )


def _owner(
    invocation: Invocation, document: ReceivedDocument | None, named: str | None, slug: str | None
) -> Customer | None:
    """Find who has the document's machine; a slug that cannot be stops before any question."""
    with invocation.registry.reading() as db:
        known = owner_of_machine(db, document)
        if slug is not None and (named or known):
            resolve_customer(db, named, document, claimed=False, slug=slug)
        elif slug is not None:
            customers.require_free_slug(db, slug)
        return known


def _ask(invocation: Invocation, document: ReceivedDocument | None) -> tuple[str | None, bool]:
    """The customer, and whether only the document's sender says so."""
    proposed = document.info.customer if document else None
    if not invocation.interactive:
        return proposed, True

    def check(answer: str) -> None:
        with invocation.registry.reading() as db:
            new_customer(db, answer)

    return prompts.text("customer", default=proposed, check=check), False


def _ask_plan(invocation: Invocation, tier: Tier | None) -> Plan:
    settings = invocation.settings
    fitting = [name for name, each in settings.plans.items() if tier in (None, each.tier)]
    default = settings.plan_for(tier).name
    return settings.plan(prompts.choice("plan", fitting, default=default))
