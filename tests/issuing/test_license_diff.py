"""Differences between replaced licenses and the new one, and days that are lost."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.office import NOW, license_id

from polygent_issuer.issuing import proposal
from polygent_issuer.terms.dates import Term, to_seconds
from polygent_issuer.terms.parsing import Changes
from polygent_issuer.verifier import License, Limits, Tier

SHORT = License(
    iss="Polygent Ltd",
    sub="acme",
    jti=license_id(1),
    iat=to_seconds(NOW),
    exp=to_seconds(NOW + timedelta(days=10)),
    customer="Acme",
    tier=Tier.ENTERPRISE,
    features=(),
    limits=Limits(users=1, session_hosts=0, deploy_hosts=0),
)
LONG = replace(SHORT, jti=license_id(2), exp=to_seconds(NOW + timedelta(days=30)))
NEW = replace(
    SHORT,
    jti=license_id(3),
    exp=to_seconds(NOW + timedelta(days=20)),
    limits=replace(SHORT.limits, users=2),
)


def test_an_expiry_before_the_latest_one_is_a_loss() -> None:
    """The latest expiry of several licenses counts."""
    finding = proposal.loss_finding([SHORT, LONG], NEW, Changes())
    assert finding is not None
    assert (
        finding.message == "Acme would lose: 10 days of validity (new expiry 2026-12-20T09:30:00Z)"
    )


@pytest.mark.parametrize(("hours", "days"), [(1, "1 day"), (36, "2 days"), (48, "2 days")])
def test_a_part_of_a_lost_day_counts_as_a_day(hours: int, days: str) -> None:
    """Lost days are rounded up, as in every display."""
    shorter = replace(LONG, jti=license_id(3), exp=LONG.exp - hours * 3600)
    finding = proposal.loss_finding([LONG], shorter, Changes())
    assert finding is not None
    assert f"would lose: {days} of validity" in finding.message


@pytest.mark.parametrize(
    "changes",
    [
        Changes(term=Term(days=20)),
        Changes(expires=NOW + timedelta(days=20)),
        Changes(basis="now"),
    ],
)
def test_an_earlier_expiry_from_an_option_is_not_a_finding(changes: Changes) -> None:
    """A term, a day or a basis on the command line is the operator's decision."""
    assert proposal.loss_finding([SHORT, LONG], NEW, changes) is None


def test_differences_include_the_customer_and_the_machine() -> None:
    """Each old name is listed once, and several machines are counted."""
    renamed = replace(LONG, customer="Acme AG")
    one, two = (replace(each, machine_fingerprint=each.jti) for each in (SHORT, renamed))
    rows = {
        row.name: (row.old, row.new) for row in proposal.license_differences([one, two, one], NEW)
    }
    assert rows["customer"] == ("Acme, Acme AG", "Acme")
    assert rows["fingerprint"] == ("of 3 machines", "any")
    assert "issuer" not in rows
    [alone] = proposal.license_differences([one], replace(NEW, limits=one.limits))
    assert (alone.old, alone.new) == (one.machine_fingerprint, "any")
