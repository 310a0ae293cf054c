"""A file that may be a license: what can be read from it before anything is checked."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.terms import dates
from polygent_issuer.text import escape
from polygent_issuer.verifier import LicenseError, hints, jws

if TYPE_CHECKING:
    from polygent_issuer.registry import Reading


_TEXT: Final = (hints.START.encode(), hints.START_ENCODED.encode())
_UTF16: Final = (hints.START.encode("utf-16-le"), hints.START.encode("utf-16-be"))
# In the header of a mail, which ends before the first empty line (RFC 5322 §2.1).
_DRAFT: Final = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?X-Unsent: 1\r?\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseFile:
    """One license file, or why it cannot be read.

    Attributes:
        name: what a person calls it: its path, or its line of stdin.
        data: its bytes as received, at most one more than a license file may have.
        problem: why there are none.
    """

    name: str
    data: bytes = b""
    problem: UnreadableInput | None = None


def peek_kid(data: bytes) -> str | None:
    """The key that a file of the right form names; nothing of it is checked."""
    try:
        return jws.parse(data).kid
    except LicenseError:
        return None


def has_license_text(data: bytes) -> bool:
    """Return whether a file has a license as text, whatever mail or an editor did to it.

    A license within an archive, a database or another binary file does not count, nor one in an
    unsent mail draft (`--eml`), whose license was written as a file, too.

    Args:
        data: the file, or its first 16,385 bytes: more than a license file may have.
    """
    if peek_kid(data) is not None or any(beginning in data for beginning in _UTF16):
        return True
    if b"\0" in data or _DRAFT.match(data):
        return False
    return any(beginning in data for beginning in _TEXT)


def describe(data: bytes) -> str:
    """Return what a file is that is not a license, as far as its beginning shows that.

    Args:
        data: the file, or its first 16,385 bytes: more than a license file may have.
    """
    if _DRAFT.match(data):
        return "an unsent mail draft"
    try:
        jws.parse(data)
    except LicenseError as error:
        return error.hint or "not a license"
    return "a license"


@dataclass(frozen=True, kw_only=True, slots=True)
class CompromisedKey:
    """A key that the registry pins and marks as compromised.

    Attributes:
        since: since when it is marked so; `None` where nothing tells.
    """

    kid: str
    label: str
    since: datetime | None

    @property
    def message(self) -> str:
        """Why a file that names it is nobody's word."""
        since = "" if self.since is None else f" since {dates.instant(self.since)}"
        return (
            f"it names the key {escape(self.label)}, which is marked as compromised{since}: "
            "whoever holds that key can write such a file, so servers must refuse it"
        )

    def to_json(self) -> dict[str, Any]:
        """The key for programs."""
        since = None if self.since is None else dates.instant(self.since)
        return {"kid": self.kid, "label": self.label, "since": since}


def find_compromised_key(db: "Reading", kid: str) -> CompromisedKey | None:
    """The key of exactly this kid, whoever wrote that, if the registry marks it as compromised."""
    from polygent_issuer.registry import keys  # noqa: PLC0415  # 20 ms

    for key in keys.every(db):
        if key.compromised and key.kid == kid:
            return CompromisedKey(kid=kid, label=key.label, since=keys.compromised_since(db, key))
    return None
