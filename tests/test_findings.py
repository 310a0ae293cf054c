"""Findings and consent: no risk is accepted silently or by accident."""

from dataclasses import replace

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
LOSS = Finding(
    code=FindingCode.ENTITLEMENT_LOSS, message="Acme would lose: users (10 instead of 25)"
)
OTHER_LOSS = Finding(code=FindingCode.ENTITLEMENT_LOSS, message="Acme would lose: the feature bots")

codes = st.sampled_from(sorted(FindingCode))
findings = st.lists(st.builds(Finding, code=codes, message=st.text(max_size=9)), max_size=6)
consents = st.builds(Consent, accepted=st.frozensets(codes), reason=st.none())


def test_the_codes_are_those_of_the_design() -> None:
    """`--accept` takes exactly these codes, which never change."""
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
        "on-hold",
        "weak-passphrase",
        "clock-behind",
        "key-rollout",
        "registry-rollback",
    }


def test_no_consent_accepts_nothing() -> None:
    """An empty consent covers no finding."""
    with pytest.raises(ConsentNeeded):
        require([STALE], Consent())


def test_no_finding_needs_no_consent() -> None:
    """Without a finding no consent is required, and no code counts as used."""
    require([], Consent())
    assert Consent(accepted=frozenset({FindingCode.LONG_TERM})).used([]) == ()


def test_accepting_one_code_leaves_the_other_missing() -> None:
    """Consent to one risk does not cover another."""
    consent = Consent(accepted=frozenset({STALE.code}))
    assert consent.missing([STALE, LOSS]) == (LOSS,)
    with pytest.raises(ConsentNeeded) as caught:
        require([STALE, LOSS], consent)
    assert caught.value.findings == (LOSS,)


def test_one_code_accepts_every_finding_of_it() -> None:
    """`--accept entitlement-loss` covers every loss that was reported."""
    consent = Consent(accepted=frozenset({LOSS.code}))
    require([LOSS, OTHER_LOSS], consent)
    assert consent.used([LOSS, OTHER_LOSS]) == (FindingCode.ENTITLEMENT_LOSS,)


def test_an_unneeded_code_is_harmless_and_not_recorded() -> None:
    """The journal records the codes that were needed, not all that were given."""
    consent = Consent(accepted=frozenset({LOSS.code, FindingCode.NOT_DUE, STALE.code}))
    assert consent.used([STALE, LOSS]) == (LOSS.code, STALE.code)


def test_the_error_names_every_finding_and_the_flags() -> None:
    """Without a terminal the error names each finding and the options that accept it."""
    error = ConsentNeeded((STALE, LOSS, OTHER_LOSS))
    assert (error.code, error.exit_code) == ("consent_needed", ExitCode.CONSENT)
    assert error.message == (
        "consent needed: stale-machine-info: the document is 20 days old; "
        "entitlement-loss: Acme would lose: users (10 instead of 25); "
        "entitlement-loss: Acme would lose: the feature bots"
    )
    assert error.hint == (
        "to continue, add --accept entitlement-loss --accept stale-machine-info --reason TEXT; "
        "or ask the customer to download it again"
    )
    assert not error.reason_missing


def test_each_of_several_alternatives_has_its_code() -> None:
    """With several hints, each is preceded by the code of its finding, and none is repeated."""
    loss = replace(LOSS, hint="add --users")
    error = ConsentNeeded((STALE, loss, loss))
    assert error.hint == (
        "to continue, add --accept entitlement-loss --accept stale-machine-info --reason TEXT; "
        "for stale-machine-info: ask the customer to download it again; "
        "for entitlement-loss: add --users"
    )


def test_the_hint_without_an_alternative_ends_with_the_flags() -> None:
    """The hint of a finding without its own hint ends without `or`."""
    error = ConsentNeeded((LOSS,))
    assert error.hint == "to continue, add --accept entitlement-loss --reason TEXT"


def test_a_missing_reason_is_reported_alone() -> None:
    """If only the reason is missing, the error does not ask for consent again."""
    error = ConsentNeeded((LOSS,), reason_missing=True)
    assert error.message == "a reason is required to accept entitlement-loss"
    assert error.hint == "add --reason TEXT"
    assert error.reason_missing


def test_a_reason_may_be_required() -> None:
    """`with_reason` requires a reason for accepted findings, and none without a finding."""
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
def test_each_finding_is_either_missing_or_used(every: list[Finding], consent: Consent) -> None:
    """No finding gets lost between the two, and the order of the findings is kept."""
    missing = consent.missing(every)
    assert {f.code for f in missing}.isdisjoint(consent.used(every))
    assert {f.code for f in missing} | set(consent.used(every)) == {f.code for f in every}
    assert list(missing) == [f for f in every if f in missing]
