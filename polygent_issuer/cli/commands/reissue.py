"""`polygent-issue reissue`."""

from typing import Annotated

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import PassphraseOptions, argument
from polygent_issuer.cli.options.issue import IssueOptions, LicenseSelection
from polygent_issuer.cli.options.terms import NextTerms
from polygent_issuer.cli.output.result import Result


def reissue(
    invocation: Invocation,
    customer: Annotated[str, argument("CUSTOMER", "A slug or name.", candidates.customers)],
    *,
    which: LicenseSelection,
    terms: NextTerms,
    how: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Issue a license again: the same expiry, a new file.

    For a machine or a domain that changed (--machine-info, --allowed-domain), a wrong number, or
    an upload window that has passed; nothing need change. Where several become enterprise, one
    takes their place, until the last of them would have ended.
    """
    from polygent_issuer.cli.flows.issue import renew_or_reissue
    from polygent_issuer.issuing.proposal import Action

    return renew_or_reissue(
        invocation,
        Action.REISSUE,
        [customer],
        which=which,
        terms=terms,
        how=how,
        consents=consents,
        passphrases=passphrases,
    )
