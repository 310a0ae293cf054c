"""The age of a document, its parts, and placeholders."""

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
def test_fresh_from_five_minutes_ahead_to_the_setting(age: timedelta, *, fresh: bool) -> None:
    """FORMAT §4: -5 min ≤ age ≤ the setting, both ends included."""
    finding = freshness_finding(INFO, now=MADE + age, max_age=FORTNIGHT)
    assert (finding is None) == fresh
    if finding is not None:
        assert finding.code is FindingCode.STALE_MACHINE_INFO
        assert finding.hint == "ask the customer to download the machine info again"


def test_age_is_said_both_ways() -> None:
    """Too old says how old and what is allowed; too new says by how much."""
    old = freshness_finding(INFO, now=MADE + timedelta(days=20, hours=5), max_age=FORTNIGHT)
    assert old is not None
    told = "generated at 2026-11-23T09:30:00Z, over 20 days ago; the limit is 14 days"
    assert old.message == f"the machine info was {told}"
    new = freshness_finding(INFO, now=MADE - timedelta(hours=3), max_age=FORTNIGHT)
    assert new is not None
    assert new.message.endswith("2026-11-23T09:30:00Z, 3 hours ahead of this machine's clock")


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (timedelta(days=2), "2 days"),
        (timedelta(days=2) - MICROSECOND, "47 hours"),
        (timedelta(hours=2) - MICROSECOND, "119 minutes"),
        (timedelta(minutes=6), "6 minutes"),
    ],
)
def test_spans_are_said_in_their_unit(ahead: timedelta, told: str) -> None:
    """From two of a unit on it is used, rounded down."""
    finding = freshness_finding(INFO, now=MADE - ahead, max_age=FORTNIGHT)
    assert finding is not None
    assert f", {told} ahead" in finding.message


def test_short_limit_is_said_in_seconds() -> None:
    """A setting below two minutes is said as it is."""
    finding = freshness_finding(
        INFO, now=MADE + timedelta(minutes=5), max_age=timedelta(seconds=90)
    )
    assert finding is not None
    assert finding.message.endswith("over 5 minutes ago; the limit is 90 seconds")


def test_naive_now_is_the_callers_mistake() -> None:
    """A datetime without a zone says no instant."""
    with pytest.raises(ValueError, match="naive"):
        freshness_finding(INFO, now=datetime(2026, 11, 23), max_age=FORTNIGHT)  # noqa: DTZ001 - the mistake under test


def test_changed_components() -> None:
    """Each part of either document, by name, with what became of it."""
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
    """A document with this fingerprint."""
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
    """One repeated character, the hash of nothing, filler text, a hash that was cut."""
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
def test_an_opaque_fingerprint_is_none(fingerprint: str) -> None:
    """Any other fingerprint that the product may use passes."""
    assert implausible_fingerprint(document(fingerprint)) is None
