"""`polygent-issue sign`: sign a customer's first license."""

from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import PassphraseOptions, option
from polygent_issuer.cli.options.input_files import MachineInfoFile
from polygent_issuer.cli.options.issue import FirstTerms, IssueOptions
from polygent_issuer.cli.output.result import Result


def sign(
    invocation: Invocation,
    machine_info: MachineInfoFile = None,
    customer: Annotated[
        str | None,
        option(
            "--customer",
            "NAME",
            "Select the customer by slug or name (created if new).",
            candidates.customers,
        ),
    ] = None,
    slug: Annotated[str | None, option("--slug", "SLUG", "Set the slug of a new customer.")] = None,
    label: Annotated[
        str | None, option("--label", "LABEL", "Set the label of a new machine.")
    ] = None,
    *,
    terms: FirstTerms,
    issue_options: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Sign a customer's first license.

    On a terminal it prompts for a missing document, customer and plan; otherwise it uses the
    customer of the document and the default plan. A machine that already has a current license is
    refused: use renew or reissue.
    """
    from polygent_issuer.cli.flows.issue import issue_first

    return issue_first(
        invocation,
        machine_info,
        customer,
        slug,
        label,
        terms=terms,
        issue_options=issue_options,
        consents=consents,
        passphrases=passphrases,
    )
