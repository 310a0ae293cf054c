"""FORMAT §5: the order, the report, the license in an error, and no foreign exception."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.signing import (
    ENTERPRISE,
    EXAMPLE,
    FINGERPRINT,
    STANDARD,
    STRANGER,
    compact,
    file,
    header,
    payload,
)
from verifier.strategies import ANY_TEXT, INSTANTS, any_circumstances, claims

from polygent_issuer.verifier import (
    CheckCode,
    ClockGuard,
    KeySet,
    License,
    LicenseError,
    Outcome,
    Report,
    Verifier,
)
from polygent_issuer.verifier.errors import NotAuthentic
from polygent_issuer.verifier.policy import NotAccepted

KEYS = KeySet.from_jwks(json.dumps({"keys": [EXAMPLE.jwk]}).encode(), allow_example=True)
VERIFIER = Verifier(KEYS)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
ACCEPTANCE = list(CheckCode)[4:]
CIRCUMSTANCES: dict[str, Any] = {"now": NOW, "fingerprint": FINGERPRINT}

AT_ROW: dict[CheckCode, tuple[bytes, dict[str, Any]]] = {
    CheckCode.MALFORMED: (b"x", {}),
    CheckCode.UNKNOWN_KEY: (file(payload(), header(kid="?")), {}),
    CheckCode.BAD_SIGNATURE: (file(payload(), None, STRANGER), {}),
    CheckCode.INVALID_CLAIMS: (file(b"{}"), {}),
    CheckCode.EXPIRED: (file(payload()), {"now": NOW + timedelta(days=999)}),
    CheckCode.NOT_YET_VALID: (file(payload()), {"now": NOW - timedelta(days=999)}),
    CheckCode.STALE_ISSUE_DATE: (file(payload()), {"freshness_window": timedelta(days=7)}),
    CheckCode.MACHINE_MISMATCH: (file(payload()), {"fingerprint": "00000000"}),
    CheckCode.DOMAIN_MISMATCH: (file(payload(ENTERPRISE)), {"host": "elsewhere.test"}),
    CheckCode.CLOCK_TAMPERED: (file(payload()), {"clock": ClockGuard(tampered=True)}),
}


def _outcomes(report: Report) -> dict[CheckCode, Outcome]:
    return {row.code: row.outcome for row in report.rows}


def _verdict(data: bytes, **arguments: Any) -> LicenseError | License:
    try:
        return VERIFIER.verify(data, **arguments)
    except LicenseError as error:
        return error


@pytest.mark.parametrize("code", CheckCode)
def test_each_check_refuses_with_its_code(code: CheckCode) -> None:
    """`verify` raises the code of the check, with the license only from row 5 on."""
    data, changes = AT_ROW[code]
    error = _verdict(data, **{**CIRCUMSTANCES, **changes})
    assert isinstance(error, LicenseError)
    assert error.code is code
    assert error.authentic is (code in ACCEPTANCE)
    assert type(error) is (NotAccepted if code in ACCEPTANCE else NotAuthentic)
    expected = "Example GmbH" if code in ACCEPTANCE else None
    assert (error.license.customer if error.license else None) == expected
    assert str(error) == error.message


@pytest.mark.parametrize("code", CheckCode)
def test_authenticity_alone(code: CheckCode) -> None:
    """`authenticate` checks only rows 1 to 4, and returns the license whatever follows."""
    data, _ = AT_ROW[code]
    if code in ACCEPTANCE:
        assert VERIFIER.authenticate(data).customer == "Example GmbH"
        return
    with pytest.raises(LicenseError) as refused:
        VERIFIER.authenticate(data)
    assert refused.value.code is code
    assert not refused.value.authentic


@pytest.mark.parametrize("code", ACCEPTANCE)
def test_acceptance_of_a_license_that_is_authentic(code: CheckCode) -> None:
    """`acceptance` checks only rows 5 to 10, except for the freshness window."""
    data, changes = AT_ROW[code]
    license_ = VERIFIER.authenticate(data)
    arguments = {**CIRCUMSTANCES, **changes}
    if arguments.pop("freshness_window", None) is not None:
        assert VERIFIER.acceptance(license_, **arguments) is None
        return
    row = VERIFIER.acceptance(license_, **arguments)
    assert row == VERIFIER.report(data, **arguments).failure
    assert row is not None
    assert row.code is code


@pytest.mark.parametrize("code", CheckCode)
def test_report_has_a_row_for_each_check(code: CheckCode) -> None:
    """The report has ten rows in FORMAT's order; after a failure of rows 1 to 4 none is checked."""
    data, changes = AT_ROW[code]
    report = VERIFIER.report(data, **{**CIRCUMSTANCES, **changes})
    assert [row.code for row in report.rows] == list(CheckCode)
    assert report.failure is not None
    assert report.failure.code is code
    assert not report.accepted
    assert report.authentic is (report.license is not None) is (code in ACCEPTANCE)
    outcomes = _outcomes(report)
    index = list(CheckCode).index(code)
    for number, other in enumerate(CheckCode):
        if number < min(index, 4):
            assert outcomes[other] is Outcome.PASSED
        elif index < 4 and number > index:
            assert outcomes[other] is Outcome.NOT_CHECKED
    assert list(outcomes.values()).count(Outcome.FAILED) == 1


