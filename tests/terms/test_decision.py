"""The terms of the next license: plan, current terms, options and their contradictions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.decision import first_terms, next_terms
from polygent_issuer.terms.parsing import Changes, Plan, Terms, catalogue, check_limit
from polygent_issuer.verifier import AllowedDomain, LicenseError, Tier
from polygent_issuer.verifier.license import Limits

KNOWN = catalogue()
DOMAIN = AllowedDomain("*.acme.internal")
OTHER_DOMAIN = AllowedDomain("*.globex.internal")
ANNUAL = Plan(
    name="annual",
    tier=Tier.STANDARD,
    features=("bots", "memory"),
    limits=Limits(users=25, session_hosts=5, deploy_hosts=4),
    term=Term(years=1),
)
BIG = Plan(
    name="big",
    tier=Tier.ENTERPRISE,
    features=("sso-saml", "bots"),
    limits=Limits(users=250, session_hosts=50, deploy_hosts=40),
    term=Term(years=1),
)
STANDARD = Terms(
    tier=Tier.STANDARD,
    features=("bots", "insights"),
    limits=Limits(users=10, session_hosts=2, deploy_hosts=1),
)
ENTERPRISE = Terms(
    tier=Tier.ENTERPRISE,
    features=("audit-export", "bots", "sso-saml"),
    limits=Limits(users=100, session_hosts=20, deploy_hosts=10),
    allowed_domain=DOMAIN,
)


def decide(changes: Changes, current: Terms | None) -> Terms:
    """Return the terms of a first license, or of the one after `current`."""
    if current is None:
        return first_terms(ANNUAL, changes, KNOWN)
    return next_terms(current, changes, KNOWN)


def refusal(changes: Changes, current: Terms | None = None) -> InvalidTerms:
    """Return the error for these changes, for a first license or the one after `current`."""
    with pytest.raises(InvalidTerms) as caught:
        decide(changes, current)
    return caught.value


def test_a_first_license_takes_its_plan() -> None:
    """Without options the terms are those of the plan, with sorted features."""
    assert first_terms(ANNUAL, Changes(), KNOWN) == Terms(
        tier=Tier.STANDARD, features=("bots", "memory"), limits=ANNUAL.limits
    )


def test_a_given_plan_overrides_the_default_one() -> None:
    """`--plan` overrides the default plan."""
    assert first_terms(ANNUAL, Changes(plan=BIG), KNOWN).limits == BIG.limits


def test_options_override_the_plan() -> None:
    """Each option replaces a term of the plan, and the other terms stay."""
    changes = Changes(
        tier=Tier.ENTERPRISE,
        users=7,
        deploy_hosts=0,
        allowed_domain=DOMAIN,
        features=("sso-saml", "bots"),
    )
    assert first_terms(ANNUAL, changes, KNOWN) == Terms(
        tier=Tier.ENTERPRISE,
        features=("bots", "sso-saml"),
        limits=Limits(users=7, session_hosts=5, deploy_hosts=0),
        allowed_domain=DOMAIN,
    )


def test_an_empty_set_of_features_means_none() -> None:
    """An empty set of features replaces the features of the plan."""
    assert first_terms(ANNUAL, Changes(features=()), KNOWN).features == ()


def test_a_plan_with_an_unknown_feature_is_refused() -> None:
    """A plan with an unknown feature is refused for a first and for a later license."""
    with pytest.raises(InvalidTerms, match="unknown feature bits"):
        first_terms(replace(ANNUAL, features=("bits",)), Changes(), KNOWN)
    with pytest.raises(InvalidTerms, match="unknown feature bits"):
        next_terms(STANDARD, Changes(plan=replace(ANNUAL, features=("bits",))), KNOWN)


@pytest.mark.parametrize("current", [STANDARD, ENTERPRISE])
def test_an_absent_term_means_as_now(current: Terms) -> None:
    """A renewal without options for terms changes no term."""
    dates_only = Changes(term=Term(years=1), basis="now")
    assert next_terms(current, Changes(), KNOWN) == current
    assert next_terms(current, dates_only, KNOWN) == current


def test_each_option_changes_its_own_term() -> None:
    """Each option changes one term, and the others stay."""
    changed = next_terms(ENTERPRISE, Changes(users=5), KNOWN)
    assert changed == replace(ENTERPRISE, limits=replace(ENTERPRISE.limits, users=5))
    changed = next_terms(ENTERPRISE, Changes(session_hosts=0), KNOWN)
    assert changed == replace(ENTERPRISE, limits=replace(ENTERPRISE.limits, session_hosts=0))
    changed = next_terms(ENTERPRISE, Changes(deploy_hosts=11), KNOWN)
    assert changed == replace(ENTERPRISE, limits=replace(ENTERPRISE.limits, deploy_hosts=11))
    changed = next_terms(ENTERPRISE, Changes(allowed_domain=OTHER_DOMAIN), KNOWN)
    assert changed == replace(ENTERPRISE, allowed_domain=OTHER_DOMAIN)
    changed = next_terms(ENTERPRISE, Changes(no_allowed_domain=True), KNOWN)
    assert changed == replace(ENTERPRISE, allowed_domain=None)


def test_single_features_are_added_and_removed() -> None:
    """The other features stay, and the result is sorted."""
    changes = Changes(add_features=("memory", "automations"), remove_features=("insights",))
    assert next_terms(STANDARD, changes, KNOWN).features == ("automations", "bots", "memory")


def test_adding_a_present_feature_is_harmless() -> None:
    """Adding or setting a feature twice has no effect."""
    assert next_terms(STANDARD, Changes(add_features=("bots", "bots")), KNOWN) == STANDARD
    assert next_terms(STANDARD, Changes(features=("insights", "bots", "bots")), KNOWN) == STANDARD


def test_removing_an_absent_domain_is_harmless() -> None:
    """`--no-allowed-domain` has no effect on a license without a domain."""
    assert next_terms(STANDARD, Changes(no_allowed_domain=True), KNOWN) == STANDARD


def test_a_plan_replaces_tier_features_and_limits() -> None:
    """`--plan` replaces tier, features and limits; the domain stays."""
    changed = next_terms(ENTERPRISE, Changes(plan=BIG), KNOWN)
    assert changed == Terms(
        tier=Tier.ENTERPRISE,
        features=("bots", "sso-saml"),
        limits=BIG.limits,
        allowed_domain=DOMAIN,
    )


def test_options_override_a_plan_on_renewal() -> None:
    """Options next to `--plan` override its terms."""
    changes = Changes(plan=BIG, users=300, add_features=("insights",))
    changed = next_terms(STANDARD, changes, KNOWN)
    assert changed.features == ("bots", "insights", "sso-saml")
    assert changed.limits == Limits(users=300, session_hosts=50, deploy_hosts=40)


def test_a_standard_license_can_become_enterprise() -> None:
    """A standard license can become enterprise and get enterprise features in one command."""
    changes = Changes(
        tier=Tier.ENTERPRISE, add_features=("multi-tenant",), allowed_domain=OTHER_DOMAIN
    )
    changed = next_terms(STANDARD, changes, KNOWN)
    assert changed.tier is Tier.ENTERPRISE
    assert changed.features == ("bots", "insights", "multi-tenant")
    assert changed.allowed_domain == OTHER_DOMAIN


def test_an_enterprise_license_with_enterprise_rights_cannot_become_standard() -> None:
    """Domain and features are not removed silently; the hint has the options that do it."""
    error = refusal(Changes(tier=Tier.STANDARD), ENTERPRISE)
    assert error.message == (
        "a standard license cannot have the feature audit-export and the feature sso-saml and "
        "an allowed domain"
    )
    assert error.hint == (
        "add --remove-feature audit-export --remove-feature sso-saml --no-allowed-domain"
    )


def test_an_enterprise_license_without_enterprise_rights_can_become_standard() -> None:
    """The options of the error's hint work."""
    changes = Changes(
        tier=Tier.STANDARD,
        remove_features=("audit-export", "sso-saml"),
        no_allowed_domain=True,
    )
    assert next_terms(ENTERPRISE, changes, KNOWN) == Terms(
        tier=Tier.STANDARD, features=("bots",), limits=ENTERPRISE.limits
    )


