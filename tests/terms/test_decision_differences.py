"""Differences and losses between old and new terms."""

from dataclasses import replace

import pytest

from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.decision import Difference, differences, losses, next_terms
from polygent_issuer.terms.parsing import Changes, Plan, Terms, catalogue
from polygent_issuer.verifier import AllowedDomain, Tier
from polygent_issuer.verifier.license import Limits

OLD = Terms(
    tier=Tier.ENTERPRISE,
    features=("bots", "insights", "sso-saml"),
    limits=Limits(users=50, session_hosts=5, deploy_hosts=4),
    allowed_domain=AllowedDomain("acme.example"),
)
SMALL = Plan(
    name="small",
    tier=Tier.ENTERPRISE,
    features=("bots", "memory"),
    limits=Limits(users=10, session_hosts=2, deploy_hosts=1),
    term=Term(years=1),
)


def shown(old: Terms | None, new: Terms) -> list[tuple[str, str, str]]:
    """Return the differences as tuples."""
    return [(row.name, row.old, row.new) for row in differences((old,) if old else (), new)]


def losses_with(changes: Changes) -> tuple[str, ...]:
    """Return the losses of a renewal with these changes."""
    return losses((OLD,), next_terms(OLD, changes, catalogue()), changes)


def test_a_first_license_shows_everything() -> None:
    """For a first license every term is listed, also absent ones."""
    new = replace(OLD, allowed_domain=None)
    assert shown(None, new) == [
        ("tier", "none", "enterprise"),
        ("users", "none", "50"),
        ("session hosts", "none", "5"),
        ("deploy hosts", "none", "4"),
        ("allowed domain", "none", "none"),
        ("features", "none", "bots, insights, sso-saml"),
    ]
    assert shown(None, replace(OLD, features=()))[-1] == ("features", "none", "none")


def test_the_same_terms_show_nothing() -> None:
    """Equal terms have no differences."""
    assert differences((OLD,), OLD) == ()


@pytest.mark.parametrize(
    ("new", "row"),
    [
        (replace(OLD, tier=Tier.STANDARD), ("tier", "enterprise", "standard")),
        (replace(OLD, limits=replace(OLD.limits, users=51)), ("users", "50", "51")),
        (replace(OLD, limits=replace(OLD.limits, session_hosts=0)), ("session hosts", "5", "0")),
        (replace(OLD, limits=replace(OLD.limits, deploy_hosts=9)), ("deploy hosts", "4", "9")),
        (replace(OLD, allowed_domain=None), ("allowed domain", "acme.example", "none")),
        (replace(OLD, features=("bots", "sso-saml")), ("feature insights", "yes", "no")),
        (replace(OLD, features=(*OLD.features, "memory")), ("feature memory", "no", "yes")),
    ],
)
def test_each_change_is_one_row(new: Terms, row: tuple[str, str, str]) -> None:
    """A change is one row with the old and the new value."""
    assert shown(OLD, new) == [row]


def test_differences_are_values() -> None:
    """Differences can be compared."""
    new = replace(OLD, allowed_domain=None)
    assert differences((OLD,), new) == (
        Difference(name="allowed domain", old="acme.example", new="none"),
    )


def test_the_losses_of_a_lower_plan() -> None:
    """Each term that `--plan` reduces is a loss, because no option names it."""
    assert losses_with(Changes(plan=SMALL)) == (
        "users (10 instead of 50)",
        "session hosts (2 instead of 5)",
        "deploy hosts (1 instead of 4)",
        "the feature insights",
        "the feature sso-saml",
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (Changes(plan=SMALL, users=20), "users"),
        (Changes(plan=SMALL, session_hosts=1), "session hosts"),
        (Changes(plan=SMALL, deploy_hosts=0), "deploy hosts"),
        (Changes(plan=SMALL, remove_features=("insights",)), "insights"),
        (Changes(plan=SMALL, remove_features=("sso-saml",)), "sso-saml"),
    ],
)
def test_a_typed_loss_is_a_decision(changes: Changes, named: str) -> None:
    """A loss that an option names needs no consent; the other four do."""
    lost = losses_with(changes)
    assert len(lost) == 4
    assert not any(named in sentence for sentence in lost)


def test_typed_terms_are_not_losses() -> None:
    """`renew acme --users 25 --remove-feature insights` needs no consent."""
    assert losses_with(Changes(users=25, remove_features=("insights",))) == ()


def test_a_set_of_features_decides_on_all() -> None:
    """`--feature` decides on every feature, so no removed one is a loss."""
    assert losses_with(Changes(features=("bots",))) == ()


def test_equal_and_higher_terms_are_not_losses() -> None:
    """Terms that stay or increase need no consent."""
    limits = Limits(users=51, session_hosts=5, deploy_hosts=4)
    more = replace(OLD, limits=limits, features=(*OLD.features, "memory"))
    assert losses((OLD,), OLD, Changes()) == ()
    assert losses((OLD,), more, Changes()) == ()


SECOND = replace(
    OLD,
    tier=Tier.STANDARD,
    features=("bots", "planner"),
    limits=Limits(users=7, session_hosts=5, deploy_hosts=0),
    allowed_domain=None,
)


def test_the_terms_of_several_licenses_are_listed() -> None:
    """The old value lists the limits of each license, and counts the licenses with a feature."""
    new = replace(OLD, limits=replace(OLD.limits, users=57), features=("bots", "insights"))
    assert [(row.name, row.old, row.new) for row in differences((OLD, SECOND), new)] == [
        ("tier", "enterprise, standard", "enterprise"),
        ("users", "50 + 7", "57"),
        ("session hosts", "5 + 5", "5"),
        ("deploy hosts", "4 + 0", "4"),
        ("allowed domain", "acme.example, none", "acme.example"),
        ("feature insights", "1 of 2", "yes"),
        ("feature planner", "1 of 2", "no"),
        ("feature sso-saml", "1 of 2", "no"),
    ]


def test_the_limits_of_many_licenses_are_added() -> None:
    """From six licenses on, the old value is the sum."""
    [users, *_] = [row for row in differences((OLD,) * 6, OLD) if row.name == "users"]
    assert users.old == "300 in 6 licenses"


def test_the_losses_of_several_licenses() -> None:
    """Losses are relative to the sum of limits, all features, and licenses without a domain."""
    new = replace(OLD, limits=replace(OLD.limits, users=56, deploy_hosts=4), features=())
    changes = Changes(session_hosts=5)
    assert losses((OLD, SECOND), new, changes) == (
        "users (56 instead of 50 + 7)",
        "the feature bots",
        "the feature insights",
        "the feature planner",
        "the feature sso-saml",
        "host names outside acme.example",
    )


@pytest.mark.parametrize(
    ("domain", "changes"),
    [
        (AllowedDomain("acme.example"), Changes(allowed_domain=AllowedDomain("acme.example"))),
        (None, Changes()),
    ],
)
def test_a_domain_that_is_typed_or_removed(domain: AllowedDomain | None, changes: Changes) -> None:
    """A domain that an option names, or that is removed, is not a loss."""
    limits = Limits(users=57, session_hosts=10, deploy_hosts=4)
    new = replace(OLD, features=(*OLD.features, "planner"), limits=limits, allowed_domain=domain)
    assert losses((OLD, SECOND), new, changes) == ()
