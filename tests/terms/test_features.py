"""The issuer's catalogue: FORMAT §2 and what the settings add."""

import pytest

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.terms import catalogue

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