def test_a_standard_plan_removes_features_but_not_the_domain() -> None:
    """A plan replaces the features; the domain is removed only by its option."""
    error = refusal(Changes(plan=ANNUAL), ENTERPRISE)
    assert error.message == "a standard license cannot have an allowed domain"
    assert error.hint == "add --tier enterprise, or add --no-allowed-domain"
    changed = next_terms(ENTERPRISE, Changes(plan=ANNUAL, no_allowed_domain=True), KNOWN)
    assert changed == first_terms(ANNUAL, Changes(), KNOWN)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        (Changes(allowed_domain=DOMAIN), "add --tier enterprise, or leave out --allowed-domain"),
        (Changes(add_features=("sso-saml",)), "add --tier enterprise, or leave out sso-saml"),
        (
            Changes(features=("multi-tenant",), tier=Tier.STANDARD, allowed_domain=DOMAIN),
            "leave out multi-tenant, --allowed-domain",
        ),
    ],
)
@pytest.mark.parametrize("current", [None, STANDARD])
def test_enterprise_rights_need_the_enterprise_tier(
    changes: Changes, hint: str, current: Terms | None
) -> None:
    """Enterprise rights for a standard license are refused; the hint has the alternatives."""
    assert refusal(changes, current).hint == hint


def test_the_hint_for_a_first_license_names_the_plan() -> None:
    """The hint for `sign`, which has no `--remove-feature`, names `--plan`."""
    with pytest.raises(InvalidTerms) as caught:
        first_terms(BIG, Changes(tier=Tier.STANDARD), KNOWN)
    assert caught.value.hint == "choose a standard --plan"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            Changes(term=Term(years=1), expires=datetime(2027, 1, 1, tzinfo=UTC)),
            "--term and --expires",
        ),
        (Changes(basis="now", expires=datetime(2027, 1, 1, tzinfo=UTC)), "--from and --expires"),
        (
            Changes(allowed_domain=DOMAIN, no_allowed_domain=True),
            "--allowed-domain and --no-allowed-domain",
        ),
        (Changes(features=(), add_features=("bots",)), "--feature and --add-feature"),
        (Changes(features=(), remove_features=("bots",)), "--feature and --remove-feature"),
        (
            Changes(add_features=("memory",), remove_features=("memory",)),
            "the feature memory is both added and removed",
        ),
    ],
)
@pytest.mark.parametrize("current", [None, ENTERPRISE])
def test_options_that_contradict_each_other_are_refused(
    changes: Changes, message: str, current: Terms | None
) -> None:
    """Options that contradict each other are refused with a hint."""
    error = refusal(changes, current)
    assert message in error.message
    assert error.hint is not None


