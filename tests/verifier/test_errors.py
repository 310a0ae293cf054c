"""The verifier's errors have one root, stable codes and printable texts."""

import pytest
from hypothesis import given
from verifier.strategies import ANY_TEXT

from polygent_issuer.verifier import (
    CheckCode,
    InvalidDomain,
    InvalidKey,
    LicenseError,
    VerifierError,
)
from polygent_issuer.verifier.errors import quoted


def test_codes_are_stable() -> None:
    """The codes of FORMAT §5, in its order, and those of keys and domains."""
    assert list(CheckCode) == [
        "malformed",
        "unknown_key",
        "bad_signature",
        "invalid_claims",
        "expired",
        "not_yet_valid",
        "stale_issue_date",
        "machine_mismatch",
        "domain_mismatch",
        "clock_tampered",
    ]
    assert (InvalidKey.code, InvalidDomain.code) == ("invalid_key", "invalid_domain")


@pytest.mark.parametrize("kind", [InvalidKey, InvalidDomain])
def test_errors_share_one_root(kind: type[VerifierError]) -> None:
    """Each error is a VerifierError with message and hint."""
    error = kind("what and why", hint="do this")
    assert isinstance(error, VerifierError)
    assert (str(error), error.message, error.hint) == ("what and why", "what and why", "do this")
    assert issubclass(LicenseError, VerifierError)


@given(ANY_TEXT)
def test_quoted_text_is_short_and_printable(text: str) -> None:
    """Foreign text becomes printable ASCII of bounded length."""
    shown = quoted(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 10 * 83 + 2
