"""Verifies Polygent license files (FORMAT §1 to §3 and §5: `FORMAT.md` in this folder).

It uses only the standard library and `cryptography`, with relative imports and without I/O or a
clock. Import it, or copy the folder.

    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> from polygent_issuer.verifier import KeySet, LicenseError, Verifier
    >>> pem = Path("keys.example/public.pem").read_bytes()
    >>> verifier = Verifier(KeySet.from_pem(pem, allow_example=True))
    >>> file = Path("keys.example/example.lic").read_bytes()
    >>> try:
    ...     verifier.verify(file, now=datetime.now(UTC), fingerprint="sha256:another-machine")
    ... except LicenseError as refused:
    ...     print(refused.code, refused.license.customer)
    machine_mismatch Example GmbH

A file that any 1.x release accepts is accepted by every later 1.x release, on every version of
Python. The names below are the public interface.
"""

from .domain import AllowedDomain
from .errors import CheckCode, InvalidDomain, InvalidKey, LicenseError, VerifierError
from .keys import EXAMPLE_KID, Key, KeySet
from .license import License, Limits, Tier
from .policy import CheckRow, ClockGuard, Outcome, Report
from .verifier import Verifier

__all__ = [
    "EXAMPLE_KID",
    "AllowedDomain",
    "CheckCode",
    "CheckRow",
    "ClockGuard",
    "InvalidDomain",
    "InvalidKey",
    "Key",
    "KeySet",
    "License",
    "LicenseError",
    "Limits",
    "Outcome",
    "Report",
    "Tier",
    "Verifier",
    "VerifierError",
]