def test_a_term_and_a_basis_go_together() -> None:
    """`--term 1y --from now` is allowed."""
    changes = Changes(term=Term(years=1), basis="now", allowed_domain=DOMAIN)
    assert next_terms(ENTERPRISE, changes, KNOWN) == ENTERPRISE


def test_an_unknown_feature_is_refused() -> None:
    """An unknown feature is refused if it is set or added; the hint names a similar one."""
    for changes in (Changes(features=("memori",)), Changes(add_features=("memori",))):
        for current in (None, STANDARD):
            error = refusal(changes, current)
            assert error.message == "unknown feature memori"
            assert error.hint == "did you mean memory?"


def test_removing_an_absent_feature_is_refused() -> None:
    """An absent feature in `--remove-feature` is refused; the hint names a similar one."""
    error = refusal(Changes(remove_features=("insight",)), STANDARD)
    assert error.message == "cannot remove the feature insight: the license does not have it"
    assert error.hint == "did you mean insights?"
    error = refusal(Changes(remove_features=("planner",)), STANDARD)
    assert error.hint == "the license has bots, insights"
    error = refusal(Changes(remove_features=("bots",)), replace(STANDARD, features=()))
    assert error.hint == "the license has no features"
    error = refusal(Changes(remove_features=("insights",)))
    assert error.message == "cannot remove the feature insights: the plan does not have it"


def test_removing_a_feature_that_the_plan_removes_is_harmless() -> None:
    """`--remove-feature` may name a feature that `--plan` removes as well."""
    changes = Changes(plan=ANNUAL, remove_features=("insights",))
    assert next_terms(STANDARD, changes, KNOWN).features == ("bots", "memory")


