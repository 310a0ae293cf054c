"""`polygent-issue reissue`: reissue a license with the same expiry date."""

from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerName, PassphraseOptions
from polygent_issuer.cli.options.issue import IssueOptions, LicenseSelection
from polygent_issuer.cli.options.terms import NextTerms
from polygent_issuer.cli.output.result import Result


def reissue(
    invocation: Invocation,
    customer: CustomerName,
    *,
    selection: LicenseSelection,
    terms: NextTerms,
    issue_options: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Reissue a license with the same expiry date.

    Use it after a change of machine or domain (--machine-info, --allowed-domain), to correct a
    number, or to get a new file after the upload window has passed. Machine and terms stay as
    they are except for the options given. If several licenses become enterprise, one license
    replaces them, with the latest of their expiry dates.
    """
    from polygent_issuer.cli.flows.issue import renew_or_reissue
    from polygent_issuer.issuing.proposal import Action

    return renew_or_reissue(
        invocation,
        Action.REISSUE,
        [customer],
        selection=selection,
        terms=terms,
        issue_options=issue_options,
        consents=consents,
        passphrases=passphrases,
    )
