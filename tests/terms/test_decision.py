"""The next license's terms: absent means as now, what was typed wins, nonsense is refused."""

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


def decided(changes: Changes, current: Terms | None) -> Terms:
    """The terms of a first license, or of one that follows `current`."""
    if current is None:
        return first_terms(ANNUAL, changes, KNOWN)
    return next_terms(current, changes, KNOWN)


def refusal(changes: Changes, current: Terms | None = None) -> InvalidTerms:
    """The error for these changes, of a first license or of one that follows `current`."""
    with pytest.raises(InvalidTerms) as caught:
        decided(changes, current)
    return caught.value


def test_a_first_license_takes_its_plan() -> None:
    """Without an option the plan decides everything; features come sorted."""
    assert first_terms(ANNUAL, Changes(), KNOWN) == Terms(
        tier=Tier.STANDARD, features=("bots", "memory"), limits=ANNUAL.limits
    )


def test_a_named_plan_wins_over_the_default_one() -> None:
    """`--plan` is the operator's word; the given one merely fills in."""
    assert first_terms(ANNUAL, Changes(plan=BIG), KNOWN).limits == BIG.limits


def test_options_win_over_the_plan() -> None:
    """Each typed term replaces the plan's; the others stay."""
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
    """`features` replaces the plan's, also by nothing."""
    assert first_terms(ANNUAL, Changes(features=()), KNOWN).features == ()


def test_a_plan_with_an_unknown_feature_is_refused() -> None:
    """Whoever made the plan, no server knows that name."""
    with pytest.raises(InvalidTerms, match="unknown feature bits"):
        first_terms(replace(ANNUAL, features=("bits",)), Changes(), KNOWN)
    with pytest.raises(InvalidTerms, match="unknown feature bits"):
        next_terms(STANDARD, Changes(plan=replace(ANNUAL, features=("bits",))), KNOWN)


@pytest.mark.parametrize("current", [STANDARD, ENTERPRISE])
def test_an_absent_term_means_as_now(current: Terms) -> None:
    """A renewal without terms changes none."""
    dates_only = Changes(term=Term(years=1), basis="now")
    assert next_terms(current, Changes(), KNOWN) == current
    assert next_terms(current, dates_only, KNOWN) == current


def test_each_option_changes_its_own_term() -> None:
    """What was typed changes, the rest stays as now."""
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


def test_features_are_added_and_removed_one_by_one() -> None:
    """The others stay; the result is sorted."""
    changes = Changes(add_features=("memory", "automations"), remove_features=("insights",))
    assert next_terms(STANDARD, changes, KNOWN).features == ("automations", "bots", "memory")


def test_adding_what_is_there_is_harmless() -> None:
    """Also twice: a command can be repeated."""
    assert next_terms(STANDARD, Changes(add_features=("bots", "bots")), KNOWN) == STANDARD
    assert next_terms(STANDARD, Changes(features=("insights", "bots", "bots")), KNOWN) == STANDARD


def test_no_domain_where_there_is_none_is_harmless() -> None:
    """It says what is so already."""
    assert next_terms(STANDARD, Changes(no_allowed_domain=True), KNOWN) == STANDARD


def test_a_plan_replaces_tier_features_and_limits() -> None:
    """The domain is no part of a plan and stays."""
    changed = next_terms(ENTERPRISE, Changes(plan=BIG), KNOWN)
    assert changed == Terms(
        tier=Tier.ENTERPRISE,
        features=("bots", "sso-saml"),
        limits=BIG.limits,
        allowed_domain=DOMAIN,
    )


def test_options_win_over_a_plan_on_renewal() -> None:
    """`--plan big --users 300 --add-feature insights` is the plan and these two."""
    changes = Changes(plan=BIG, users=300, add_features=("insights",))
    changed = next_terms(STANDARD, changes, KNOWN)
    assert changed.features == ("bots", "insights", "sso-saml")
    assert changed.limits == Limits(users=300, session_hosts=50, deploy_hosts=40)


def test_a_standard_license_can_become_enterprise() -> None:
    """Features stay and enterprise ones may come, in the same command."""
    changes = Changes(
        tier=Tier.ENTERPRISE, add_features=("multi-tenant",), allowed_domain=OTHER_DOMAIN
    )
    changed = next_terms(STANDARD, changes, KNOWN)
    assert changed.tier is Tier.ENTERPRISE
    assert changed.features == ("bots", "insights", "multi-tenant")
    assert changed.allowed_domain == OTHER_DOMAIN


def test_an_enterprise_license_becomes_standard_only_without_its_rights() -> None:
    """Neither domain nor features are dropped silently; the hint is the rest of the command."""
    error = refusal(Changes(tier=Tier.STANDARD), ENTERPRISE)
    assert error.message == (
        "a standard license cannot have the feature audit-export and the feature sso-saml and "
        "an allowed domain"
    )
    assert error.hint == (
        "add --remove-feature audit-export --remove-feature sso-saml --no-allowed-domain"
    )


