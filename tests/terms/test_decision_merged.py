"""The terms of several licenses together."""

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


def test_one_license_keeps_its_terms() -> None:
    """The terms of a single license need no options."""
    assert merged_terms([ONE], Changes()) is ONE


@pytest.mark.parametrize("changes", [NAMED, Changes(plan=PLAN)])
def test_features_are_merged(changes: Changes) -> None:
    """Several licenses become one of the enterprise tier with the features of all."""
    together = merged_terms([ONE, TWO], changes)
    assert (together.tier, together.features) == (Tier.ENTERPRISE, ("bots", "memory", "planner"))
    assert together.limits == Limits(users=50, session_hosts=10, deploy_hosts=2)


def test_equal_limits_must_be_given_too() -> None:
    """Limits are required even if they are equal; the error lists only the missing ones."""
    with pytest.raises(MissingInput) as caught:
        merged_terms([ONE, TWO], replace(NAMED, users=None, deploy_hosts=None))
    assert caught.value.message.endswith("automatically: users 25 + 25; deploy hosts 1 + 1")
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
def test_the_domain_is_that_of_the_enterprise_licenses(
    several: list[Terms], domain: AllowedDomain | None
) -> None:
    """The domain of the enterprise licenses is kept; licenses of machines have none."""
    assert merged_terms(several, NAMED).allowed_domain == domain


def test_different_domains_need_an_option() -> None:
    """Different domains, or a domain and none, need an option."""
    several = [ONE, ENTERPRISE, replace(ENTERPRISE, allowed_domain=None)]
    with pytest.raises(InvalidTerms, match=r"different domains: acme\.example, any") as caught:
        merged_terms(several, NAMED)
    assert "--no-allowed-domain" in str(caught.value.hint)
    for option in ({"no_allowed_domain": True}, {"allowed_domain": AllowedDomain("b.example")}):
        assert merged_terms(several, replace(NAMED, **option)).allowed_domain is None
