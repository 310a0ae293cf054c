"""`polygent-issue customer show`: all that the registry holds of a customer."""

from collections import deque
from datetime import datetime
from typing import Annotated

import typer

from polygent_issuer.cli import names
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.customer.machine_view import ShownMachine
from polygent_issuer.cli.customer.show_view import ShownCustomer
from polygent_issuer.cli.license.listing import Listed
from polygent_issuer.issuing import machine_history
from polygent_issuer.registry import Machine, Reading, journal, licenses, machines

_LAST_ROWS = 10


def show(
    invocation: Invocation,
    customer: Annotated[
        str,
        typer.Argument(
            metavar="CUSTOMER", autocompletion=candidates.customers, help="A slug or a name."
        ),
    ],
) -> ShownCustomer:
    """Show a customer: machines, licenses, and the last rows of the journal."""
    found, now = names.customer(invocation, customer), invocation.now
    with invocation.registry.reading() as db:
        return ShownCustomer(
            customer=found,
            machines=tuple(_shown(db, machine, now) for machine in machines.of(db, found)),
            licenses=tuple(Listed.of(record, now) for record in licenses.of(db, found)),
            journal=tuple(deque(journal.rows(db, customer=found), maxlen=_LAST_ROWS)),
        )


def _shown(db: Reading, machine: Machine, now: datetime) -> ShownMachine:
    identities = machines.history(db, machine)
    return ShownMachine(
        machine=machine,
        history=identities[1:],
        changes=machine_history.changes(identities),
        notes=machine_history.of_machine(db, machine, now),
    )