def test_with_its_rights_removed_an_enterprise_license_becomes_standard() -> None:
    """The hint of the refusal works."""
    changes = Changes(
        tier=Tier.STANDARD,
        remove_features=("audit-export", "sso-saml"),
        no_allowed_domain=True,
    )
    assert next_terms(ENTERPRISE, changes, KNOWN) == Terms(
        tier=Tier.STANDARD, features=("bots",), limits=ENTERPRISE.limits
    )


def test_a_standard_plan_drops_features_but_no_domain() -> None:
    """A plan replaces features; the domain goes only when that was typed."""
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
    """Typed for a standard license they are refused, first or later, with the ways out."""
    assert refusal(changes, current).hint == hint


def test_a_first_license_is_led_to_another_plan() -> None:
    """`sign` has no `--remove-feature`: the hint names what it has."""
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
            "feature memory is both added and removed",
        ),
    ],
)
@pytest.mark.parametrize("current", [None, ENTERPRISE])
def test_options_that_contradict_each_other_are_refused(
    changes: Changes, message: str, current: Terms | None
) -> None:
    """Neither silently wins."""
    error = refusal(changes, current)
    assert message in error.message
    assert error.hint is not None


def test_a_term_and_a_basis_go_together() -> None:
    """`--term 1y --from now` is no contradiction."""
    changes = Changes(term=Term(years=1), basis="now", allowed_domain=DOMAIN)
    assert next_terms(ENTERPRISE, changes, KNOWN) == ENTERPRISE


def test_an_unknown_feature_is_refused_with_the_nearest() -> None:
    """Whether it is set or added."""
    for changes in (Changes(features=("memori",)), Changes(add_features=("memori",))):
        for current in (None, STANDARD):
            error = refusal(changes, current)
            assert error.message == "unknown feature memori"
            assert error.hint == "did you mean memory?"


def test_removing_what_is_not_there_is_refused_with_the_nearest() -> None:
    """A misspelt `--remove-feature` must not leave the feature in place unnoticed."""
    error = refusal(Changes(remove_features=("insight",)), STANDARD)
    assert error.message == "feature insight cannot be removed: the license does not have it"
    assert error.hint == "did you mean insights?"
    error = refusal(Changes(remove_features=("planner",)), STANDARD)
    assert error.hint == "it has bots, insights"
    error = refusal(Changes(remove_features=("bots",)), replace(STANDARD, features=()))
    assert error.hint == "it has no features"
    error = refusal(Changes(remove_features=("insights",)))
    assert error.message == "feature insights cannot be removed: the plan does not have it"


def test_removing_what_the_plan_already_drops_is_harmless() -> None:
    """`--plan annual --remove-feature insights` names the loss; it is no slip."""
    changes = Changes(plan=ANNUAL, remove_features=("insights",))
    assert next_terms(STANDARD, changes, KNOWN).features == ("bots", "memory")


def test_a_feature_that_was_issued_stays() -> None:
    """A module that only another operator's settings know is carried on, and can be removed."""
    current = replace(STANDARD, features=("bots", "quantum"))
    assert next_terms(current, Changes(users=11), KNOWN).features == ("bots", "quantum")
    assert next_terms(current, Changes(add_features=("quantum",)), KNOWN) == current
    changed = next_terms(current, Changes(remove_features=("quantum",)), KNOWN)
    assert changed.features == ("bots",)


@pytest.mark.parametrize(
    ("name", "lowest"), [("users", 1), ("session_hosts", 0), ("deploy_hosts", 0)]
)
def test_limits_have_their_range(name: str, lowest: int) -> None:
    """FORMAT §1, at both ends, first and later; the message says the range."""
    for value in (lowest, 1_000_000):
        typed = Changes(users=value) if name == "users" else Changes(session_hosts=value)
        typed = Changes(deploy_hosts=value) if name == "deploy_hosts" else typed
        assert getattr(next_terms(STANDARD, typed, KNOWN).limits, name) == value
    for value in (lowest - 1, 1_000_001, 10**18):
        with pytest.raises(InvalidTerms) as caught:
            check_limit(name, value)
        told = name.replace("_", " ")
        assert caught.value.message == f"{told} must be {lowest} to 1,000,000, not {value}"


@pytest.mark.parametrize("value", [-1, 1_000_001])
def test_a_limit_out_of_range_is_refused(value: int) -> None:
    """Every limit is judged, whatever it came from."""
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
    """What may be issued is what a server takes, no more and no less."""
    for claim, name in (
        ("users", "users"),
        ("sessionHosts", "session_hosts"),
        ("deployHosts", "deploy_hosts"),
    ):
        claims = {"users": 1, "sessionHosts": 1, "deployHosts": 1} | {claim: value}
        taken = _accepted(partial(Limits.from_claims, {"limits": claims}))
        assert _accepted(partial(check_limit, name, value)) == taken


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
def test_what_comes_out_may_be_issued(current: Terms | None, changes: Changes) -> None:
    """Whatever is typed, it is refused as ours or keeps every rule of FORMAT §1 and §2."""
    try:
        terms = decided(changes, current)
    except InvalidTerms as error:
        assert error.message  # noqa: PT017 - refusal is one of the two right answers
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
