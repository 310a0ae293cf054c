"""The acceptance of an authentic license by a server: rows 5 to 10 of FORMAT §5.

`CHECKS` is the one table of checks. `verify` stops at the first failure in it, `report` runs all of
them. Times are exact microseconds since 1970. `ClockGuard` detects that a server's clock was set
back.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from .errors import CheckCode, LicenseError, quoted
from .license import EPOCH, License, canonical_fingerprint

SECOND: Final = 1_000_000
"""Microseconds in a second."""

SET_BACK: Final = 86_400 * SECOND
"""Microseconds that a clock may be behind the last time seen."""
SKEW: Final = 300 * SECOND
"""Microseconds that `iat` may be ahead of the server's clock."""
_UNITS: Final = (
    ("days", 86_400 * SECOND),
    ("hours", 3_600 * SECOND),
    ("minutes", 60 * SECOND),
    ("seconds", SECOND),
)

_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(span: timedelta) -> int:
    """Return the exact length of a span."""
    return span // _MICROSECOND


def moment(instant: datetime) -> int:
    """Return the exact microseconds since 1970-01-01T00:00:00Z of an instant in any time zone.

    Raises:
        ValueError: `instant` is naive, which is a mistake of the caller.
    """
    if instant.utcoffset() is None:
        raise ValueError("datetime must be timezone-aware")
    return (instant - EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class ClockGuard:
    """The latest time that a server has seen, and whether its clock was set back.

    A server persists each guard that `observe` returns before it acts on it.

    Args:
        last_seen: the latest time seen, aware, or None before the first.
        tampered: whether the clock was more than 86,400 s behind `last_seen`.

    Raises:
        ValueError: `last_seen` is naive.
    """

    last_seen: datetime | None = None
    tampered: bool = False

    def __post_init__(self) -> None:
        """Refuse a naive time here, before the first comparison."""
        if self.last_seen is not None:
            moment(self.last_seen)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the arguments, which are checked again."""
        return type(self), (self.last_seen, self.tampered)

    def observe(self, now: datetime) -> "ClockGuard":
        """Return the guard after the clock showed `now`; this one if nothing changes.

        Tampering ends only when the clock has passed the last time seen. A tampered guard without
        such a time stays tampered.

        Raises:
            ValueError: `now` is naive.
        """
        seen = moment(now)
        if self.last_seen is None:
            return self if self.tampered else ClockGuard(now)
        last = moment(self.last_seen)
        if self.tampered:
            return ClockGuard(now) if seen > last else self
        if seen < last - SET_BACK:
            return ClockGuard(self.last_seen, tampered=True)
        return ClockGuard(now) if seen > last else self


class Outcome(StrEnum):
    """The result of one check; `not_checked` is not a failure, and its message states why."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRow:
    """One check: its code, its outcome, the reason, and the fix of a failure."""

    code: CheckCode
    outcome: Outcome
    message: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All ten checks of one file.

    Attributes:
        rows: one for each `CheckCode`, in that order.
        license: the decoded license if it is authentic, accepted or not.
    """

    rows: tuple[CheckRow, ...]
    license: License | None

    @property
    def authentic(self) -> bool:
        """Return whether rows 1 to 4 passed."""
        return self.license is not None

    @property
    def accepted(self) -> bool:
        """Return whether a server may act on the license: no check failed."""
        return self.failure is None

    @property
    def failure(self) -> CheckRow | None:
        """Return the first row that failed; `verify` refuses the same file with its code."""
        failed = Outcome.FAILED  # looked up once: that takes longer than the comparison
        for row in self.rows:
            if row.outcome is failed:
                return row
        return None


class Circumstances(NamedTuple):
    """The server's time, machine and request at the check.

    Attributes:
        now: microseconds since 1970.
        fingerprint: that of the server's machine, in any form; None if it was not given.
        host: the request's Host header; None without a request.
        freshness_window: microseconds since `iat` in which a file may be installed; None if
            nothing is being installed.
        clock_tampered: whether the clock guard is tampered at `now`; None without a guard.
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
        """Convert the arguments of `Verifier.verify`.

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

    `license` is that license.
    """

    license: License

    def __init__(self, failure: CheckRow, license_: License) -> None:
        """Carry the failed row and the license."""
        super().__init__(failure.code, failure.message, hint=failure.hint, license=license_)


class Failed(NamedTuple):
    """The reason why a check failed, and the fix."""

    message: str
    hint: str | None = None


class Check(NamedTuple):
    """A row of the table; `judge` returns None if it passed, or the row of an omitted check."""

    code: CheckCode
    judge: Callable[[License, Circumstances], Failed | CheckRow | None]
    passed: CheckRow

    def row(self, license_: License, at: Circumstances) -> CheckRow:
        """Return the row of a report."""
        verdict = self.judge(license_, at)
        if verdict is None:
            return self.passed
        if isinstance(verdict, CheckRow):
            return verdict
        return CheckRow(
            code=self.code, outcome=Outcome.FAILED, message=verdict.message, hint=verdict.hint
        )


def first_failure(license_: License, at: Circumstances) -> CheckRow | None:
    """Return the first row of the table that fails, or None."""
    for check in CHECKS:
        row = check.row(license_, at)
        if row.outcome is Outcome.FAILED:
            return row
    return None


def every_row(license_: License, at: Circumstances) -> tuple[CheckRow, ...]:
    """Return all rows of the table, also those after a failure."""
    return tuple([check.row(license_, at) for check in CHECKS])


def _expired(license_: License, at: Circumstances) -> Failed | None:
    if at.now < license_.exp * SECOND:
        return None
    return Failed(f"expired at {_instant(license_.expires_at)}", "install a renewed license")


def _not_yet_valid(license_: License, at: Circumstances) -> Failed | None:
    ahead = license_.iat * SECOND - at.now
    if ahead <= SKEW:
        return None
    return Failed(
        f"issued at {_instant(license_.issued_at)}, {_about(ahead)} ahead of this clock",
        "correct the server's clock",
    )


def _stale_issue_date(license_: License, at: Circumstances) -> Failed | CheckRow | None:
    if at.freshness_window is None:
        return _NO_WINDOW
    age = at.now - license_.iat * SECOND
    if age <= at.freshness_window:
        return None
    return Failed(
        f"issued at {_instant(license_.issued_at)}, {_about(age)} ago, "
        f"but the upload window is {_exactly(at.freshness_window)}",
        "ask for a reissued license and upload it in time",
    )


def _machine_mismatch(license_: License, at: Circumstances) -> Failed | CheckRow | None:
    if license_.machine_fingerprint is None:
        return _NO_MACHINE
    if at.fingerprint is None:
        return Failed("the license is bound to a machine, but no fingerprint was given")
    fingerprint = canonical_fingerprint(at.fingerprint)
    if fingerprint is None:
        return Failed("the given fingerprint is invalid")
    if hmac.compare_digest(fingerprint.encode(), license_.machine_fingerprint.encode()):
        return None
    return Failed(
        f"the license is bound to machine {license_.machine_fingerprint}, "
        f"but this is {fingerprint}",
        "ask for a license for this machine",
    )


def _domain_mismatch(license_: License, at: Circumstances) -> Failed | CheckRow | None:
    if license_.allowed_domain is None:
        return _NO_DOMAIN
    if at.host is None:
        return _NO_REQUEST
    if license_.allowed_domain.matches(at.host):
        return None
    return Failed(
        f"the request's host {quoted(at.host)} is not in the allowed domain "
        f"{license_.allowed_domain}"
    )


def _clock_tampered(_license: License, at: Circumstances) -> Failed | CheckRow | None:
    if at.clock_tampered is None:
        return _NO_GUARD
    if not at.clock_tampered:
        return None
    return Failed(
        "the clock was set back by more than a day and has not caught up since",
        "correct the server's clock",
    )


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _about(span: int) -> str:
    """Write a span in the largest unit that it has at least twice; `over` marks a rounded one."""
    name, unit = next((each for each in _UNITS if span >= 2 * each[1]), _UNITS[-1])
    return f"{'over ' if span % unit else ''}{span // unit} {name}"


def _exactly(span: int) -> str:
    """Write a span in the largest unit that it is a multiple of, at least twice."""
    fitting = (each for each in _UNITS if span >= 2 * each[1] and not span % each[1])
    name, unit = next(fitting, _UNITS[-1])
    return f"{span // unit} {name}"


def _not_checked(code: CheckCode, message: str) -> CheckRow:
    return CheckRow(code=code, outcome=Outcome.NOT_CHECKED, message=message)


_NO_WINDOW: Final = _not_checked(CheckCode.STALE_ISSUE_DATE, "no freshness window given")
_NO_MACHINE: Final = _not_checked(
    CheckCode.MACHINE_MISMATCH, "an enterprise license is not bound to a machine"
)
_NO_DOMAIN: Final = _not_checked(CheckCode.DOMAIN_MISMATCH, "the license allows any domain")
_NO_REQUEST: Final = _not_checked(CheckCode.DOMAIN_MISMATCH, "no host given")
_NO_GUARD: Final = _not_checked(CheckCode.CLOCK_TAMPERED, "no clock guard given")


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
    _check(CheckCode.CLOCK_TAMPERED, _clock_tampered, "clock not set back"),
)
"""Rows 5 to 10 of FORMAT §5, in order."""
