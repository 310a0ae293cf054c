"""`polygent-issue renew`."""

from typing import Annotated

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import PassphraseOptions, argument, option
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions, LicenseSelection
from polygent_issuer.cli.options.terms import NextTerms
from polygent_issuer.cli.output.result import Result


def renew(
    invocation: Invocation,
    customers: Annotated[
        list[str] | None,
        argument("CUSTOMER...", "Slugs or names; - reads them from stdin.", candidates.customers),
    ] = None,
    due_within: Annotated[
        str | None, option("--due-within", "TERM", "Every license that ends by then.")
    ] = None,
    *,
    which: LicenseSelection,
    terms: NextTerms,
    how: IssueOptions,
    options: BatchOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Issue the next license of each customer.

    Machine and terms are as now; an option changes what it names. The new term starts where the
    old one ends, or now once that has lapsed. Several current licenses are renewed together,
    unless terms are given: then name one. Where several become enterprise, one takes their place.

    Several customers, - and --due-within are a batch: one that fails leaves the others alone, what
    is not due is kept, and the same command again does only what is missing.
    """
    names = customers or []
    one = due_within is None and len(names) == 1 and names != ["-"]
    if one and options == BatchOptions():
        from polygent_issuer.cli.flows.issue import renew_or_reissue
        from polygent_issuer.issuing.proposal import Action

        return renew_or_reissue(
            invocation,
            Action.RENEW,
            names,
            which=which,
            terms=terms,
            how=how,
            consents=consents,
            passphrases=passphrases,
        )
    from polygent_issuer.cli.commands.renew_many import renew_many

    return renew_many(
        invocation,
        names,
        due_within,
        which=which,
        terms=terms,
        how=how,
        options=options,
        consents=consents,
        passphrases=passphrases,
    )
