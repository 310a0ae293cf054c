"""The verifier's errors: one root, stable codes, nothing else crosses a public function.

`CheckCode` is the first column of FORMAT §5's table. Messages are lower case, say what and why,
and hold text from a file only as `quoted` gives it.
"""

from enum import StrEnum
from typing import Any, Final

_SHOWN: Final = 80


class CheckCode(StrEnum):
    """The ten checks of FORMAT §5, in their order; the values never change."""

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
    """The root of what the verifier raises.

    Args:
        message: what and why, in one line without control characters.
        hint: what puts it right, where one thing does.
    """

    code: str = "verifier_error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Say what and why, and what puts it right."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by attributes: `__init__` takes other arguments than `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class LicenseError(VerifierError):
    """A license file is not authentic, or its server must not accept it.

    Attributes:
        code: which check of FORMAT §5 failed.
        license: the decoded `License` once it is authentic (rows 5 to 10), else None: a server
            must still show whom an expired license belongs to.
    """

    code: CheckCode

    def __init__(
        self,
        code: CheckCode,
        message: str,
        *,
        hint: str | None = None,
        license: Any = None,  # noqa: A002, ANN401 - a public name; its module imports this one
    ) -> None:
        """Say which check failed, and of which license once that is known."""
        super().__init__(message, hint=hint)
        self.code = code
        self.license = license

    @property
    def authentic(self) -> bool:
        """Whether rows 1 to 4 passed: signed by a known key, and its claims are in order."""
        return self.license is not None


class NotAuthentic(LicenseError):
    """A license file fails one of rows 1 to 4 of FORMAT §5."""

    license: None


class InvalidKey(VerifierError):
    """What was given is no public key that licenses may be verified with."""

    code = "invalid_key"


class InvalidDomain(VerifierError):
    """A text that breaks FORMAT §3."""

    code = "invalid_domain"


def malformed(message: str, *, hint: str | None = None) -> NotAuthentic:
    """Row 1 of FORMAT §5, to be raised."""
    return NotAuthentic(CheckCode.MALFORMED, message, hint=hint)


def invalid_claim(path: str, why: str, *, hint: str | None = None) -> NotAuthentic:
    """Row 4 of FORMAT §5, to be raised; `path` is dotted: `limits.users`."""
    return NotAuthentic(CheckCode.INVALID_CLAIMS, f"{path}: {why}", hint=hint)


def quoted(text: str) -> str:
    """Foreign text as a message may carry it: ASCII, escaped, at most 80 characters of it."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
