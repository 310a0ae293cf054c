"""What several licenses allow together, and what only a person can say of it."""

from dataclasses import replace

import pytest

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.decision import merged_terms
from polygent_issuer.terms.parsing import Changes, Plan, Terms
from polygent_issuer.verifier import AllowedDomain, Tier
from polygent_issuer.verifier.license import Limits

ONE = Terms(
    tier=Tier.STANDARD,
    features=("bots", "planner"),
    limits=Limits(users=25, session_hosts=5, deploy_hosts=1),
)
TWO = replace(ONE, features=("bots", "memory"))
ENTERPRISE = replace(ONE, tier=Tier.ENTERPRISE, allowed_domain=AllowedDomain("acme.example"))
NAMED = Changes(tier=Tier.ENTERPRISE, users=40, session_hosts=9, deploy_hosts=1)
PLAN = Plan(name="p", tier=Tier.ENTERPRISE, features=(), limits=ONE.limits, term=Term(years=1))


def test_one_alone_is_what_it_is() -> None:
    """Nothing need be named: an absent term means as now."""
    assert merged_terms([ONE], Changes()) is ONE


@pytest.mark.parametrize("changes", [NAMED, Changes(plan=PLAN)])
def test_features_are_united(changes: Changes) -> None:
    """Under the enterprise tier, whoever names the limits."""
    together = merged_terms([ONE, TWO], changes)
    assert (together.tier, together.features) == (Tier.ENTERPRISE, ("bots", "memory", "planner"))
    assert together.limits == Limits(users=50, session_hosts=10, deploy_hosts=2)


def test_equal_limits_are_named_all_the_same() -> None:
    """Twice 25 users may be 25 people or 50; only what is missing is asked for."""
    with pytest.raises(MissingInput) as caught:
        merged_terms([ONE, TWO], replace(NAMED, users=None, deploy_hosts=None))
    assert caught.value.message.endswith("by itself: users 25 + 25; deploy hosts 1 + 1")
    assert "add --users N --deploy-hosts N, or --plan PLAN" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("several", "domain"),
    [
        ([ONE, TWO], None),
        ([ONE, ENTERPRISE], ENTERPRISE.allowed_domain),
        ([ENTERPRISE, ENTERPRISE], ENTERPRISE.allowed_domain),
        ([ONE, replace(ENTERPRISE, allowed_domain=None)], None),
    ],
)
def test_the_domain_is_that_of_the_enterprise(
    several: list[Terms], domain: AllowedDomain | None
) -> None:
    """Machines have none, which says nothing about the enterprise's."""
    assert merged_terms(several, NAMED).allowed_domain == domain


def test_domains_that_differ_are_asked_about() -> None:
    """None is one of them; a word about the domain settles it."""
    several = [ONE, ENTERPRISE, replace(ENTERPRISE, allowed_domain=None)]
    with pytest.raises(InvalidTerms, match=r"several domains: acme\.example, any") as caught:
        merged_terms(several, NAMED)
    assert "--no-allowed-domain" in str(caught.value.hint)
    for word in ({"no_allowed_domain": True}, {"allowed_domain": AllowedDomain("b.example")}):
        assert merged_terms(several, replace(NAMED, **word)).allowed_domain is None
