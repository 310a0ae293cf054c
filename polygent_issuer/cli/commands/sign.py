"""`polygent-issue sign`, `renew` and `reissue`: issue licenses of one customer, or of many."""

from typing import TYPE_CHECKING, Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerNames, flag, option
from polygent_issuer.cli.options.issue import BatchOptions, FirstOptions, NextOptions, Targets
from polygent_issuer.cli.output.result import Result

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import Action

DueWithin = Annotated[
    str | None,
    option("--due-within", "TERM", "Select every license that expires within this term."),
]


def sign(invocation: Invocation, *, options: FirstOptions) -> Result:
    """Sign a customer's first license.

    On a terminal it prompts for a missing document, customer and plan; otherwise it uses the
    customer of the document and the default plan. A machine that already has a current license is
    refused: use renew or reissue.
    """
    from polygent_issuer.cli.flows.issue import issue_first

    return issue_first(invocation, options)


def renew(
    invocation: Invocation,
    customers: CustomerNames = None,
    due_within: DueWithin = None,
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
    from polygent_issuer.issuing.proposal import Action

    return renew_or_reissue(
        invocation, Action.RENEW, Targets(names=customers or (), due_within=due_within), options
    )


def reissue(
    invocation: Invocation,
    customers: CustomerNames = None,
    signed_with: str | None = option(
        "--signed-with", "KEY", "Select every license signed with this key.", candidates.keys
    ),
    every: bool = flag("--all", "Select every current license."),
    due_within: DueWithin = None,
    *,
    options: NextOptions,
) -> Result:
    """Reissue licenses with the same expiry dates.

    Use it after a change of machine or domain, to correct a number, or to get a new file after the
    upload window has passed. Machine and terms stay as they are except for the options given. If
    several licenses become enterprise, one license replaces them, with the latest of their expiry
    dates.

    Several customers, -, --signed-with, --all and --due-within make a batch, as in renew. A license
    that has the terms and the key is kept while servers accept its file.
    """
    from polygent_issuer.issuing.proposal import Action

    return renew_or_reissue(
        invocation,
        Action.REISSUE,
        Targets(names=customers or (), due_within=due_within, signed_with=signed_with, every=every),
        options,
    )


def renew_or_reissue(
    invocation: Invocation, action: "Action", targets: Targets, options: NextOptions
) -> Result:
    """Renew or reissue for one customer, or as a batch, whose options count for one, too."""
    names = targets.names
    if targets.filters or len(names) != 1 or names[0] == "-" or options.batch != BatchOptions():
        from polygent_issuer.cli.flows.batch.renewals import renew_or_reissue_many

        return renew_or_reissue_many(invocation, action, targets, options)
    from polygent_issuer.cli.flows.issue import issue_next

    return issue_next(invocation, action, names[0], options)
