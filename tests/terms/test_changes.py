"""What was typed, and the catalogue of features."""

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


def test_nothing_typed_touches_nothing() -> None:
    """An empty command line names no term."""
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
    """Zero hosts and an empty set of features were typed too."""
    assert changes.named == (option,)


def test_options_are_named_in_the_order_of_the_command_line() -> None:
    """Messages list them as help does."""
    changes = Changes(basis="now", users=3, plan=PLAN)
    assert changes.named == ("--plan", "--users", "--from")


def test_typed_features_are_those_that_are_asked_for() -> None:
    """A removed feature is not asked for."""
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
def test_what_makes_an_enterprise(changes: Changes, makes: bool) -> None:  # noqa: FBT001 - a row
    """The tier, else the plan's: an option wins over its plan."""
    assert changes.makes_enterprise is makes


def test_terms_of_a_license_are_its_own() -> None:
    """Tier, features, limits and domain are read from the license, features sorted."""
    limits = Limits(users=7, session_hosts=8, deploy_hosts=9)
    held = License(
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
    assert Terms.of(held) == Terms(
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
    """Every name of FORMAT §2, and no other."""
    known = catalogue()
    assert known.names == ANY_TIER | ENTERPRISE_ONLY
    assert known.enterprise == ENTERPRISE_ONLY


def test_the_settings_add_names_for_any_tier() -> None:
    """A newer module is known, and no enterprise right."""
    known = catalogue(["quantum"])
    known.require_known(["quantum", "bots"])
    assert known.enterprise_only(["quantum"]) == ()


def test_the_settings_open_no_enterprise_feature() -> None:
    """Naming one as a newer module does not give it to the standard tier."""
    assert catalogue(["sso-saml"]).enterprise_only(["sso-saml", "bots"]) == ("sso-saml",)


def test_enterprise_features_come_sorted() -> None:
    """Messages name them in one order."""
    names = ["sso-saml", "bots", "audit-export"]
    assert catalogue().enterprise_only(names) == ("audit-export", "sso-saml")


@pytest.mark.parametrize(
    ("typed", "near"),
    [("insight", "insights"), ("SSO-SAML", "sso-saml"), ("round_table", "round-table")],
)  # fmt: skip - one line reads best
def test_an_unknown_name_leads_to_the_nearest(typed: str, near: str) -> None:
    """A slip of the finger is answered with what was probably meant."""
    with pytest.raises(InvalidTerms, match=f"unknown feature {typed}") as caught:
        catalogue().require_known(["bots", typed])
    assert caught.value.hint == f"did you mean {near}?"


def test_a_name_like_no_other_leads_to_the_list() -> None:
    """Where nothing is near, everything is named, and where newer ones are declared."""
    with pytest.raises(InvalidTerms) as caught:
        catalogue().require_known(["xyzzy"])
    assert "audit-export, automations, bots" in (caught.value.hint or "")
    assert (caught.value.hint or "").endswith("newer modules: the setting features")


def test_a_steering_name_is_escaped() -> None:
    """A feature typed with an escape sequence is shown, not obeyed."""
    with pytest.raises(InvalidTerms) as caught:
        catalogue().require_known(["\x1b[2J"])
    assert "\x1b" not in caught.value.message
