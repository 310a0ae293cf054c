"""`polygent-issue reissue`: reissue licenses with the same expiry dates."""

from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerNames, flag, option
from polygent_issuer.cli.options.issue import NextOptions, Targets
from polygent_issuer.cli.output.result import Result


def reissue(
    invocation: Invocation,
    customers: CustomerNames = None,
    signed_with: Annotated[
        str | None,
        option(
            "--signed-with", "KEY", "Select every license signed with this key.", candidates.keys
        ),
    ] = None,
    every: Annotated[bool, flag("--all", "Select every current license.")] = False,
    due_within: Annotated[
        str | None,
        option("--due-within", "TERM", "Select every license that expires within this term."),
    ] = None,
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
    from polygent_issuer.cli.flows.renewal import renew_or_reissue
    from polygent_issuer.issuing.proposal import Action

    return renew_or_reissue(
        invocation,
        Action.REISSUE,
        Targets(names=customers or (), due_within=due_within, signed_with=signed_with, every=every),
        options,
    )