def test_a_feature_that_was_issued_stays() -> None:
    """A feature that only another operator's settings have stays, and can be removed."""
    current = replace(STANDARD, features=("bots", "quantum"))
    assert next_terms(current, Changes(users=11), KNOWN).features == ("bots", "quantum")
    assert next_terms(current, Changes(add_features=("quantum",)), KNOWN) == current
    changed = next_terms(current, Changes(remove_features=("quantum",)), KNOWN)
    assert changed.features == ("bots",)


@pytest.mark.parametrize(
    ("name", "lowest"), [("users", 1), ("session_hosts", 0), ("deploy_hosts", 0)]
)
def test_limits_have_their_range(name: str, lowest: int) -> None:
    """A limit has the range of FORMAT §1, which the message contains."""
    for value in (lowest, 1_000_000):
        typed = Changes(users=value) if name == "users" else Changes(session_hosts=value)
        typed = Changes(deploy_hosts=value) if name == "deploy_hosts" else typed
        assert getattr(next_terms(STANDARD, typed, KNOWN).limits, name) == value
    for value in (lowest - 1, 1_000_001, 10**18):
        with pytest.raises(InvalidTerms) as caught:
            check_limit(name, value)
        words = name.replace("_", " ")
        assert caught.value.message == f"{words} must be {lowest} to 1,000,000, not {value}"


@pytest.mark.parametrize("value", [-1, 1_000_001])
def test_a_limit_out_of_range_is_refused(value: int) -> None:
    """A limit is checked, no matter if it comes from an option or a plan."""
    for changes in (
        Changes(users=value),
        Changes(session_hosts=value),
        Changes(deploy_hosts=value),
        Changes(plan=replace(ANNUAL, limits=replace(ANNUAL.limits, deploy_hosts=value))),
    ):
        assert "must be" in refusal(changes, STANDARD).message
        assert "must be" in refusal(changes).message


@pytest.mark.parametrize("value", [-1, 0, 1, 1_000_000, 1_000_001])
def test_the_issuer_and_the_verifier_agree_on_limits(value: int) -> None:
    """The issuer accepts exactly the limits that the verifier accepts."""
    for claim, name in (
        ("users", "users"),
        ("sessionHosts", "session_hosts"),
        ("deployHosts", "deploy_hosts"),
    ):
        claims = {"users": 1, "sessionHosts": 1, "deployHosts": 1} | {claim: value}
        verified = _accepted(partial(Limits.from_claims, {"limits": claims}))
        assert _accepted(partial(check_limit, name, value)) == verified


def _accepted(check: Callable[[], object]) -> bool:
    try:
        check()
    except (LicenseError, InvalidTerms):
        return False
    return True


names = st.sampled_from(sorted(KNOWN.names))
tiers = st.sampled_from(Tier)
numbers = st.none() | st.integers(-1, 1_000_001)
any_changes = st.builds(
    Changes,
    plan=st.none() | st.sampled_from([ANNUAL, BIG]),
    tier=st.none() | tiers,
    users=numbers,
    session_hosts=numbers,
    deploy_hosts=numbers,
    allowed_domain=st.none() | st.just(OTHER_DOMAIN),
    no_allowed_domain=st.booleans(),
    features=st.none() | st.lists(names, max_size=3).map(tuple),
    add_features=st.lists(names, max_size=2).map(tuple),
    remove_features=st.lists(names, max_size=2).map(tuple),
)


@given(st.sampled_from([None, STANDARD, ENTERPRISE]), any_changes)
def test_the_new_terms_are_valid(current: Terms | None, changes: Changes) -> None:
    """Any changes raise `InvalidTerms`, or give terms that follow FORMAT §1 and §2."""
    try:
        terms = decide(changes, current)
    except InvalidTerms as error:
        assert error.message  # noqa: PT017 - an error is allowed
        return
    assert list(terms.features) == sorted(set(terms.features))
    assert set(terms.features) <= KNOWN.names
    assert set(changes.add_features) <= set(terms.features)
    assert not set(changes.remove_features) & set(terms.features)
    if terms.tier is Tier.STANDARD:
        assert terms.allowed_domain is None
        assert not KNOWN.enterprise & set(terms.features)
    for name in ("users", "session_hosts", "deploy_hosts"):
        check_limit(name, getattr(terms.limits, name))
        typed = getattr(changes, name)
        assert typed in (None, getattr(terms.limits, name))
