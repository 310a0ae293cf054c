"""`renew` and `reissue`: of one customer, all or nothing, or as a batch of independent items."""

from typing import TYPE_CHECKING

from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import PassphraseOptions
from polygent_issuer.cli.options.issue import (
    BatchOptions,
    IssueOptions,
    LicenseSelection,
    Targets,
)
from polygent_issuer.cli.options.terms import NextTerms
from polygent_issuer.cli.output.result import Result

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import Action


def renew_or_reissue(
    invocation: Invocation,
    action: "Action",
    targets: Targets,
    *,
    selection: LicenseSelection,
    terms: NextTerms,
    issue_options: IssueOptions,
    batch_options: BatchOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Renew or reissue for one customer, or as a batch, whose options count for one, too."""
    names = targets.names
    if targets.filters or len(names) != 1 or names[0] == "-" or batch_options != BatchOptions():
        from polygent_issuer.cli.flows.batch.renewals import renew_or_reissue_many

        return renew_or_reissue_many(
            invocation,
            action,
            targets,
            selection=selection,
            terms=terms,
            issue_options=issue_options,
            batch_options=batch_options,
            consents=consents,
            passphrases=passphrases,
        )
    from polygent_issuer.cli.flows.issue import issue_next

    return issue_next(
        invocation,
        action,
        names[0],
        selection=selection,
        terms=terms,
        issue_options=issue_options,
        consents=consents,
        passphrases=passphrases,
    )
