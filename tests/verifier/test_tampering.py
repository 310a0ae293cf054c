"""Every change of a license file is refused."""

import json
from datetime import UTC, datetime

import pytest
from vectors.signing import (
    ENTERPRISE,
    EXAMPLE,
    FINGERPRINT,
    ORDER,
    STANDARD,
    file,
    payload,
    raw_signature,
    with_signature,
)

from polygent_issuer.verifier import CheckCode, KeySet, License, LicenseError, Verifier

VERIFIER = Verifier(
    KeySet.from_jwks(json.dumps({"keys": [EXAMPLE.jwk]}).encode(), allow_example=True)
)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
AUTHENTICITY = {CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE}

STANDARD_FILE = file(payload())
ENTERPRISE_FILE = file(payload(ENTERPRISE))


def _code(data: bytes) -> CheckCode | None:
    try:
        VERIFIER.verify(data, now=NOW, fingerprint=FINGERPRINT)
    except LicenseError as error:
        return error.code
    return None


@pytest.mark.slow
@pytest.mark.parametrize("plain", [STANDARD_FILE, ENTERPRISE_FILE], ids=["standard", "enterprise"])
def test_every_flipped_bit_is_refused(plain: bytes) -> None:
    """Each file with one flipped bit is refused as not authentic, also in the final newline.

    None of the eight flips of a newline (0x0A) gives SP, TAB, CR or LF, the white space that is
    dropped around the token.
    """
    assert _code(plain) is None
    accepted = []
    for bit in range(len(plain) * 8):
        flipped = bytearray(plain)
        flipped[bit // 8] ^= 1 << bit % 8
        if _code(bytes(flipped)) not in AUTHENTICITY:
            accepted.append(bit)
    assert accepted == []


def test_every_cut_and_every_doubled_byte_is_refused() -> None:
    """Only the newline may be missing; no byte of the token may be missing or doubled."""
    whole = len(STANDARD_FILE)
    cuts = [end for end in range(whole) if _code(STANDARD_FILE[:end]) not in AUTHENTICITY]
    assert cuts == [whole - 1]
    for at in range(whole - 1):
        assert _code(STANDARD_FILE[:at] + STANDARD_FILE[at + 1 :]) in AUTHENTICITY
        assert _code(STANDARD_FILE[:at] + STANDARD_FILE[at : at + 1] + STANDARD_FILE[at:]) in (
            AUTHENTICITY
        )


def test_white_space_cannot_be_hidden_inside() -> None:
    """White space at any place in the token is refused; around the token it is dropped."""
    token = STANDARD_FILE.rstrip()
    for space in (b" ", b"\t", b"\r", b"\n"):
        assert _code(space + token + space) is None
        for at in range(1, len(token)):
            assert _code(token[:at] + space + token[at:]) is CheckCode.MALFORMED


def test_parts_of_two_licenses_do_not_mix() -> None:
    """Header, payload and signature of two genuine files do not combine to a third."""
    one, other = STANDARD_FILE.strip().split(b"."), ENTERPRISE_FILE.strip().split(b".")
    for payload_from, signature_from in ((one, other), (other, one)):
        mixed = b".".join([one[0], payload_from[1], signature_from[2]])
        assert _code(mixed) is CheckCode.BAD_SIGNATURE


def test_high_s_twin_is_the_same_license() -> None:
    """The other signature that ES256 allows gives the same license, identified by its jti."""
    signed = STANDARD_FILE.strip().rpartition(b".")[0]
    r, s = EXAMPLE.numbers(signed)
    twin = with_signature(raw_signature(r, ORDER - s))
    assert twin != STANDARD_FILE
    license_ = VERIFIER.verify(twin, now=NOW, fingerprint=FINGERPRINT)
    assert license_ == License.from_claims(STANDARD)
