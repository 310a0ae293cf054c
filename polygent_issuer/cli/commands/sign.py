"""`polygent-issue sign`: a customer's first license."""

from typing import Annotated

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import PassphraseOptions, option
from polygent_issuer.cli.options.input_files import MachineInfoFile
from polygent_issuer.cli.options.issue import IssueOptions
from polygent_issuer.cli.options.terms import FirstTerms
from polygent_issuer.cli.output.result import Result


def sign(
    invocation: Invocation,
    machine_info: MachineInfoFile = None,
    customer: Annotated[
        str | None,
        option(
            "--customer", "NAME", "Whose it is; a new name makes a customer.", candidates.customers
        ),
    ] = None,
    slug: Annotated[
        str | None,
        option("--slug", "SLUG", "Slug of a new customer, instead of one from the name."),
    ] = None,
    label: Annotated[str | None, option("--label", "LABEL", "What to call a new machine.")] = None,
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
