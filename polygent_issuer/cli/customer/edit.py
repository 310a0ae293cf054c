"""`polygent-issue customer edit`: name, contacts, time zone, CRM reference, a machine's label."""

from typing import Annotated

import typer

from polygent_issuer.cli import consent, names
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.customer import changes
from polygent_issuer.cli.customer.change_options import ChangeOptions, require_sense
from polygent_issuer.cli.customer.edit_view import Edited
from polygent_issuer.registry import Customer, Writing, change


def edit(
    invocation: Invocation,
    customer: Annotated[
        str,
        typer.Argument(
            metavar="CUSTOMER", autocompletion=candidates.customers, help="A slug or a name."
        ),
    ],
    *,
    wanted: ChangeOptions,
    consents: consent.ConsentOptions,
) -> Edited:
    """Change a customer; the slug stays for ever.

    A new name goes into the licenses that are issued from now on: those that still carry the old
    one are listed. A machine is renamed with --machine OLD --label NEW.
    """
    given, now = consent.given(consents), invocation.now
    require_sense(wanted)
    slug = names.customer(invocation, customer).slug
    decided = invocation.decide(lambda db: changes.decide(db, slug, wanted, now=now))
    edit = decided.decision
    if not edit.told:
        return Edited(customer=edit.customer, changes={}, still_named=(), accepted=())
    findings = (*edit.findings, *decided.behind)
    agreed = consent.obtain(invocation, findings, given)
    accepted = agreed.used(findings)

    def write(db: Writing) -> Customer:
        edited = changes.write(db, edit)
        db.record(
            "customer-edited",
            customer=slug,
            accepted=accepted,
            reason=agreed.reason,
            details={"changes": {name: list(pair) for name, pair in edit.told.items()}},
        )
        return edited

    edited = change.carry_out(decided, write)
    return Edited(
        customer=edited, changes=edit.told, still_named=edit.still_named, accepted=accepted
    )
