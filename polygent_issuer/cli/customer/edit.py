"""`polygent-issue customer edit`: name, contacts, time zone, CRM reference, a machine's label."""

from typing import Annotated

import typer

from polygent_issuer.cli import consent, names
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.customer import changes
from polygent_issuer.cli.customer.change_options import ChangeOptions, require_sense
from polygent_issuer.cli.customer.edit_view import Edited
from polygent_issuer.errors import RegistryChanged
from polygent_issuer.findings import require


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
    with invocation.registry.reading() as db:
        change = changes.decide(db, slug, wanted, now=now)
    if not change.told:
        return Edited(customer=change.customer, changes={}, still_named=(), accepted=())
    agreed = consent.obtain(invocation, change.findings, given)
    with invocation.registry.writing(now=now, actor=invocation.actor) as db:
        if changes.decide(db, slug, wanted, now=now) != change:
            raise RegistryChanged.since_shown("nothing was changed")
        require(change.findings, agreed)
        edited = changes.write(db, change)
        accepted = agreed.used(change.findings)
        db.record(
            "customer-edited",
            customer=slug,
            accepted=accepted,
            reason=agreed.reason,
            details={"changes": {name: list(pair) for name, pair in change.told.items()}},
        )
    return Edited(
        customer=edited, changes=change.told, still_named=change.still_named, accepted=accepted
    )
