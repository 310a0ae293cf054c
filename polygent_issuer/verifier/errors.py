"""The verifier's errors: one root and stable codes. Public functions raise nothing else.

`CheckCode` is the code column of FORMAT §5's table. A message is in lower case and states what
happened and why. Text from a file is in it only as `quoted` writes it.
"""

from enum import StrEnum
from typing import Any, Final

_SHOWN: Final = 80


class CheckCode(StrEnum):
    """The ten checks of FORMAT §5, in order; the values never change."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    INVALID_CLAIMS = "invalid_claims"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    STALE_ISSUE_DATE = "stale_issue_date"
    MACHINE_MISMATCH = "machine_mismatch"
    DOMAIN_MISMATCH = "domain_mismatch"
    CLOCK_TAMPERED = "clock_tampered"


class VerifierError(Exception):
    """The root of the verifier's errors.

    Args:
        message: what happened and why, in one line without control characters.
        hint: the fix, if there is one.
    """

    code: str = "verifier_error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Set the message and the hint."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint is not None:
            self.add_note(f"hint: {hint}")  # a traceback shows it

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by attributes, since `__init__` has other parameters than `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class LicenseError(VerifierError):
    """A license file is not authentic, or its server must not accept it.

    Attributes:
        code: the check of FORMAT §5 that failed.
        license: the decoded `License` if it is authentic (rows 5 to 10), else None. A server must
            still show the customer of an expired license.
    """

    code: CheckCode

    def __init__(
        self,
        code: CheckCode,
        message: str,
        *,
        hint: str | None = None,
        license: Any = None,  # noqa: ANN401 - its module imports this one
    ) -> None:
        """Set the check that failed, and the license if it is authentic."""
        super().__init__(message, hint=hint)
        self.code = code  # pyright: ignore[reportIncompatibleVariableOverride] - a string, too
        self.license = license

    @property
    def authentic(self) -> bool:
        """Return whether rows 1 to 4 passed: a known key signed it, and its claims are valid."""
        return self.license is not None


class NotAuthentic(LicenseError):
    """A license file fails one of rows 1 to 4 of FORMAT §5."""

    license: None


class InvalidKey(VerifierError):
    """An input is not a public key that licenses may be verified with."""

    code = "invalid_key"


class InvalidDomain(VerifierError):
    """A text that breaks FORMAT §3."""

    code = "invalid_domain"


def malformed(message: str) -> NotAuthentic:
    """Return the error of row 1 of FORMAT §5."""
    return NotAuthentic(CheckCode.MALFORMED, message)


def invalid_claim(path: str, why: str, *, hint: str | None = None) -> NotAuthentic:
    """Return the error of row 4 of FORMAT §5; `path` is dotted, as in `limits.users`."""
    return NotAuthentic(CheckCode.INVALID_CLAIMS, f"{path}: {why}", hint=hint)


def quoted(text: str) -> str:
    """Quote foreign text for a message: at most 80 characters of it, escaped as ASCII."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
