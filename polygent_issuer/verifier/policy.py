"""Whether a server may act on an authentic license: rows 5 to 10 of FORMAT §5.

`CHECKS` is the one table: `verify` stops at the first failure in it, `report` runs it all. Times
are microseconds since 1970, exactly. `ClockGuard` notices a server's clock that is set back.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from .errors import CheckCode, LicenseError, quoted
from .license import EPOCH, License, canonical_fingerprint

SECOND: Final = 1_000_000
"""Microseconds in a second."""

SET_BACK: Final = 86_400 * SECOND
"""How far, in microseconds, a clock may fall behind the last time seen."""

_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(span: timedelta) -> int:
    """The length of `span`, exactly."""
    return span // _MICROSECOND


def moment(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z, exactly; two of them compare in any time zones.

    Raises:
        ValueError: `instant` is naive: a mistake of the caller, whatever the license.
    """
    if instant.utcoffset() is None:
        raise ValueError("a naive datetime says no instant: give it a time zone")
    return (instant - EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class ClockGuard:
    """What a server remembers of the time, and whether its clock was set back.

    A server persists each guard that `observe` gives before it acts on it.

    Args:
        last_seen: the latest time seen, aware, or None before the first.
        tampered: the clock was found more than 86,400 s behind `last_seen`.

    Raises:
        ValueError: `last_seen` is naive.
    """

    last_seen: datetime | None = None
    tampered: bool = False

    def __post_init__(self) -> None:
        """Refuse a naive time at once, not at the first comparison."""
        if self.last_seen is not None:
            moment(self.last_seen)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the arguments, which are judged again."""
        return type(self), (self.last_seen, self.tampered)

    def observe(self, now: datetime) -> "ClockGuard":
        """The guard after the clock read `now`; this one, when nothing changes.

        Tampering ends only when the clock has passed the last time seen. A guard that says
        tampered without such a time stays so.

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
    """How one check went; `not_checked` fails nothing, its message says why."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRow:
    """One check: its code, its outcome, why, and what puts a failure right."""

    code: CheckCode
    outcome: Outcome
    message: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All ten checks of one file.

    Attributes:
        rows: one per `CheckCode`, in that order.
        license: the decoded license when it is authentic, accepted or not.
    """

    rows: tuple[CheckRow, ...]
    license: License | None

    @property
    def authentic(self) -> bool:
        """Whether rows 1 to 4 passed."""
        return self.license is not None

    @property
    def accepted(self) -> bool:
        """Whether a server may act on the license: authentic, and no check failed."""
        return self.failure is None

    @property
    def failure(self) -> CheckRow | None:
        """The first row that failed: the code with which `verify` refuses the same file."""
        return next((row for row in self.rows if row.outcome is Outcome.FAILED), None)


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

    def __init__(self, failure: CheckRow, license_: License) -> None:
        """Carry the failed row and the license."""
        super().__init__(failure.code, failure.message, hint=failure.hint, license=license_)


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

    def row(self, license_: License, at: Circumstances) -> CheckRow:
        """The row of a report."""
        verdict = self.judge(license_, at)
        if verdict is None:
            return self.passed
        if isinstance(verdict, CheckRow):
            return verdict
        return CheckRow(
            code=self.code, outcome=Outcome.FAILED, message=verdict.message, hint=verdict.hint
        )


def first_failure(license_: License, at: Circumstances) -> CheckRow | None:
    """The first row of the table that fails, or None."""
    for check in CHECKS:
        row = check.row(license_, at)
        if row.outcome is Outcome.FAILED:
            return row
    return None


def every_row(license_: License, at: Circumstances) -> tuple[CheckRow, ...]:
    """All rows of the table, whatever the ones before them say."""
    return tuple(check.row(license_, at) for check in CHECKS)


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
        "set the server's clock right",
    )


def _stale_issue_date(license_: License, at: Circumstances) -> Failed | CheckRow | None:
    if at.freshness_window is None:
        return _NO_WINDOW
    age = at.now - license_.iat * SECOND
    if age <= at.freshness_window:
        return None
    return Failed(
        f"issued at {_instant(license_.issued_at)}, {_about(age)} ago;"
        f" it had to be uploaded within {_exactly(at.freshness_window)}",
        "ask for a reissued license and upload it in time",
    )


def _machine_mismatch(license_: License, at: Circumstances) -> Failed | CheckRow | None:
    if license_.machine_fingerprint is None:
        return _NO_MACHINE
    if at.fingerprint is None:
        return Failed("the license is for one machine, and no fingerprint was given")
    given = canonical_fingerprint(at.fingerprint)
    if given is None:
        return Failed("the given fingerprint has no canonical form")
    if hmac.compare_digest(given.encode(), license_.machine_fingerprint.encode()):
        return None
    return Failed(
        f"the license is for machine {license_.machine_fingerprint}, this is {given}",
        "ask for a license for this machine",
    )


def _domain_mismatch(license_: License, at: Circumstances) -> Failed | CheckRow | None:
    if license_.allowed_domain is None:
        return _NO_DOMAIN
    if at.host is None:
        return _NO_REQUEST
    if license_.allowed_domain.matches(at.host):
        return None
    return Failed(f"the request's host {quoted(at.host)} is not {license_.allowed_domain}")


def _clock_tampered(_license: License, at: Circumstances) -> Failed | CheckRow | None:
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
