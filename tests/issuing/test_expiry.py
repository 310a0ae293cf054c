"""Expiry: options, recorded terms, and the basis from which they count."""

from datetime import UTC, datetime, timedelta

import pytest
from support.office import NOW, Office

from polygent_issuer.errors import MissingInput
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.registry import LicenseRecord, licenses
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import Changes

SETTINGS = Settings()
OLD_END = datetime(2027, 12, 1, tzinfo=UTC)


@pytest.fixture
def record(office: Office) -> LicenseRecord:
    """Sign Acme's first license, of a year."""
    [issued] = office.publish(office.first)
    with office.registry.reading() as db:
        return licenses.get(db, issued.proposal.license.jti)


@pytest.mark.parametrize(
    ("now", "changes", "expected"),
    [
        (NOW, Changes(), datetime(2028, 12, 1, tzinfo=UTC)),
        (OLD_END - timedelta(seconds=1), Changes(), datetime(2028, 12, 1, tzinfo=UTC)),
        (OLD_END, Changes(), datetime(2028, 12, 1, tzinfo=UTC)),
        (OLD_END + timedelta(hours=1), Changes(), datetime(2028, 12, 2, tzinfo=UTC)),
        (OLD_END + timedelta(days=9), Changes(basis="expiry"), datetime(2028, 12, 1, tzinfo=UTC)),
        (NOW, Changes(basis="now"), datetime(2027, 12, 1, tzinfo=UTC)),
        (NOW, Changes(term=Term(days=30)), datetime(2027, 12, 31, tzinfo=UTC)),
    ],
)
def test_a_renewal_counts_from_the_old_expiry_or_from_now(
    record: LicenseRecord, now: datetime, changes: Changes, expected: datetime
) -> None:
    """A term counts from the old expiry, or from now if it has passed, unless options differ."""
    assert expiry.next_expiry(Action.RENEW, changes, (record,), SETTINGS, now) == expected


def test_a_license_without_a_known_term_needs_one(record: LicenseRecord) -> None:
    """An imported license has no term, and its plan may be missing from the settings."""
    bare = record._replace(term=None, plan="gone")
    with pytest.raises(MissingInput, match="no term is known"):
        expiry.next_expiry(Action.RENEW, Changes(), (bare,), SETTINGS, NOW)
    by_plan = record._replace(term=None)
    assert expiry.next_expiry(Action.RENEW, Changes(), (by_plan,), SETTINGS, NOW).year == 2028


@pytest.mark.parametrize(("days", "due"), [(90, True), (91, False)])
def test_a_renewal_is_due_ninety_days_before_the_expiry(
    record: LicenseRecord, days: int, *, due: bool
) -> None:
    """Exactly 90 days need no consent; 91 days do."""
    finding = expiry.not_due((record,), SETTINGS, OLD_END - timedelta(days=days))
    assert (finding is None) is due


def test_a_license_expired_over_ninety_days_ago_is_beyond_the_limit(record: LicenseRecord) -> None:
    """Exactly 90 days after the expiry are within the limit."""
    limit = OLD_END + timedelta(days=90)
    assert not expiry.lapsed_beyond_limit(record, SETTINGS, limit)
    assert expiry.lapsed_beyond_limit(record, SETTINGS, limit + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("plan", "renewable"),
    [("standard-annual", True), ("trial", False), ("gone", True), (None, True)],
)
def test_a_trial_is_not_renewable(
    record: LicenseRecord, plan: str | None, *, renewable: bool
) -> None:
    """A license without a plan, or with one missing from the settings, is renewable."""
    assert expiry.renewable(record._replace(plan=plan), SETTINGS) is renewable
