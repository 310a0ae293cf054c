"""`polygent-issue sign`: a customer's first license."""

from typing import Annotated

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.input_files import MachineInfoFile
from polygent_issuer.cli.options.issue import IssueOptions
from polygent_issuer.cli.options.passphrase import PassphraseOptions
from polygent_issuer.cli.options.terms import FirstTerms
from polygent_issuer.cli.output.result import Result


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
    terms: FirstTerms,
    how: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Sign a customer's first license.

    With --machine-info alone it asks on a terminal for what is missing; elsewhere the document's
    customer and the default plan are taken. A machine whose license runs is refused towards
    renew and reissue.
    """
    from polygent_issuer.cli.flows.issue import issue_first

    return issue_first(
        invocation,
        machine_info,
        customer,
        slug,
        label,
        terms=terms,
        how=how,
        consents=consents,
        passphrases=passphrases,
    )
