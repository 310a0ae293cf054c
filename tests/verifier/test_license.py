"""FORMAT §1, the payload: licenses as values, in addition to the vectors."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.signing import ENTERPRISE, EXP, IAT, STANDARD, payload
from verifier.strategies import claims, json_values

from polygent_issuer.verifier import AllowedDomain, License, LicenseError, Limits, Tier


def _refusal(changed: dict[str, Any]) -> LicenseError:
    with pytest.raises(LicenseError) as refused:
        License.from_claims(changed)
    assert refused.value.code == "invalid_claims"
    assert not refused.value.authentic
    return refused.value


@given(claims())
def test_round_trip(made: dict[str, Any]) -> None:
    """Claims → license → payload → license loses nothing, and the payload is canonical."""
    license_ = License.from_claims(made)
    data = license_.to_payload()
    assert License.from_payload(data) == license_
    assert license_.to_claims() == {**made, "features": sorted(made["features"])}
    expected = json.dumps(
        license_.to_claims(), sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    assert data == expected.encode()


@given(
    made=claims(), name=st.sampled_from([*STANDARD, "allowedDomain", "replaces"]), value=json_values
)
def test_any_value_of_any_claim_is_read_or_refused(
    made: dict[str, Any], name: str, value: Any
) -> None:
    """Any value of a claim gives a license, or LicenseError with a printable message."""
    try:
        license_ = License.from_claims({**made, name: value})
        License.from_payload(license_.to_payload())
    except LicenseError as error:
        refusal = error
    else:
        return
    assert refusal.code == "invalid_claims"
    assert refusal.message.isascii()
    assert refusal.message.isprintable()


@given(made=claims(), name=st.text(), value=json_values)
def test_unknown_names_are_ignored(made: dict[str, Any], name: str, value: Any) -> None:
    """A name that FORMAT does not list changes nothing, whatever its value."""
    listed = {*STANDARD, *ENTERPRISE, "replaces"}
    if name not in listed:
        assert License.from_claims({**made, name: value}) == License.from_claims(made)


def test_fields_are_the_claims() -> None:
    """Each claim is in its own field, in Python's types."""
    replaced = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    license_ = License.from_payload(
        payload(limits={"users": 7, "sessionHosts": 8, "deployHosts": 9})
    )
    assert license_ == License(
        ver=1,
        iss="polygent-operator",
        sub="example",
        jti=STANDARD["jti"],
        iat=IAT,
        exp=EXP,
        customer="Example GmbH",
        tier=Tier.STANDARD,
        machine_fingerprint=STANDARD["machineFingerprint"],
        features=("automations", "planner", "workflows"),
        limits=Limits(users=7, session_hosts=8, deploy_hosts=9),
    )
    enterprise = License.from_payload(payload(ENTERPRISE, replaces=[replaced]))
    assert enterprise.tier is Tier.ENTERPRISE
    assert enterprise.machine_fingerprint is None
    assert enterprise.allowed_domain == AllowedDomain.parse("*.example.internal")
    assert enterprise.replaces == (replaced,)


def test_instants_are_aware() -> None:
    """`iat` and `exp` are in UTC, to the last second of year 9999."""
    license_ = License.from_claims(STANDARD)
    assert license_.issued_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert license_.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert license_.expires_at.tzinfo is UTC
    last = License.from_claims({**STANDARD, "exp": 253_402_300_799})
    assert last.expires_at == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_features_are_written_sorted() -> None:
    """Features are read and written sorted, whatever their order in the file."""
    license_ = License.from_claims({**STANDARD, "features": ["workflows", "automations"]})
    assert license_.features == ("automations", "workflows")
    by_hand = replace(license_, features=("workflows", "automations"))
    assert b'"features":["automations","workflows"]' in by_hand.to_payload()


def test_a_newer_version_is_reported_first() -> None:
    """A greater `ver` gets the hint, even without any other claim; a missing one does not."""
    newer = _refusal({"ver": 2})
    assert newer.message == "ver: must be 1"
    assert "newer version" in str(newer.hint)
    assert _refusal({}).hint is None


@pytest.mark.parametrize("ver", ["1", "2", True, 0, -1, None, [2], {"2": 2}])
def test_another_ver_gets_no_hint_of_a_newer_version(ver: object) -> None:
    """A string or a smaller number is not from a newer version of the product."""
    refusal = _refusal({**STANDARD, "ver": ver})
    assert (refusal.message, refusal.hint) == ("ver: must be 1", None)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"limits": {"users": 0, "sessionHosts": 0, "deployHosts": 0}}, "limits.users: "),
        ({"limits": {"users": 1, "sessionHosts": 0}}, "limits.deployHosts: "),
        ({"features": ["a", "b", 3]}, "features[2]: "),
        ({"features": ["a", "B"]}, "features[1]: "),
        ({"replaces": ["x"]}, "replaces[0]: "),
        ({"customer": "a\x1b[31m"}, "customer: "),
        ({"iat": None}, "iat: must be an integer"),
        ({"tier": "gold"}, "tier: "),
        ({"allowedDomain": "a.b"}, "allowedDomain: "),
    ],
)
def test_message_names_the_claim(changes: dict[str, Any], path: str) -> None:
    """An error begins with the dotted path of the claim."""
    assert _refusal({**STANDARD, **changes}).message.startswith(path)


def test_a_missing_claim_and_a_wrong_one_differ() -> None:
    """An absent claim and one of the wrong type have different messages."""
    absent = {name: value for name, value in STANDARD.items() if name != "sub"}
    assert _refusal(absent).message == "sub: is missing"
    assert _refusal({**STANDARD, "sub": None}).message == "sub: must be a string"


def test_payload_refuses_a_lone_surrogate() -> None:
    """A text that cannot be UTF-8 raises our own error instead of UnicodeEncodeError."""
    license_ = License.from_claims(STANDARD)
    broken = replace(license_, customer="\ud800")
    with pytest.raises(LicenseError) as refused:
        broken.to_payload()
    assert refused.value.code == "invalid_claims"
