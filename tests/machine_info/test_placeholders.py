"""Placeholders are distinguished from ids."""

import hashlib

import pytest

from polygent_issuer.findings import FindingCode
from polygent_issuer.machine_info.document import MachineInfo, parse
from polygent_issuer.machine_info.plausibility import implausible_fingerprint

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
        (EMPTY, "is the hash of an empty text or of a placeholder"),
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
    assert finding.message.endswith(", so it may not identify one machine")
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
