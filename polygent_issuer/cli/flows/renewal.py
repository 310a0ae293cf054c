"""What `renew` and `reissue` share: they differ only in the default expiry."""

from collections.abc import Sequence

from polygent_issuer.cli.consent import ConsentOptions, given
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.issue import carry_out
from polygent_issuer.cli.options import customer_argument
from polygent_issuer.cli.options import terms as terms_options
from polygent_issuer.cli.options.issue import IssueOptions
from polygent_issuer.cli.options.license_selection import LicenseSelection, refuse_contradictions
from polygent_issuer.cli.options.machine_info import read_document
from polygent_issuer.cli.options.passphrase import PassphraseOptions, source
from polygent_issuer.cli.output.result import Result
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.issuing.renewal import RenewalRequest, propose_renewals
from polygent_issuer.registry import Reading


def renew_or_reissue(
    invocation: Invocation,
    action: Action,
    customers: Sequence[str],
    *,
    which: LicenseSelection,
    terms: terms_options.NextTerms,
    how: IssueOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Renew or reissue for each customer, all or nothing.

    Raises:
        IssuerError: whatever stands in the way; nothing is issued then, unless it says so.
    """
    changes = terms_options.changes(invocation.settings, terms)
    document = read_document(which.machine_info)
    slugs = dict.fromkeys(customer_argument.customer(invocation, text).slug for text in customers)
    refuse_contradictions(which, len(slugs))
    requests = [
        RenewalRequest(
            action=action,
            customer=slug,
            license_ids=tuple(which.license_ids or ()),
            machine=which.machine,
            all_machines=which.all_machines,
            document=document,
            changes=changes,
            key=how.key,
        )
        for slug in slugs
    ]
    new_ids = _Ids(invocation)

    def decide(db: Reading) -> tuple[Proposal, ...]:
        return tuple(
            proposal
            for request in requests
            for proposal in propose_renewals(
                db,
                request,
                settings=invocation.settings,
                now=invocation.now,
                new_id=new_ids.after,
            )
        )

    return carry_out(invocation, decide, how, given(consents), source(invocation, passphrases))


class _Ids:
    """One new ID for each license that is followed, the same when it is decided again."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._after: dict[str, str] = {}

    def after(self, license_id: str) -> str:
        return self._after.setdefault(license_id, self._invocation.new_id())
