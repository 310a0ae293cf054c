"""Expiry of a license, and the licenses that are due to be renewed or sent.

The expiry comes from the option, else from the recorded term (FORMAT §6). A license usually
replaces one. If it replaces several, the term counts from the last expiry, so that no day is lost,
and the recorded term is used only if all have the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.registry import LicenseRecord, LicenseStatus, Reading, customers, licenses
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.terms import dates
from polygent_issuer.terms.dates import Term, term_end
from polygent_issuer.terms.parsing import Changes, parse_term
from polygent_issuer.text import Hint, option, run

NEAR: Final = timedelta(days=2)
"""How long before its upload deadline a license has to be sent."""
Due = tuple[LicenseRecord, str | None]
"""A due license, and its renewal command if `renew CUSTOMER` alone does not renew it."""


def next_term(
    changes: Changes, records: Sequence[LicenseRecord], settings: Settings
) -> Term | None:
    """Return the term of the next license: the option, else the recorded one, else its plan's.

    None if no term is known, or if several licenses have different terms.
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
    """Return the expiry of the license that replaces `records`.

    A renewal counts from the old expiry, or from now if that has passed. A reissue keeps the
    expiry, unless an option corrects it.

    Raises:
        MissingInput: (`missing_input`) no term is known, the plan is not renewable, or a reissue
            has a basis without a term.
        InvalidTerms: (`invalid_terms`) the expiry is not after `now`.
    """
    if changes.expires is not None:
        return changes.expires
    if action is Action.REISSUE and not changes.term:
        return _same_expiry(changes, records, now)
    if not (changes.term or changes.plan):
        for record in records:
            _require_renewable(record, settings)
    term = next_term(changes, records, settings)
    if term is None:
        message = f"no term is known for license {records[0].id[:8]}"
        if len(records) > 1:
            message = f"these {len(records)} licenses have different terms"
        raise MissingInput(
            message, hint=Hint("add ", option("--term", "1y"), " or ", option("--expires", "DATE"))
        )
    return term_end(_basis(changes, records, now), term)


def _same_expiry(changes: Changes, records: Sequence[LicenseRecord], now: datetime) -> datetime:
    if changes.basis:
        raise MissingInput(
            "a reissue keeps the expiry, so --from needs a term",
            hint=Hint(
                *("add ", option("--term", "TERM")),
                *(", or give the last day with ", option("--expires", "DATE")),
            ),
        )
    last = last_to_end(records)
    if last.expires_at <= now:
        raise InvalidTerms(
            f"license {last.id[:8]} expired at {dates.instant(last.expires_at)}, "
            "and a reissue keeps the expiry",
            hint=Hint("renew it instead: ", run("renew", *_this(last)))
            if len(records) == 1
            else "use the same command with renew instead of reissue",
        )
    return last.expires_at


def _basis(changes: Changes, records: Sequence[LicenseRecord], now: datetime) -> datetime:
    """Return the instant from which a renewal's term counts."""
    if isinstance(changes.basis, datetime):
        return changes.basis
    expires_at = last_to_end(records).expires_at
    from_expiry = expires_at > now if changes.basis is None else changes.basis == "expiry"
    return expires_at if from_expiry else now


def last_to_end(records: Sequence[LicenseRecord]) -> LicenseRecord:
    """Return the license with the latest expiry."""
    return max(records, key=lambda record: record.expires_at)


def renewable(record: LicenseRecord, settings: Settings) -> bool:
    """Return whether its plan allows a renewal without new terms; a trial's does not."""
    plan = settings.plans.get(record.plan or "")
    return plan is None or plan.renewable


def lapsed_beyond_limit(record: LicenseRecord, settings: Settings, now: datetime) -> bool:
    """Return whether it expired so long ago that it is renewed only if named explicitly."""
    return now - record.expires_at > settings.lapsed


