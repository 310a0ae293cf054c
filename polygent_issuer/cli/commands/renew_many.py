"""Batch mode of `renew`: several customers, names from stdin, or every license that is due."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from polygent_issuer import files
from polygent_issuer.batch.outcomes import Job
from polygent_issuer.batch.renewals import Renewals
from polygent_issuer.cli.consent import ConsentOptions, parse_consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.run import Batch, run_batch
from polygent_issuer.cli.flows.issue import signers_of
from polygent_issuer.cli.options.common import PassphraseOptions, passphrase_source
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions, LicenseSelection
from polygent_issuer.cli.options.terms import NextTerms, parse_changes
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import Ambiguous, NotFound, UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import licenses
from polygent_issuer.registry.journal import clock_behind_finding
from polygent_issuer.terms import dates
from polygent_issuer.terms.decision import contradiction
from polygent_issuer.terms.parsing import parse_term

_MAX_NAMES_BYTES: Final = 64 * 1024 * 1024
"""Maximum size of a list of names on stdin, in bytes."""


def renew_many(
    invocation: Invocation,
    names: Sequence[str],
    due_within: str | None,
    *,
    selection: LicenseSelection,
    terms: NextTerms,
    issue_options: IssueOptions,
    batch_options: BatchOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Renew each customer, or each license that is due, independently of the others.

    Raises:
        IssuerError: the whole batch cannot run.
    """
    _check_options(names, due_within, selection)
    settings, now = invocation.settings, invocation.now
    within = settings.not_due
    if due_within is not None:
        within = dates.term_end(now, parse_term(due_within)) - now
    changes = parse_changes(settings, terms)
    if problem := contradiction(changes):
        raise UsageProblem(problem.message, hint=problem.hint)
    slugs = None if due_within is not None else _slugs(invocation, names)
    with invocation.registry.reading() as db:
        behind = clock_behind_finding(db, now)
        total = licenses.count_due(db, now + within) if slugs is None else len(slugs)
    renewals = Renewals(
        settings=settings,
        now=now,
        within=within,
        changes=changes,
        key=issue_options.key,
        consent=Consent(),
        new_id=invocation.new_id,
        all_machines=selection.all_machines,
        behind=behind,
    )

    def jobs(consent: Consent) -> Iterable[Job]:
        agreed = replace(renewals, consent=consent)
        return agreed.due(invocation.registry) if slugs is None else agreed.of_customers(slugs)

    def unlock() -> Mapping[str, Signer]:
        with invocation.registry.reading() as db:
            key = choose_key(db, issue_options.key)
        return signers_of(invocation, [key], secret)

    secret = passphrase_source(invocation, passphrases)
    batch = Batch(activity="renewing", jobs=jobs, unlock=unlock, total=total)
    return run_batch(invocation, batch, issue_options, batch_options, parse_consent(consents))


def _check_options(
    names: Sequence[str], due_within: str | None, selection: LicenseSelection
) -> None:
    if bool(names) == (due_within is not None):
        exclusive = "CUSTOMER and --due-within are mutually exclusive"
        raise UsageProblem(
            exclusive if names else "no customers given",
            hint=Hint(run("renew", "CUSTOMER..."), ", or ", run("renew", "--due-within", "30d")),
        )
    if due_within is None:
        selection.check(2)
        return
    options = {
        "--license": selection.license_ids,
        "--machine": selection.machine,
        "--all-machines": selection.all_machines,
        "--machine-info": selection.machine_info,
    }
    if excluded := [option for option, value in options.items() if value]:
        raise UsageProblem(
            f"--due-within cannot be combined with {' or '.join(excluded)}",
            hint=f"leave out {' and '.join(excluded)}",
        )


def _slugs(invocation: Invocation, names: Sequence[str]) -> tuple[str, ...]:
    """Return the slug of each customer once; an unknown name stays as it was typed."""
    slugs: dict[str, None] = {}
    for name in _names(names):
        try:
            # Each row is checked against the journal in its own decision, so only that one fails.
            slugs[invocation.customer(name, checked=False).slug] = None
        except (NotFound, Ambiguous):
            slugs[name] = None
    return tuple(slugs)


def _names(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name != "-":
            yield name
            continue
        text = files.read_text(name, limit=_MAX_NAMES_BYTES, what="list of customers")
        yield from filter(None, map(str.strip, text.splitlines()))
