"""Batch mode of `renew` and `reissue`: several customers, or every license that matches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from polygent_issuer.batch.items import Job
from polygent_issuer.batch.renewals import Renewals
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.run import Batch, run_batch
from polygent_issuer.cli.options.issue import (
    LicenseSelection,
    NextOptions,
    NextTerms,
    Targets,
    parse_changes,
)
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import Ambiguous, NotFound, UsageProblem
from polygent_issuer.files import reading
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import keys, licenses
from polygent_issuer.registry.change import clock_behind_finding
from polygent_issuer.terms import dates
from polygent_issuer.terms.decision import contradiction
from polygent_issuer.terms.parsing import Changes, parse_term
from polygent_issuer.text import Hint, option, run

_MAX_NAMES_BYTES: Final = 64 * 1024 * 1024
"""Maximum size of a list of names on stdin, in bytes."""


def renew_or_reissue_many(
    invocation: Invocation, action: Action, targets: Targets, options: NextOptions
) -> Result:
    """Renew or reissue for each customer or license, independently of the others.

    Raises:
        IssuerError: the whole batch cannot run.
    """
    _check_options(action, targets, options.selection)
    settings, now = invocation.settings, invocation.now
    until = None
    if targets.due_within is not None:
        until = dates.term_end(now, parse_term(targets.due_within))
    changes = _parse_changes(settings, options.terms, action)
    slugs = None if targets.filters else _slugs(invocation, targets.names)
    with invocation.registry.reading() as db:
        behind = clock_behind_finding(db, now)
        kid = None if targets.signed_with is None else keys.find(db, targets.signed_with).kid
        total = len(slugs or ())
        if slugs is None:
            total = licenses.count_current(db, expires_before=until, kid=kid)
    renewals = Renewals(
        settings=settings,
        now=now,
        within=settings.not_due if until is None else until - now,
        changes=changes,
        key=options.issue.key,
        consent=Consent(),
        new_id=invocation.new_id,
        all_machines=options.selection.all_machines,
        behind=behind,
        action=action,
    )

    def jobs(consent: Consent) -> Iterable[Job]:
        agreed = replace(renewals, consent=consent)
        if slugs is not None:
            return agreed.of_customers(slugs)
        return agreed.of_licenses(
            invocation.registry, expires_before=until, kid=kid, resumed=options.batch.expect
        )

    def unlock() -> Mapping[str, Signer]:
        with invocation.registry.reading() as db:
            key = choose_key(db, options.issue.key)
        return invocation.signers_of([key], secret)

    secret = options.passphrases.source(invocation)
    activity = "renewing" if action is Action.RENEW else "reissuing"
    batch = Batch(activity=activity, jobs=jobs, unlock=unlock, total=total)
    return run_batch(invocation, batch, options.issue, options.batch, options.consents.parse())


def _check_options(action: Action, targets: Targets, selection: LicenseSelection) -> None:
    filters = targets.filters
    given = [*(["CUSTOMER"] if targets.names else []), *filters]
    if not given or (len(given) > 1 and ("--all" in filters or targets.names)):
        others = ("--due-within", "30d") if action is Action.RENEW else ("--signed-with", "KEY")
        raise UsageProblem(
            f"{' and '.join(given)} are mutually exclusive" if given else "no customers given",
            hint=Hint(run(action, "CUSTOMER..."), ", or ", run(action, *others)),
        )
    if not filters:
        selection.check(2)
        return
    options = {
        "--license": selection.license_ids,
        "--machine": selection.machine,
        "--all-machines": selection.all_machines,
        "--machine-info": selection.machine_info,
    }
    if excluded := [name for name, value in options.items() if value]:
        raise UsageProblem(
            f"{filters[0]} cannot be combined with {' or '.join(excluded)}",
            hint=f"leave out {' and '.join(excluded)}",
        )


def _parse_changes(settings: Settings, terms: NextTerms, action: Action) -> Changes:
    """Parse the terms; a reissue that extends each license again at every run is refused."""
    changes = parse_changes(settings, terms)
    if problem := contradiction(changes):
        raise UsageProblem(problem.message, hint=problem.hint)
    if action is Action.REISSUE and changes.term and changes.basis in (None, "expiry"):
        raise UsageProblem(
            "--term would extend each license again whenever this batch is repeated",
            hint=Hint("use renew, or give ", option("--expires", "DATE"), " or --from now"),
        )
    return changes


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
        text = reading.read_text(name, limit=_MAX_NAMES_BYTES, what="list of customers")
        yield from filter(None, map(str.strip, text.splitlines()))
