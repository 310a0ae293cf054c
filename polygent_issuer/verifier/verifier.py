"""Verification of a license file by a server.

`verify` and `report` check in the order of FORMAT §5. The numbers are repeated in the code below.

 1. the file, its header and its signature have the right form    `malformed`
 2. the header's kid names a trusted key                          `unknown_key`
 3. that key signed the bytes as received                         `bad_signature`
    and only then (1) the payload is JSON of FORMAT §1            `malformed`
 4. the claims keep their rules                                   `invalid_claims`
 5. ... 10. the checks of acceptance, by `policy.CHECKS`          `expired` ... `clock_tampered`

Rows 1 to 4 make a license authentic. A payload is parsed only after its signature is verified.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from . import jws, policy
from .errors import CheckCode, LicenseError, NotAuthentic, quoted
from .keys import KeySet
from .license import License
from .policy import CheckRow, Circumstances, ClockGuard, Outcome, Report

_AUTHENTICITY: Final = {
    CheckCode.MALFORMED: "a signed token of the right form",
    CheckCode.UNKNOWN_KEY: "signed with a trusted key",
    CheckCode.BAD_SIGNATURE: "unchanged since it was signed",
    CheckCode.INVALID_CLAIMS: "all claims are valid",
}


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies license files with the public keys that a server trusts.

    It has no other state, so threads can share one. Each `now` is aware; a naive one raises
    `ValueError`.
    """

    keys: KeySet

    def verify(
        self,
        data: bytes,
        *,
        now: datetime,
        fingerprint: str | None = None,
        host: str | None = None,
        freshness_window: timedelta | None = None,
        clock: ClockGuard | None = None,
    ) -> License:
        """Return the license in a file if the server may act on it.

        Args:
            data: the file's bytes as received.
            now: the server's time.
            fingerprint: that of the server's machine, in any form that FORMAT §4 makes canonical.
                A standard license is refused without it.
            host: the request's Host header ("" if it is missing or repeated); None without a
                request.
            freshness_window: the time after `iat` in which a file may be installed; only for an
                installation.
            clock: the guard as the server last persisted it. `now` is checked against it; the
                caller persists what its `observe` returns.

        Raises:
            LicenseError: with the code of the first check of FORMAT §5 that fails. From `expired`
                on it carries the decoded license.
        """
        at = Circumstances.of(now, fingerprint, host, freshness_window, clock)
        license_ = self.authenticate(data)
        if failure := policy.first_failure(license_, at):  # 5 to 10
            raise policy.NotAccepted(failure, license_)
        return license_

    def authenticate(self, data: bytes) -> License:
        """Return the license in a file after only rows 1 to 4 of FORMAT §5.

        It is for tools that keep licenses. A server uses `verify`.

        Raises:
            LicenseError: with the code of the first of these checks that fails.
        """
        return License.from_payload(self._authentic_payload(data))  # 1 again, 4

    def acceptance(
        self,
        held: License,
        *,
        now: datetime,
        fingerprint: str | None = None,
        host: str | None = None,
        clock: ClockGuard | None = None,
    ) -> CheckRow | None:
        """Return the first of rows 5 to 10 of FORMAT §5 that an authentic license fails, or None.

        It is for a server that checks the same license at every request. The server keeps the
        result of `verify` or `authenticate`, and this method reads no file. The arguments are those
        of `verify`, without the freshness window of an installation.
        """
        return policy.first_failure(held, Circumstances.of(now, fingerprint, host, None, clock))

    def report(
        self,
        data: bytes,
        *,
        now: datetime,
        fingerprint: str | None = None,
        host: str | None = None,
        freshness_window: timedelta | None = None,
        clock: ClockGuard | None = None,
    ) -> Report:
        """Return all checks of a file with their outcomes; the arguments are those of `verify`.

        Rows 5 to 10 are `not_checked` if the file is not authentic. `verify` refuses the file with
        the code of the first failed row.
        """
        at = Circumstances.of(now, fingerprint, host, freshness_window, clock)
        try:
            payload = self._authentic_payload(data)
        except LicenseError as refusal:
            codes = tuple(_AUTHENTICITY)
            return _not_authentic(refusal, passed=codes[: codes.index(refusal.code)])
        try:
            license_ = License.from_payload(payload)  # 1 again, 4
        except LicenseError as refusal:
            signed = (CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE)
            return _not_authentic(refusal, passed=signed)
        return Report(rows=every_row(license_, at), license=license_)  # 5 to 10

    def _authentic_payload(self, data: bytes) -> bytes:
        # 1. form
        token = jws.parse(data)

        # 2. key
        key = self.keys.get(token.kid)
        if key is None:
            raise NotAuthentic(
                CheckCode.UNKNOWN_KEY,
                f"signed with a key that is not trusted here, {quoted(token.kid)}",
                hint="add the public key with this kid to the server",
            )

        # 3. signature
        if not key.verifies(token.signature, token.signing_input):
            raise NotAuthentic(
                CheckCode.BAD_SIGNATURE,
                "invalid signature: the file was modified or forged",
                hint="use the file as it was received",
            )
        return token.payload


def every_row(license_: License, at: Circumstances) -> tuple[CheckRow, ...]:
    """Return all rows of the report on an authentic license."""
    return (*_AUTHENTIC, *policy.every_row(license_, at))


def _passed(code: CheckCode) -> CheckRow:
    return CheckRow(code=code, outcome=Outcome.PASSED, message=_AUTHENTICITY[code])


def _not_authentic(refusal: LicenseError, *, passed: tuple[CheckCode, ...]) -> Report:
    rows = []
    for code in CheckCode:
        if code is refusal.code:
            row = CheckRow(
                code=code, outcome=Outcome.FAILED, message=refusal.message, hint=refusal.hint
            )
        elif code in passed:
            row = _passed(code)
        else:
            row = CheckRow(code=code, outcome=Outcome.NOT_CHECKED, message="not authentic")
        rows.append(row)
    return Report(rows=tuple(rows), license=None)


_AUTHENTIC: Final = tuple(map(_passed, _AUTHENTICITY))