def test_payload_other_than_json_fails_row_1_after_row_3() -> None:
    """With a signed text other than JSON, rows 2 and 3 pass, and row 1 fails."""
    outcomes = _outcomes(VERIFIER.report(file(b"{"), now=NOW))
    assert list(outcomes.values())[:4] == [
        Outcome.FAILED,
        Outcome.PASSED,
        Outcome.PASSED,
        Outcome.NOT_CHECKED,
    ]


def test_report_runs_every_acceptance_check() -> None:
    """The report has all failures; `verify` raises the first one."""
    wrong: dict[str, Any] = {
        "now": NOW + timedelta(days=999),
        "fingerprint": None,
        "freshness_window": timedelta(0),
        "clock": ClockGuard(tampered=True),
    }
    report = VERIFIER.report(file(payload()), **wrong)
    failed = [row.code for row in report.rows if row.outcome is Outcome.FAILED]
    assert failed == ["expired", "stale_issue_date", "machine_mismatch", "clock_tampered"]
    error = _verdict(file(payload()), **wrong)
    assert isinstance(error, LicenseError)
    assert error.code is CheckCode.EXPIRED


def test_report_of_an_accepted_license() -> None:
    """All rows pass, except for the one that does not apply to the tier."""
    common: dict[str, Any] = {
        **CIRCUMSTANCES,
        "freshness_window": timedelta(days=365),
        "clock": ClockGuard(NOW),
    }
    standard = VERIFIER.report(file(payload()), **common)
    common["host"] = "api.example.internal"
    enterprise = VERIFIER.report(file(payload(ENTERPRISE)), **common)
    for report, left_out in ((standard, "domain_mismatch"), (enterprise, "machine_mismatch")):
        assert report.accepted
        assert report.failure is None
        unchecked = [row.code for row in report.rows if row.outcome is not Outcome.PASSED]
        assert unchecked == [left_out]


def test_a_check_without_its_argument_is_omitted() -> None:
    """Without window, host and guard their rows state why, and none fails."""
    report = VERIFIER.report(file(payload(ENTERPRISE)), now=NOW)
    messages = {row.code: row.message for row in report.rows if row.outcome is Outcome.NOT_CHECKED}
    assert set(messages) == {
        "stale_issue_date",
        "machine_mismatch",
        "domain_mismatch",
        "clock_tampered",
    }
    assert "no freshness window" in messages[CheckCode.STALE_ISSUE_DATE]
    assert "no host" in messages[CheckCode.DOMAIN_MISMATCH]
    assert report.accepted


def test_rows_carry_the_hint_of_the_error() -> None:
    """A failed row has the message and hint with which `verify` refuses the file."""
    for code, (data, changes) in AT_ROW.items():
        arguments = {**CIRCUMSTANCES, **changes}
        error = _verdict(data, **arguments)
        row = VERIFIER.report(data, **arguments).failure
        assert isinstance(error, LicenseError)
        assert row is not None
        assert (row.code, row.message, row.hint) == (code, error.message, error.hint)


@pytest.mark.parametrize(
    ("code", "changes", "message"),
    [
        ("not_yet_valid", {"now": ISSUED - timedelta(minutes=6)}, ", 6 minutes ahead of this"),
        ("not_yet_valid", {"now": ISSUED - timedelta(hours=47)}, ", 47 hours ahead of this"),
        (
            "stale_issue_date",
            {"now": ISSUED + timedelta(days=11), "freshness_window": timedelta(days=7)},
            ", 11 days ago, but the upload window is 7 days",
        ),
        (
            "stale_issue_date",
            {
                "now": ISSUED + timedelta(days=7, microseconds=1),
                "freshness_window": timedelta(days=7),
            },
            ", over 7 days ago, but the upload window is 7 days",
        ),
        (
            "stale_issue_date",
            {
                "now": ISSUED + timedelta(minutes=90),
                "freshness_window": timedelta(minutes=61, seconds=1),
            },
            ", 90 minutes ago, but the upload window is 3661 seconds",
        ),
        ("domain_mismatch", {"host": "a\x1b[2J.test"}, r"'a\x1b[2J.test' is not "),
        ("clock_tampered", {"clock": ClockGuard(tampered=True)}, "more than a day"),
    ],
)
def test_a_refusal_is_readable(code: str, changes: dict[str, Any], message: str) -> None:
    """Spans have a fitting unit and are not rounded to nothing; the host is escaped."""
    claims = ENTERPRISE if code == "domain_mismatch" else STANDARD
    error = _verdict(file(payload(claims)), **{**CIRCUMSTANCES, **changes})
    assert isinstance(error, LicenseError)
    assert error.code == code
    assert message in error.message


