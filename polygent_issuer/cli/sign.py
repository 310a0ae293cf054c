"""`polygent-issue sign`: a customer's first license."""

from dataclasses import replace
from typing import Annotated

import typer

from polygent_issuer.cli import prompts, terms_options
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.consent import ConsentOptions, given
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.documents import MachineInfoFile, read_document
from polygent_issuer.cli.issue_flow import IssueOptions, carry_out
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.passphrase import PassphraseOptions, source
from polygent_issuer.issuing.first import FirstRequest, propose_first
from polygent_issuer.issuing.proposal import Proposal, ReceivedDocument
from polygent_issuer.issuing.whose import new_customer, sole_owner, who
from polygent_issuer.registry import Customer, Reading, customers
from polygent_issuer.terms import Plan
from polygent_issuer.verifier import Tier


def sign(
    invocation: Invocation,
    machine_info: MachineInfoFile = None,
    customer: Annotated[
        str | None,
        typer.Option(
            "--customer",
            metavar="NAME",
            autocompletion=candidates.customers,
            help="Whose it is; a new name makes a customer.",
        ),
    ] = None,
    slug: Annotated[
        str | None,
        typer.Option(
            "--slug", metavar="SLUG", help="Slug of a new customer, instead of one from the name."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="What to call a new machine.")
    ] = None,
    *,
    terms: terms_options.FirstTerms,
    how: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Sign a customer's first license.

    With --machine-info alone it asks on a terminal for what is missing; elsewhere the document's
    customer and the default plan are taken. A machine whose license runs is refused towards
    renew and reissue.
    """
    changes = terms_options.changes(invocation.settings, terms)
    document = read_document(machine_info)
    known = _owner(invocation, document, customer, slug)
    named, claimed = (customer, False) if customer or known else _ask(invocation, document)
    if changes.plan is None and known is None and invocation.interactive:
        changes = replace(changes, plan=_ask_plan(invocation, changes.tier))
    request = FirstRequest(
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
        known = sole_owner(db, document)
        if slug is not None and (named or known):
            who(db, named, document, claimed=False, slug=slug)
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
