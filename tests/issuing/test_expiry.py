"""When a license ends: options, kept terms, and the basis they count from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.office import NOW, Office

from polygent_issuer.errors import InvalidTerms, MissingInput
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
    """Acme's first license, of a year."""
    [issued] = office.publish(office.first)
    with office.registry.reading() as db:
        return licenses.get(db, issued.proposal.license.jti)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (Changes(), datetime(2027, 12, 1, tzinfo=UTC)),
        (Changes(term=Term(days=1)), datetime(2026, 12, 2, tzinfo=UTC)),
        (Changes(term=Term(months=1)), datetime(2026, 12, 31, tzinfo=UTC)),
        (
            Changes(basis=datetime(2027, 1, 1, tzinfo=UTC), term=Term(months=6)),
            datetime(2027, 7, 1, tzinfo=UTC),
        ),
        (Changes(expires=NOW + timedelta(seconds=1)), NOW + timedelta(seconds=1)),
    ],
)
def test_a_first_license(changes: Changes, expected: datetime) -> None:
    """The plan's term from now, up to the next midnight UTC, unless something was typed."""
    plan = SETTINGS.plans["standard-annual"]
    assert expiry.first_expiry(changes, plan, NOW) == expected


def test_now_itself_is_too_early() -> None:
    """A license that would expire this very second is refused."""
    plan = SETTINGS.plans["standard-annual"]
    with pytest.raises(InvalidTerms, match="expiry date is in the past"):
        expiry.first_expiry(Changes(expires=NOW), plan, NOW)


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
def test_a_renewal(
    record: LicenseRecord, now: datetime, changes: Changes, expected: datetime
) -> None:
    """From the old expiry while it runs, from now once it has lapsed, unless it was named."""
    assert expiry.next_expiry(Action.RENEW, changes, (record,), SETTINGS, now) == expected


def test_no_term_is_known(record: LicenseRecord) -> None:
    """A license that was imported without one, of a plan that is gone."""
    bare = replace(record, term=None, plan="gone")
    with pytest.raises(MissingInput, match="no term is known"):
        expiry.next_expiry(Action.RENEW, Changes(), (bare,), SETTINGS, NOW)
    by_plan = replace(record, term=None)
    assert expiry.next_expiry(Action.RENEW, Changes(), (by_plan,), SETTINGS, NOW).year == 2028


@pytest.mark.parametrize(("days", "due"), [(90, True), (91, False)])
def test_ninety_days_ahead_is_due(record: LicenseRecord, days: int, due: bool) -> None:  # noqa: FBT001 - a row
    """The limit itself needs no consent."""
    found = expiry.not_due((record,), SETTINGS, OLD_END - timedelta(days=days))
    assert (found is None) is due


def test_what_lapsed_long_ago(record: LicenseRecord) -> None:
    """Over 90 days after its end; the limit itself is still near."""
    limit = OLD_END + timedelta(days=90)
    assert not expiry.lapsed_beyond_limit(record, SETTINGS, limit)
    assert expiry.lapsed_beyond_limit(record, SETTINGS, limit + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("plan", "renewable"),
    [("standard-annual", True), ("trial", False), ("gone", True), (None, True)],
)
def test_what_its_plan_lets_be_renewed(
    record: LicenseRecord, plan: str | None, *, renewable: bool
) -> None:
    """A trial is not; without a plan, or with one that is gone, nothing speaks against it."""
    assert expiry.renewable(replace(record, plan=plan), SETTINGS) is renewable


def test_three_years_are_not_long(record: LicenseRecord) -> None:
    """The limit itself needs no consent, a second more does."""
    limit = datetime(2029, 12, 1, tzinfo=UTC)
    assert record.expires_at < limit
    assert expiry.long_term(NOW, limit, SETTINGS) is None
    assert expiry.long_term(NOW, limit + timedelta(seconds=1), SETTINGS) is not None


def test_no_license_is_of_the_first_second_of_all(office: Office) -> None:
    """A clock that says 1970-01-01T00:00:00Z is told to be wrong: `iat` is at least 1."""
    at_the_epoch = datetime(1970, 1, 1, tzinfo=UTC)
    document = office.document()
    office.now = at_the_epoch
    with office.registry.reading() as db, pytest.raises(InvalidTerms, match="clock") as caught:
        office.first(db, document=document)
    assert caught.value.hint == "set this machine's clock"