def test_naive_now_is_the_callers_mistake() -> None:
    """A naive `now` raises ValueError, whatever the file."""
    naive = NOW.replace(tzinfo=None)
    for data in (b"", file(payload())):
        with pytest.raises(ValueError, match="timezone-aware"):
            VERIFIER.verify(data, now=naive)
        with pytest.raises(ValueError, match="timezone-aware"):
            VERIFIER.report(data, now=naive)
    with pytest.raises(ValueError, match="timezone-aware"):
        VERIFIER.acceptance(VERIFIER.authenticate(data), now=naive)


def test_payload_is_not_parsed_before_its_signature_is_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No byte of an unauthenticated payload reaches the parser."""
    parsed: list[bytes] = []
    original = License.from_payload

    def spy(data: bytes) -> License:
        parsed.append(data)
        return original(data)

    monkeypatch.setattr(License, "from_payload", spy)
    for code in (CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE):
        _verdict(AT_ROW[code][0], now=NOW)
        VERIFIER.report(AT_ROW[code][0], now=NOW)
    assert parsed == []
    _verdict(file(b"{}"), now=NOW)
    assert parsed == [b"{}"]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers_are_bytes_too(kind: Any) -> None:
    """A bytearray or memoryview is read like bytes."""
    assert VERIFIER.verify(kind(file(payload())), **CIRCUMSTANCES).customer == "Example GmbH"
    assert VERIFIER.report(kind(b"x"), now=NOW).failure is not None


@given(data=st.binary() | st.binary().map(file), arguments=any_circumstances())
def test_any_bytes_any_circumstances(data: bytes, arguments: dict[str, Any]) -> None:
    """Any file at any time gives a license or LicenseError, and the report agrees."""
    verdict = _verdict(data, **arguments)
    report = VERIFIER.report(data, **arguments)
    code = verdict.code if isinstance(verdict, LicenseError) else None
    assert (report.failure.code if report.failure else None) == code
    for row in report.rows:
        assert row.message.isascii()
        assert row.message.isprintable()


@given(made=claims(), arguments=any_circumstances(), seen=INSTANTS, tampered=st.booleans())
def test_any_license_any_circumstances(
    made: dict[str, Any], arguments: dict[str, Any], seen: datetime, *, tampered: bool
) -> None:
    """Any valid license at any time is authentic and unchanged, and the report agrees."""
    arguments["clock"] = ClockGuard(seen, tampered)
    data = file(compact(made))
    verdict = _verdict(data, **arguments)
    report = VERIFIER.report(data, **arguments)
    license_ = verdict.license if isinstance(verdict, LicenseError) else verdict
    assert license_ == report.license == License.from_claims(made)
    code = verdict.code if isinstance(verdict, LicenseError) else None
    assert (report.failure.code if report.failure else None) == code


@given(made=claims())
def test_issue_then_verify(made: dict[str, Any]) -> None:
    """An issued license verifies at once and is unchanged."""
    license_ = License.from_claims(made)
    signed = file(license_.to_payload())
    fingerprint = license_.machine_fingerprint
    assert VERIFIER.verify(signed, now=license_.issued_at, fingerprint=fingerprint) == license_


@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), ANY_TEXT | st.none()))
def test_any_header(header: dict[str, Any]) -> None:
    """Any header but ours is malformed, or names an unknown key."""
    error = _verdict(file(payload(), json.dumps(header).encode()), **CIRCUMSTANCES)
    assert isinstance(error, LicenseError)
    assert error.code in {CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY}


def test_verifier_is_immutable() -> None:
    """Threads can share a verifier, since it cannot be changed."""
    with pytest.raises(AttributeError):
        VERIFIER.keys = KEYS  # type: ignore[misc]
    assert not hasattr(VERIFIER, "__dict__")