def not_due(records: Sequence[LicenseRecord], settings: Settings, now: datetime) -> Finding | None:
    """Return `not-due` for a renewal long before the expiry, which is usually a mistake.

    The latest expiry of several counts, since the new term starts there. A trial may be converted
    at any time: its renewal always names the new terms.
    """
    last = last_to_end(records)
    if last.expires_at - now <= settings.not_due or not renewable(last, settings):
        return None
    left = dates.days_left(last.expires_at, now)
    return Finding(
        code=FindingCode.NOT_DUE,
        message=f"license {last.id[:8]} is valid for {dates.days(left)} more; "
        f"renewals are due {settings.not_due.days} days before the expiry",
        hint=Hint("for a new file with the same expiry: ", run("reissue", *_this(last)))
        if len(records) == 1
        else "for a new file with the latest expiry: use reissue instead of renew",
    )


def is_due(
    record: LicenseRecord,
    settings: Settings,
    now: datetime,
    *,
    within: timedelta | None,
    term: Term | None = None,
) -> bool:
    """Return whether a license is due: it expires soon (`within`), and a renewal expires later.

    So a license that was just renewed is not due again, even if its term is short. Without
    `within` any expiry counts as soon; without `term` the license's own term counts.
    """
    term = term or _own_term(record, settings)
    ends = record.expires_at
    soon = within is None or ends - now <= within
    return soon and (term is None or ends < term_end(now, term))


def renewable_in_batch(
    records: Iterable[LicenseRecord], settings: Settings, now: datetime, *, until: datetime
) -> bool:
    """Return whether `renew CUSTOMER` needs neither terms nor consent.

    It renews all current licenses that have not expired beyond the limit. A trial needs a plan. A
    license that is not due needs consent, unless it expires before `until`.
    """
    return not any(
        not lapsed_beyond_limit(record, settings, now)
        and (
            not renewable(record, settings)
            or (record.expires_at >= until and not_due((record,), settings, now))
        )
        for record in records
    )


def due(db: Reading, settings: Settings, *, now: datetime, until: datetime) -> Iterator[Due]:
    """Yield each license that expires before `until` and was not replaced, the first one first."""
    for record in licenses.due(db, until):
        owner = customers.by_id(db, record.customer_id)
        by_customer = (
            renewable(record, settings)
            and not lapsed_beyond_limit(record, settings, now)
            and renewable_in_batch(licenses.current(db, owner), settings, now, until=until)
        )
        yield record, None if by_customer else renew_command(record, settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnsentLicense:
    """A license that is not marked as sent; a server accepts its file until `upload_before`."""

    record: LicenseRecord
    upload_before: datetime
    is_late: bool


def unsent(db: Reading, settings: Settings, now: datetime) -> Iterator[UnsentLicense]:
    """Yield the licenses that have to be sent, the earliest upload deadline first.

    They are current, run, and are not marked as sent; their deadline is near or over. Archived
    customers are left out.
    """
    window = settings.upload_window_or_assumed
    try:
        issued_by = now + NEAR - window
    except OverflowError:  # a window of thousands of years
        return
    records = licenses.select(
        db, status=LicenseStatus.CURRENT, unsent=True, issued_by=issued_by, archived=False
    )
    for record in sorted(records, key=lambda record: (record.issued_at, record.id)):
        if record.expires_at > now:
            upload_before = dates.upload_deadline(record.issued_at, window)
            yield UnsentLicense(
                record=record, upload_before=upload_before, is_late=now > upload_before
            )


def renew_command(record: LicenseRecord, settings: Settings) -> str:
    """Return the command that renews only this license; a trial also needs a plan."""
    plan = () if renewable(record, settings) else ("--plan", "PLAN")
    return run("renew", *_this(record), *plan)


@lru_cache(maxsize=64)  # many licenses share few terms
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
            f"the plan {record.plan!a} of license {record.id[:8]} needs new terms for a renewal",
            hint=Hint(
                "to convert it add ",
                option("--plan", "PLAN"),
                "; to extend it: ",
                run("renew", *_this(record), "--term", record.term or "30d"),
            ),
        )


def _this(record: LicenseRecord) -> tuple[str, ...]:
    """Return the arguments that select this one license."""
    return record.customer_slug, "--license", record.id[:8]
