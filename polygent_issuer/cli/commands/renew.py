"""`polygent-issue renew`: renew licenses of one or more customers."""

from typing import Annotated

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerNames, option
from polygent_issuer.cli.options.issue import NextOptions, Targets
from polygent_issuer.cli.output.result import Result


def renew(
    invocation: Invocation,
    customers: CustomerNames = None,
    due_within: Annotated[
        str | None,
        option("--due-within", "TERM", "Select every license that expires within this term."),
    ] = None,
    *,
    options: NextOptions,
) -> Result:
    """Renew licenses of one or more customers.

    Only what the options name changes. The new term starts when the current license expires, or
    now if it has expired. Several current licenses of a customer are renewed together; to change
    their terms, select one of them. If several become enterprise, one license replaces them.

    Several customers, - and --due-within make a batch. An item that fails does not stop the others.
    Licenses that are not due are kept. The same command again does only what is missing.
    """
    from polygent_issuer.cli.flows.renewal import renew_or_reissue
    from polygent_issuer.issuing.proposal import Action

    return renew_or_reissue(
        invocation,
        Action.RENEW,
        Targets(names=customers or (), due_within=due_within),
        options,
    )
