"""`polygent-issue renew`."""

from typing import Annotated

import typer

from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.following import NextOptions, issue_next
from polygent_issuer.cli.issue_flow import IssueOptions
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.passphrase import PassphraseOptions
from polygent_issuer.cli.terms_options import NextTerms
from polygent_issuer.issuing.proposal import Action


def renew(
    invocation: Invocation,
    customers: Annotated[list[str], typer.Argument(metavar="CUSTOMER...", help="Slugs or names.")],
    *,
    which: NextOptions,
    terms: NextTerms,
    how: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Issue the next license of each customer.

    Machine and terms are as now; an option changes what it names. The new term starts where the
    old one ends, or now once that has lapsed. Several current licenses are renewed together,
    unless terms are given: then name one. Where several become enterprise, one takes their place.
    """
    return issue_next(
        invocation,
        Action.RENEW,
        customers,
        which=which,
        terms=terms,
        how=how,
        consents=consents,
        passphrases=passphrases,
    )
