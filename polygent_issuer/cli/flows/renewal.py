"""`renew` and `reissue`: of one customer, all or nothing, or as a batch of independent items."""

from typing import TYPE_CHECKING

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.issue import BatchOptions, NextOptions, Targets
from polygent_issuer.cli.output.result import Result

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import Action


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
