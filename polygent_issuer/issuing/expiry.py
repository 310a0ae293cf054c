"""When a license ends: the option, else the recorded term, counted from the right day (FORMAT §6).

It follows mostly one license. Of several, the one that ends last counts, so that nobody loses a
day; their terms count only where they agree.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.registry import LicenseRecord
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.terms import dates
from polygent_issuer.terms.dates import Term, term_end
from polygent_issuer.terms.parsing import Changes, Plan, parse_term


def first_expiry(changes: Changes, plan: Plan, now: datetime) -> datetime:
    """The expiry of a first license; `invalid_terms` when it is past, or counts from nothing."""
    if changes.expires is not None:
        return _ahead(changes.expires, now)
    if changes.basis == "expiry":
        raise InvalidTerms(
            "a first license has no earlier expiry to count from",
            hint=Hint(option("--from", "now"), ", or ", option("--from", "DATE")),
        )
    base = changes.basis if isinstance(changes.basis, datetime) else now
    return _ahead(term_end(base, changes.term or plan.term), now)


def next_term(
    changes: Changes, records: Sequence[LicenseRecord], settings: Settings
) -> Term | None:
    """The term of the next license: the option, else the one recorded, else its plan's; else None.

    It is None, too, when several licenses were for different terms.
    """
    if changes.term is not None:
        return changes.term
    if changes.plan is not None:
        return changes.plan.term
    terms = {_own_term(record, settings) for record in records}
    return terms.pop() if len(terms) == 1 else None


def next_expiry(
    action: Action,
    changes: Changes,
    records: Sequence[LicenseRecord],
    settings: Settings,
    now: datetime,
) -> datetime:
    """The expiry of the license that follows `records`.

    A renewal counts from the old expiry while that runs, from now once it has lapsed. A reissue
    keeps the expiry, unless an option corrects it.

    Raises:
        MissingInput: (`missing_input`) no term is known, a plan is not renewable, or a basis is
            given to a reissue without a term.
        InvalidTerms: (`invalid_terms`) when it is not after `now`.
    """
    if changes.expires is not None:
        return _ahead(changes.expires, now)
    if action is Action.REISSUE and not changes.term:
        return _same_expiry(changes, records, now)
    if not (changes.term or changes.plan):
        for record in records:
            _require_renewable(record, settings)
    term = next_term(changes, records, settings)
    if term is None:
        message = f"no term is known for license {records[0].id[:8]}"
        if len(records) > 1:
            message = f"these {len(records)} licenses were not all for the same term"
        raise MissingInput(
            message, hint=Hint("add ", option("--term", "1y"), " or ", option("--expires", "DATE"))
        )
    return _ahead(term_end(_basis(changes, records, now), term), now)


def _same_expiry(changes: Changes, records: Sequence[LicenseRecord], now: datetime) -> datetime:
    if changes.basis:
        raise MissingInput(
            "a reissue keeps the expiry, so --from needs a term to count",
            hint=Hint(
                *("add ", option("--term", "TERM")),
                *(", or name the day with ", option("--expires", "DATE")),
            ),
        )
    last = last_to_end(records)
    if last.expires_at <= now:
        raise InvalidTerms(
            f"license {last.id[:8]} expired at {dates.instant(last.expires_at)}, "
            "and a reissue keeps the expiry",
            hint=run("renew", *_this(last))
            if len(records) == 1
            else "the same command with renew in place of reissue",
        )
    return last.expires_at


def _basis(changes: Changes, records: Sequence[LicenseRecord], now: datetime) -> datetime:
    """Where a renewal's term is counted from."""
    if isinstance(changes.basis, datetime):
        return changes.basis
    expires_at = last_to_end(records).expires_at
    from_expiry = expires_at > now if changes.basis is None else changes.basis == "expiry"
    return expires_at if from_expiry else now


def last_to_end(records: Sequence[LicenseRecord]) -> LicenseRecord:
    """The license that runs longest."""
    return max(records, key=lambda record: record.expires_at)


def renewable(record: LicenseRecord, settings: Settings) -> bool:
    """Whether its plan lets it be renewed as it is; a trial is followed by what is named."""
    plan = settings.plans.get(record.plan or "")
    return plan is None or plan.renewable


