"""What a server asks: may I act on this license file, here and now?

The order of FORMAT §5, the same for `verify` and `report`; the code below carries the numbers.

 1. the file, its header and its signature have their form        `malformed`
 2. the header's kid names a key that is trusted                  `unknown_key`
 3. the signature is that key's, over the bytes as received       `bad_signature`
    and only then (1) the payload is JSON of the profile          `malformed`
 4. the claims keep their rules                                   `invalid_claims`
 5. ... 10. the checks of acceptance, by `policy.CHECKS`          `expired` ... `clock_tampered`

Rows 1 to 4 make a license authentic; nothing of a payload is parsed before its signature holds.
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
    CheckCode.INVALID_CLAIMS: "the claims keep their rules",
}


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies license files with the public keys that a server trusts.

    It holds no other state: share one among threads.
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
        """The license that a file holds, if the server may act on it.

        Args:
            data: the file's bytes as received.
            now: the server's time, aware.
            fingerprint: of the server's machine, in any form that FORMAT §4 can bring to its
                canonical one; a standard license is refused without.
            host: the request's Host header ("" when it is missing or repeated); None when there
                is no request.
            freshness_window: given at an installation: how long after `iat` a file may be
                installed.
            clock: the guard as the server last persisted it; `now` is observed with it, what
                comes of that is the caller's to persist.

        Raises:
            LicenseError: with the code of the first check of FORMAT §5 that fails; from
                `expired` on it carries the decoded license.
            ValueError: `now` is naive.
        """
        at = Circumstances.of(now, fingerprint, host, freshness_window, clock)
        held = self.authenticate(data)
        if failure := policy.first_failure(held, at):  # 5 to 10
            raise policy.NotAccepted(failure, held)
        return held

    def authenticate(self, data: bytes) -> License:
        """The license that a file holds, whoever may act on it: rows 1 to 4 of FORMAT §5 alone.

        For tools that keep licenses; a server asks `verify`.

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
        """The first of rows 5 to 10 of FORMAT §5 that an authentic license fails, or None.

        For a server that judges the same license at every request: it keeps what `verify` or
        `authenticate` gave, and asks this, which reads no file. The arguments are those of
        `verify`; the freshness window is for an installation alone.

        Raises:
            ValueError: `now` is naive.
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
        """Every check of a file with its outcome; the arguments are those of `verify`.

        Rows 5 to 10 are `not_checked` when the file is not authentic. The first failed row is
        the one with which `verify` refuses the file.

        Raises:
            ValueError: `now` is naive.
        """
        at = Circumstances.of(now, fingerprint, host, freshness_window, clock)
        try:
            payload = self._authentic_payload(data)
        except LicenseError as refusal:
            codes = tuple(_AUTHENTICITY)
            return _not_authentic(refusal, passed=codes[: codes.index(refusal.code)])
        try:
            held = License.from_payload(payload)  # 1 again, 4
        except LicenseError as refusal:
            signed = (CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE)
            return _not_authentic(refusal, passed=signed)
        return acceptance_report(held, at)  # 5 to 10

    def _authentic_payload(self, data: bytes) -> bytes:
        # 1. form
        token = jws.parse(data)

        # 2. key
        key = self.keys.get(token.kid)
        if key is None:
            raise NotAuthentic(
                CheckCode.UNKNOWN_KEY,
                f"signed with a key that is not trusted here, {quoted(token.kid)}",
                hint="give the server the public key with this kid",
            )

        # 3. signature
        if not key.verifies(token.signature, token.signing_input):
            raise NotAuthentic(
                CheckCode.BAD_SIGNATURE,
                "the signature does not fit: the file was changed, or forged",
                hint="use the file as it was received",
            )
        return token.payload


def acceptance_report(held: License, at: Circumstances) -> Report:
    """The report on a license that is authentic."""
    return Report(rows=(*_AUTHENTIC, *policy.every_row(held, at)), license=held)


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
