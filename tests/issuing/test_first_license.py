"""The expiry of a first license."""

from datetime import UTC, datetime, timedelta

import pytest
from support.office import NOW, Office

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.first_license import first_expiry
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import Changes

SETTINGS = Settings()


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
def test_a_first_license_gets_the_term_of_its_plan(changes: Changes, expected: datetime) -> None:
    """The plan's term counts from now to the next midnight UTC; options take precedence."""
    plan = SETTINGS.plans["standard-annual"]
    assert first_expiry(changes, plan, NOW) == expected


def test_a_license_that_expires_now_is_refused(office: Office) -> None:
    """The expiry must be later than the present second."""
    changes = Changes(expires=office.now)
    with office.registry.reading() as db, pytest.raises(InvalidTerms, match="date is in the past"):
        office.first(db, changes=changes)


def test_a_clock_at_the_epoch_is_refused(office: Office) -> None:
    """At 1970-01-01T00:00:00Z no license can be issued: `iat` is at least 1."""
    at_the_epoch = datetime(1970, 1, 1, tzinfo=UTC)
    document = office.document()
    office.now = at_the_epoch
    with office.registry.reading() as db, pytest.raises(InvalidTerms, match="clock") as caught:
        office.first(db, document=document)
    assert caught.value.hint == "set this machine's clock"