def lapsed_beyond_limit(record: LicenseRecord, settings: Settings, now: datetime) -> bool:
    """Whether it ended so long ago that it is followed only when it is named."""
    return now - record.expires_at > settings.lapsed


def not_due(records: Sequence[LicenseRecord], settings: Settings, now: datetime) -> Finding | None:
    """`not-due`: a renewal long before the expiry is more often a slip than a wish.

    Of several the last to end is judged, since the new term counts from there. A trial is never
    too early for a contract: it is followed only by what was named.
    """
    last = last_to_end(records)
    if last.expires_at - now <= settings.not_due or not renewable(last, settings):
        return None
    left = dates.days_left(last.expires_at, now)
    return Finding(
        code=FindingCode.NOT_DUE,
        message=f"license {last.id[:8]} still runs for {dates.days(left)}, "
        f"over {settings.not_due.days}",
        hint=Hint("for a new file of the same expiry: ", run("reissue", *_this(last)))
        if len(records) == 1
        else "for the expiry of that one: the same command with reissue in place of renew",
    )


def is_due(
    record: LicenseRecord,
    settings: Settings,
    now: datetime,
    *,
    within: timedelta | None,
    term: Term | None = None,
) -> bool:
    """Whether a license is to be renewed: it ends soon (`within`), and a renewal would end later.

    So a license that was renewed a moment ago is not due twice, however short the terms are.
    Without `within` it does not matter how far ahead it ends; without `term` its own counts.
    """
    term = term or _own_term(record, settings)
    ends = record.expires_at
    soon = within is None or ends - now <= within
    return soon and (term is None or ends < term_end(now, term))


def renewable_in_batch(
    records: Iterable[LicenseRecord], settings: Settings, now: datetime, *, until: datetime
) -> bool:
    """Whether `renew` of a customer, of whose licenses none is named, asks for nothing more.

    It takes all current ones that did not lapse long ago: a trial wants a plan, and what still runs
    for long wants consent, unless it ends before `until`.
    """
    return not any(
        not lapsed_beyond_limit(record, settings, now)
        and (
            not renewable(record, settings)
            or (record.expires_at >= until and not_due((record,), settings, now))
        )
        for record in records
    )


def long_term(now: datetime, expires_at: datetime, settings: Settings) -> Finding | None:
    """`long-term`: there is no revocation, so a long license is a risk of its own."""
    if expires_at <= term_end(now, settings.long_term):
        return None
    return Finding(
        code=FindingCode.LONG_TERM,
        message=f"it would run until {dates.describe_expiry(expires_at)}, "
        f"over {settings.long_term} from now, and a license cannot be revoked",
        hint=Hint("choose ", option("--term", str(settings.long_term)), " or less"),
    )


@lru_cache(maxsize=64)  # of many licenses few terms
def _term(text: str) -> Term:
    return parse_term(text)


def _own_term(record: LicenseRecord, settings: Settings) -> Term | None:
    if record.term is not None:
        try:
            return _term(record.term)
        except InvalidTerms:
            raise RegistryDamaged(
                f"the stored term of license {record.id} cannot be read",
                hint=run("journal", "verify"),
            ) from None
    plan = settings.plans.get(record.plan or "")
    return plan.term if plan else None


def _require_renewable(record: LicenseRecord, settings: Settings) -> None:
    if not renewable(record, settings):
        raise MissingInput(
            f"the plan {record.plan!a} of license {record.id[:8]} is not renewed by itself",
            hint=Hint(
                "for a contract add ",
                option("--plan", "PLAN"),
                "; for more of the same: ",
                run("renew", *_this(record), "--term", record.term or "30d"),
            ),
        )


def _this(record: LicenseRecord) -> tuple[str, ...]:
    """The customer and the one license that is meant, as a command takes them."""
    return record.customer_slug, "--license", record.id[:8]


def _ahead(expires_at: datetime, now: datetime) -> datetime:
    if expires_at <= now:
        raise InvalidTerms(
            f"it would have expired already: {dates.describe_expiry(expires_at)}",
            hint=Hint("choose a term or ", option("--expires"), " with a day to come"),
        )
    return expires_at
