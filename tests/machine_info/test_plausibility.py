"""The age of a document, its components, and placeholders."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from polygent_issuer.findings import FindingCode
from polygent_issuer.machine_info.document import MachineInfo, parse
from polygent_issuer.machine_info.plausibility import (
    ComponentState,
    changed_components,
    freshness_finding,
    implausible_fingerprint,
)

INFO = parse(b'{"fingerprint": "x-x-x-x-x", "generatedAt": "2026-11-23T09:30:00Z"}')
MADE = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FORTNIGHT = timedelta(days=14)


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (timedelta(minutes=-5) - MICROSECOND, False),
        (timedelta(minutes=-5), True),
        (timedelta(), True),
        (FORTNIGHT, True),
        (FORTNIGHT + MICROSECOND, False),
        (timedelta(days=-400_000), False),
        (timedelta(days=2_000_000), False),
    ],
)
def test_a_document_is_fresh_up_to_the_limit(age: timedelta, *, fresh: bool) -> None:
    """The age is between -5 min and the setting, both included (FORMAT §4)."""
    finding = freshness_finding(INFO, now=MADE + age, max_age=FORTNIGHT)
    assert (finding is None) == fresh
    if finding is not None:
        assert finding.code is FindingCode.STALE_MACHINE_INFO
        assert finding.hint == "ask the customer to download the machine info again"


def test_the_message_has_the_age() -> None:
    """An old document is reported with its age and the limit, a future one with the difference."""
    old = freshness_finding(INFO, now=MADE + timedelta(days=20, hours=5), max_age=FORTNIGHT)
    assert old is not None
    expected = "created at 2026-11-23T09:30:00Z, over 20 days ago; the limit is 14 days"
    assert old.message == f"the machine-info document was {expected}"
    new = freshness_finding(INFO, now=MADE - timedelta(hours=3), max_age=FORTNIGHT)
    assert new is not None
    assert new.message.endswith("2026-11-23T09:30:00Z, 3 hours ahead of this machine's clock")


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (timedelta(days=2), "2 days"),
        (timedelta(days=2) - MICROSECOND, "47 hours"),
        (timedelta(hours=2) - MICROSECOND, "119 minutes"),
        (timedelta(minutes=6), "6 minutes"),
    ],
)
def test_a_duration_is_in_its_largest_unit(ahead: timedelta, expected: str) -> None:
    """A unit is used from two of it on, rounded down."""
    finding = freshness_finding(INFO, now=MADE - ahead, max_age=FORTNIGHT)
    assert finding is not None
    assert f", {expected} ahead" in finding.message


def test_a_short_limit_is_in_seconds() -> None:
    """A setting below two minutes is shown in seconds."""
    finding = freshness_finding(
        INFO, now=MADE + timedelta(minutes=5), max_age=timedelta(seconds=90)
    )
    assert finding is not None
    assert finding.message.endswith("over 5 minutes ago; the limit is 90 seconds")


def test_a_naive_datetime_raises() -> None:
    """A datetime without a time zone is an error of the caller."""
    with pytest.raises(ValueError, match="timezone-aware"):
        freshness_finding(INFO, now=datetime(2026, 11, 23), max_age=FORTNIGHT)  # noqa: DTZ001 - the mistake under test


def test_changed_components_are_listed() -> None:
    """Each component of either document is listed by name with its change."""
    old = {"machineId": "a", "board": "b", "cpu": "c"}
    new = {"machineId": "a", "board": "x", "disk": "d"}
    changes = [(change.name, change.state) for change in changed_components(old, new)]
    assert changes == [
        ("board", ComponentState.CHANGED),
        ("cpu", ComponentState.REMOVED),
        ("disk", ComponentState.ADDED),
        ("machineId", ComponentState.SAME),
    ]
    assert changed_components({}, {}) == ()


EMPTY = hashlib.sha256(b"").hexdigest()


def document(fingerprint: str) -> MachineInfo:
    """Return a document with this fingerprint."""
    text = f'{{"fingerprint": "{fingerprint}", "generatedAt": "2026-11-23T09:30:00Z"}}'
    return parse(text.encode())


@pytest.mark.parametrize(
    ("fingerprint", "problem"),
    [
        ("sha256:abc", "does not have 64 hexadecimal digits after sha256:"),
        ("sha256:" + "ab" * 33, "does not have 64"),
        ("SHA256:" + "xy" * 32, "does not have 64"),
        ("sha256:uninitialized", "does not have 64"),
        ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "is one repeated character"),
        ("00000000-0000-0000-0000-000000000000", "is one repeated character"),
        ("{00000000-0000-0000-0000-000000000000}", "is one repeated character"),
        ("uuid:00000000-0000-0000-0000-000000000000", "is one repeated character"),
        ("00:00:00:00:00:00", "is one repeated character"),
        ("sha256:" + "0" * 64, "is one repeated character"),
        ("a" * 64, "is one repeated character"),
        ("xxxxxxxx", "is one repeated character"),
        ("########", "is one repeated character"),
        (EMPTY, "is the hash of an empty text or a placeholder"),
        (f"sha256:{EMPTY.upper()}", "is the hash"),
        ("sha256:" + hashlib.sha256(b"\n").hexdigest(), "is the hash"),
        ("sha256:" + hashlib.sha256(b"Default string\r\n").hexdigest(), "is the hash"),
        ("sha256:" + hashlib.sha256(b"uninitialized\n").hexdigest(), "is the hash"),
        ("md5:" + hashlib.md5(b"").hexdigest(), "is the hash"),  # noqa: S324 - what some send
        (hashlib.sha1(b"").hexdigest(), "is the hash"),  # noqa: S324 - what some send
        (hashlib.sha512(b"null").hexdigest(), "is the hash"),
        ("uninitialized", "is a placeholder"),
        ("To_Be_Filled_By_O.E.M.", "is a placeholder"),
        ("Default-string", "is a placeholder"),
        ("Not-Specified", "is a placeholder"),
        ("SystemSerialNumber", "is a placeholder"),
        ("machine-id:unknown", "is a placeholder"),
        ("urn:uuid:00000000-0000-0000-0000-000000000000", "is one repeated character"),
        ("03000200-0400-0500-0006-000700080009", "is a placeholder"),
        ("FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE", "is a placeholder"),
    ],
)
def test_a_placeholder_is_a_finding(fingerprint: str, problem: str) -> None:
    """Repeated characters, the hash of an empty text, filler text and a cut hash are findings."""
    finding = implausible_fingerprint(document(fingerprint))
    assert finding is not None
    assert finding.code is FindingCode.IMPLAUSIBLE_FINGERPRINT
    assert f" {problem}" in finding.message
    assert finding.message.endswith(", so several machines may share it")
    assert finding.hint


@pytest.mark.parametrize(
    "fingerprint",
    [
        "sha256:" + "ab" * 32,
        hashlib.sha256(b"0123456789abcdef0123456789abcdef").hexdigest(),
        "Board/7Q:a1b2",
        "00:1a:2b:3c:4d:00",
        "fe:00:00:00:00:00",
        "4c4c4544-0042-3510-8052-b4c04f4d4d32",
        "x-x-x-y-x",
        "unknown-host-17",
        "....----",
    ],
)
def test_an_opaque_fingerprint_is_not_a_finding(fingerprint: str) -> None:
    """Any other fingerprint that the product may use is accepted."""
    assert implausible_fingerprint(document(fingerprint)) is None
