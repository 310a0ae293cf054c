"""Whether a server may act on an authentic license: rows 5 to 10 of FORMAT §5.

`CHECKS` is the one table: `verify` stops at the first failure in it, `report` runs it all. Times
are microseconds since 1970, exactly.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from .clock import SECOND, ClockGuard, microseconds, moment
from .errors import CheckCode, LicenseError, quoted
from .identifiers import canonical_fingerprint
from .license import License
from .report import CheckRow, Outcome

SKEW: Final = 300 * SECOND
"""How far, in microseconds, `iat` may lie ahead of the server's clock."""

_UNITS: Final = (
    ("days", 86_400 * SECOND),
    ("hours", 3_600 * SECOND),
    ("minutes", 60 * SECOND),
    ("seconds", SECOND),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What the server knows at the moment of the check.

    Attributes:
        now: microseconds since 1970.
        fingerprint: of the server's machine, in any form; None when it was not given.
        host: the request's Host header; None when there is no request.
        freshness_window: microseconds since `iat` in which a file may be installed; None when
            this is no installation.
        clock_tampered: what the clock guard says of `now`; None without a guard.
    """

    now: int
    fingerprint: str | None
    host: str | None
    freshness_window: int | None
    clock_tampered: bool | None

    @classmethod
    def of(
        cls,
        now: datetime,
        fingerprint: str | None,
        host: str | None,
        freshness_window: timedelta | None,
        clock: ClockGuard | None = None,
    ) -> "Circumstances":
        """The circumstances in a server's own words, as `Verifier.verify` takes them.

        Raises:
            ValueError: `now` is naive.
        """
        return cls(
            now=moment(now),
            fingerprint=fingerprint,
            host=host,
            freshness_window=None if freshness_window is None else microseconds(freshness_window),
            clock_tampered=None if clock is None else clock.observe(now).tampered,
        )


class NotAccepted(LicenseError):
    """An authentic license fails one of rows 5 to 10 of FORMAT §5.

    Attributes:
        license: that license.
    """

    license: License

    def __init__(self, failure: CheckRow, held: License) -> None:
        """Carry the failed row and the license."""
        super().__init__(failure.code, failure.message, hint=failure.hint, license=held)


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a check failed, and what puts it right."""

    message: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A row of the table; `judge` gives None when the check passed, or the row of what was not."""

    code: CheckCode
    judge: Callable[[License, Circumstances], Failed | CheckRow | None]
    passed: CheckRow

    def row(self, held: License, at: Circumstances) -> CheckRow:
        """The row of a report."""
        verdict = self.judge(held, at)
        if verdict is None:
            return self.passed
        if isinstance(verdict, CheckRow):
            return verdict
        return CheckRow(
            code=self.code, outcome=Outcome.FAILED, message=verdict.message, hint=verdict.hint
        )


def first_failure(held: License, at: Circumstances) -> CheckRow | None:
    """The first row of the table that fails, or None."""
    for check in CHECKS:
        row = check.row(held, at)
        if row.outcome is Outcome.FAILED:
            return row
    return None


def every_row(held: License, at: Circumstances) -> tuple[CheckRow, ...]:
    """All rows of the table, whatever the ones before them say."""
    return tuple(check.row(held, at) for check in CHECKS)


def _expired(held: License, at: Circumstances) -> Failed | None:
    if at.now < held.exp * SECOND:
        return None
    return Failed(f"expired at {_instant(held.expires_at)}", "install a renewed license")


def _not_yet_valid(held: License, at: Circumstances) -> Failed | None:
    ahead = held.iat * SECOND - at.now
    if ahead <= SKEW:
        return None
    return Failed(
        f"issued at {_instant(held.issued_at)}, {_about(ahead)} ahead of this clock",
        "set the server's clock right",
    )


def _stale_issue_date(held: License, at: Circumstances) -> Failed | CheckRow | None:
    if at.freshness_window is None:
        return _NO_WINDOW
    age = at.now - held.iat * SECOND
    if age <= at.freshness_window:
        return None
    return Failed(
        f"issued at {_instant(held.issued_at)}, {_about(age)} ago;"
        f" it had to be uploaded within {_exactly(at.freshness_window)}",
        "ask for a reissued license and upload it in time",
    )


def _machine_mismatch(held: License, at: Circumstances) -> Failed | CheckRow | None:
    if held.machine_fingerprint is None:
        return _NO_MACHINE
    if at.fingerprint is None:
        return Failed("the license is for one machine, and no fingerprint was given")
    given = canonical_fingerprint(at.fingerprint)
    if given is None:
        return Failed("the given fingerprint has no canonical form")
    if hmac.compare_digest(given.encode(), held.machine_fingerprint.encode()):
        return None
    return Failed(
        f"the license is for machine {held.machine_fingerprint}, this is {given}",
        "ask for a license for this machine",
    )


def _domain_mismatch(held: License, at: Circumstances) -> Failed | CheckRow | None:
    if held.allowed_domain is None:
        return _NO_DOMAIN
    if at.host is None:
        return _NO_REQUEST
    if held.allowed_domain.matches(at.host):
        return None
    return Failed(f"the request's host {quoted(at.host)} is not {held.allowed_domain}")


def _clock_tampered(_held: License, at: Circumstances) -> Failed | CheckRow | None:
    if at.clock_tampered is None:
        return _NO_GUARD
    if not at.clock_tampered:
        return None
    return Failed(
        "the clock was set back by more than a day and has not caught up since",
        "set the server's clock right",
    )


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _about(span: int) -> str:
    """A span for people, in the largest unit of which it has two; `over` what is left out."""
    name, unit = next((each for each in _UNITS if span >= 2 * each[1]), _UNITS[-1])
    return f"{'over ' if span % unit else ''}{span // unit} {name}"


def _exactly(span: int) -> str:
    """A span for people, in the largest unit of which it is at least twice a multiple."""
    fitting = (each for each in _UNITS if span >= 2 * each[1] and not span % each[1])
    name, unit = next(fitting, _UNITS[-1])
    return f"{span // unit} {name}"


def _not_checked(code: CheckCode, message: str) -> CheckRow:
    return CheckRow(code=code, outcome=Outcome.NOT_CHECKED, message=message)


_NO_WINDOW: Final = _not_checked(
    CheckCode.STALE_ISSUE_DATE, "no freshness window was given: this is no installation"
)
_NO_MACHINE: Final = _not_checked(
    CheckCode.MACHINE_MISMATCH, "an enterprise license is for no one machine"
)
_NO_DOMAIN: Final = _not_checked(CheckCode.DOMAIN_MISMATCH, "the license allows any domain")
_NO_REQUEST: Final = _not_checked(
    CheckCode.DOMAIN_MISMATCH, "no host was given: there is no request"
)
_NO_GUARD: Final = _not_checked(CheckCode.CLOCK_TAMPERED, "no clock guard was given")


def _check(
    code: CheckCode,
    judge: Callable[[License, Circumstances], Failed | CheckRow | None],
    passed: str,
) -> Check:
    row = CheckRow(code=code, outcome=Outcome.PASSED, message=passed)
    return Check(code=code, judge=judge, passed=row)


CHECKS: Final = (
    _check(CheckCode.EXPIRED, _expired, "not expired"),
    _check(CheckCode.NOT_YET_VALID, _not_yet_valid, "issued in the past"),
    _check(CheckCode.STALE_ISSUE_DATE, _stale_issue_date, "within the upload window"),
    _check(CheckCode.MACHINE_MISMATCH, _machine_mismatch, "for this machine"),
    _check(CheckCode.DOMAIN_MISMATCH, _domain_mismatch, "for this host"),
    _check(CheckCode.CLOCK_TAMPERED, _clock_tampered, "the clock runs on"),
)
"""Rows 5 to 10 of FORMAT §5, in their order."""
