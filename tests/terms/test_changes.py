"""Changes of terms, and the catalogue of features."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import Changes, Plan, Terms, catalogue
from polygent_issuer.verifier import AllowedDomain, License, Tier
from polygent_issuer.verifier.license import Limits

LIMITS = Limits(users=1, session_hosts=0, deploy_hosts=0)
PLAN = Plan(name="p", tier=Tier.STANDARD, features=(), limits=LIMITS, term=Term(years=1))
MOMENT = datetime(2027, 1, 1, tzinfo=UTC)


def test_no_option_changes_no_term() -> None:
    """Changes without an option name no option."""
    assert Changes().named == ()


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        (Changes(plan=PLAN), "--plan"),
        (Changes(tier=Tier.STANDARD), "--tier"),
        (Changes(users=1), "--users"),
        (Changes(session_hosts=0), "--session-hosts"),
        (Changes(deploy_hosts=0), "--deploy-hosts"),
        (Changes(allowed_domain=AllowedDomain("a")), "--allowed-domain"),
        (Changes(no_allowed_domain=True), "--no-allowed-domain"),
        (Changes(features=()), "--feature"),
        (Changes(add_features=("bots",)), "--add-feature"),
        (Changes(remove_features=("bots",)), "--remove-feature"),
        (Changes(term=Term(days=1)), "--term"),
        (Changes(expires=MOMENT), "--expires"),
        (Changes(basis="now"), "--from"),
    ],
)
def test_each_option_is_named_as_it_is_typed(changes: Changes, option: str) -> None:
    """Each given option is named, also one with zero hosts or an empty set of features."""
    assert changes.named == (option,)


def test_options_are_named_in_the_order_of_the_command_line() -> None:
    """The given options are named in the order of the help."""
    changes = Changes(basis="now", users=3, plan=PLAN)
    assert changes.named == ("--plan", "--users", "--from")


def test_typed_features_are_set_or_added() -> None:
    """Features that are set or added are typed features, removed ones are not."""
    changes = Changes(features=("a",), add_features=("b",), remove_features=("c",))
    assert changes.typed_features == {"a", "b"}


@pytest.mark.parametrize(
    ("changes", "makes"),
    [
        (Changes(), False),
        (Changes(tier=Tier.ENTERPRISE), True),
        (Changes(plan=replace(PLAN, tier=Tier.ENTERPRISE)), True),
        (Changes(plan=PLAN, tier=Tier.ENTERPRISE), True),
        (Changes(plan=replace(PLAN, tier=Tier.ENTERPRISE), tier=Tier.STANDARD), False),
        (Changes(allowed_domain=AllowedDomain("a")), False),
    ],
)
def test_changes_to_enterprise(changes: Changes, makes: bool) -> None:  # noqa: FBT001 - a row
    """The tier, or else the tier of the plan, decides if a license becomes enterprise."""
    assert changes.makes_enterprise is makes


def test_the_terms_of_a_license() -> None:
    """Tier, features, limits and domain are those of the license, with sorted features."""
    limits = Limits(users=7, session_hosts=8, deploy_hosts=9)
    license_ = License(
        iss="i",
        sub="acme",
        jti="00000000-0000-4000-8000-000000000000",
        iat=1,
        exp=2,
        customer="Acme",
        tier=Tier.ENTERPRISE,
        features=("bots", "audit-export"),
        limits=limits,
        allowed_domain=AllowedDomain("acme.example"),
    )
    assert Terms.of(license_) == Terms(
        tier=Tier.ENTERPRISE,
        features=("audit-export", "bots"),
        limits=limits,
        allowed_domain=AllowedDomain("acme.example"),
    )


ANY_TIER = {
    "workflows",
    "automations",
    "planner",
    "round-table",
    "insights",
    "ticket-sync",
    "deployments",
    "code-review",
    "verification",
    "memory",
    "bots",
    "multiple-active-sessions",
}
ENTERPRISE_ONLY = {"sso-saml", "audit-export", "multi-tenant"}


def test_the_catalogue_is_that_of_the_format() -> None:
    """The catalogue has the names of FORMAT §2 and no others."""
    known = catalogue()
    assert known.names == ANY_TIER | ENTERPRISE_ONLY
    assert known.enterprise == ENTERPRISE_ONLY


def test_the_settings_add_names_for_any_tier() -> None:
    """A feature of the settings is known and allowed for both tiers."""
    known = catalogue(["quantum"])
    known.require_known(["quantum", "bots"])
    assert known.enterprise_only(["quantum"]) == ()


def test_the_settings_do_not_open_an_enterprise_feature() -> None:
    """An enterprise feature in the settings stays one of the enterprise tier."""
    assert catalogue(["sso-saml"]).enterprise_only(["sso-saml", "bots"]) == ("sso-saml",)


def test_enterprise_features_are_sorted() -> None:
    """Enterprise features are returned in alphabetical order."""
    names = ["sso-saml", "bots", "audit-export"]
    assert catalogue().enterprise_only(names) == ("audit-export", "sso-saml")


@pytest.mark.parametrize(
    ("typed", "similar"),
    [("insight", "insights"), ("SSO-SAML", "sso-saml"), ("round_table", "round-table")],
)
def test_the_hint_for_an_unknown_feature_names_a_similar_one(typed: str, similar: str) -> None:
    """The hint for a mistyped feature names the most similar one."""
    with pytest.raises(InvalidTerms, match=f"unknown feature {typed}") as caught:
        catalogue().require_known(["bots", typed])
    assert caught.value.hint == f"did you mean {similar}?"


def test_the_hint_for_any_other_name_lists_the_features() -> None:
    """Without a similar feature the hint lists all, and names the setting for newer ones."""
    with pytest.raises(InvalidTerms) as caught:
        catalogue().require_known(["xyzzy"])
    assert "audit-export, automations, bots" in (caught.value.hint or "")
    assert (caught.value.hint or "").endswith("add newer ones to the setting features")


def test_control_characters_of_a_feature_are_escaped() -> None:
    """A message contains no raw control character of a feature's name."""
    with pytest.raises(InvalidTerms) as caught:
        catalogue().require_known(["\x1b[2J"])
    assert "\x1b" not in caught.value.message
