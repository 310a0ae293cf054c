"""Findings and consent: what is risky is never silent, and nothing is accepted by accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import ExitCode
from polygent_issuer.findings import Consent, ConsentNeeded, Finding, FindingCode, require

STALE = Finding(
    code=FindingCode.STALE_MACHINE_INFO,
    message="the document is 20 days old",
    hint="ask the customer to download it again",
)
LOSS = Finding(code=FindingCode.ENTITLEMENT_LOSS, message="10 users instead of 25")
OTHER_LOSS = Finding(code=FindingCode.ENTITLEMENT_LOSS, message="feature bots is lost")

codes = st.sampled_from(sorted(FindingCode))
findings = st.lists(st.builds(Finding, code=codes, message=st.text(max_size=9)), max_size=6)
consents = st.builds(Consent, accepted=st.frozensets(codes), reason=st.none())


def test_the_codes_are_those_of_the_design() -> None:
    """`--accept` takes exactly these, for ever."""
    assert {str(code) for code in FindingCode} == {
        "stale-machine-info",
        "implausible-fingerprint",
        "machine-of-another-customer",
        "additional-machine",
        "claimed-customer",
        "entitlement-loss",
        "long-term",
        "similar-customer",
        "not-due",
        "clock-behind",
        "key-rollout",
        "registry-rollback",
    }


def test_no_consent_accepts_nothing() -> None:
    """An empty consent lets no finding pass."""
    with pytest.raises(ConsentNeeded):
        require([STALE], Consent())


def test_nothing_found_needs_no_consent() -> None:
    """Without a finding everybody passes, and nothing counts as used."""
    require([], Consent())
    assert Consent(accepted=frozenset({FindingCode.LONG_TERM})).used([]) == ()


def test_accepting_one_code_leaves_the_other_missing() -> None:
    """Consent to one risk is no consent to another."""
    consent = Consent(accepted=frozenset({STALE.code}))
    assert consent.missing([STALE, LOSS]) == (LOSS,)
    with pytest.raises(ConsentNeeded) as caught:
        require([STALE, LOSS], consent)
    assert caught.value.findings == (LOSS,)


def test_one_code_accepts_every_finding_of_it() -> None:
    """`--accept entitlement-loss` covers all the losses that were shown."""
    consent = Consent(accepted=frozenset({LOSS.code}))
    require([LOSS, OTHER_LOSS], consent)
    assert consent.used([LOSS, OTHER_LOSS]) == (FindingCode.ENTITLEMENT_LOSS,)


def test_an_unneeded_code_is_harmless_and_not_noted() -> None:
    """The journal keeps what was needed, not what was offered."""
    consent = Consent(accepted=frozenset({LOSS.code, FindingCode.NOT_DUE, STALE.code}))
    assert consent.used([STALE, LOSS]) == (LOSS.code, STALE.code)


def test_the_error_names_every_finding_and_the_flags() -> None:
    """Off a terminal the operator reads what it was and can repeat the command."""
    error = ConsentNeeded((STALE, LOSS, OTHER_LOSS))
    assert (error.code, error.exit_code) == ("consent_needed", ExitCode.CONSENT)
    assert error.message == (
        "consent needed: stale-machine-info: the document is 20 days old; "
        "entitlement-loss: 10 users instead of 25; entitlement-loss: feature bots is lost"
    )
    assert error.hint == (
        "to go on, add --accept entitlement-loss --accept stale-machine-info --reason TEXT; "
        "or ask the customer to download it again"
    )
    assert not error.reason_missing


def test_the_hint_without_an_alternative_ends_with_the_flags() -> None:
    """A finding without a hint of its own leaves no dangling `or`."""
    error = ConsentNeeded((LOSS,))
    assert error.hint == "to go on, add --accept entitlement-loss --reason TEXT"


def test_only_the_reason_is_missing() -> None:
    """What was accepted is not asked for again."""
    error = ConsentNeeded((LOSS,), reason_missing=True)
    assert error.message == "entitlement-loss is accepted without a reason"
    assert error.hint == "add --reason TEXT"
    assert error.reason_missing


def test_a_reason_may_be_required() -> None:
    """Off a terminal nothing is accepted without one; where nothing was found none is needed."""
    accepted = frozenset({LOSS.code})
    require([LOSS], Consent(accepted=accepted))
    require([LOSS], Consent(accepted=accepted, reason="asked for"), with_reason=True)
    require([], Consent(), with_reason=True)
    with pytest.raises(ConsentNeeded) as caught:
        require([LOSS], Consent(accepted=accepted), with_reason=True)
    assert caught.value.reason_missing
    with pytest.raises(ConsentNeeded) as caught:
        require([LOSS, STALE], Consent(accepted=accepted), with_reason=True)
    assert caught.value.findings == (STALE,)
    assert not caught.value.reason_missing


@given(findings, consents)
def test_each_finding_is_either_missing_or_used(found: list[Finding], consent: Consent) -> None:
    """Nothing gets lost between the two, and the order of the findings is kept."""
    missing = consent.missing(found)
    assert {f.code for f in missing}.isdisjoint(consent.used(found))
    assert {f.code for f in missing} | set(consent.used(found)) == {f.code for f in found}
    assert list(missing) == [f for f in found if f in missing]
