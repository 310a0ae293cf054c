"""Check the plausibility of a document: its age, its components, a placeholder as fingerprint.

Firmware and programs write a placeholder when they have no id. Machines with the same placeholder
would share a license. A fingerprint is opaque (FORMAT §4), so this is a finding and not an error.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Final

from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.terms.dates import in_utc, instant
from polygent_issuer.text import escape_short
from polygent_issuer.verifier.license import is_placeholder, plain
from polygent_issuer.verifier.tables import FILLERS

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import MachineInfo


_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_PREFIX: Final = re.compile(r"(?:urn:)?[a-z][a-z0-9_-]{2,}:")  # longer than a byte of a MAC address
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
# Texts that programs hash when they cannot read an id.
_NOTHING: Final = (
    *("", " ", "\0", "{}", "[]", '""'),
    *("0" * 32, "f" * 32, "F" * 32),
    *(str.join("-", (digit * n for n in (8, 4, 4, 4, 12))) for digit in "0fF"),
    *("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "FF:FF:FF:FF:FF:FF", "0", "-1"),
)
_ALGORITHMS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")


class ComponentState(StrEnum):
    """The change of one component between two documents."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentChange:
    """The name of a component, and its change."""

    name: str
    state: ComponentState


def freshness_finding(info: "MachineInfo", *, now: datetime, max_age: timedelta) -> Finding | None:
    """Check the age of a document: from 5 minutes ahead up to `max_age` is fresh (FORMAT §4).

    The sender writes the time, so this does not detect fraud.
    """
    age = in_utc(now) - info.generated_at
    if -_CLOCKS_DIFFER <= age <= max_age:
        return None
    made = f"the machine-info document was created at {instant(info.generated_at)}"
    message = (
        f"{made}, {_length(-age)} ahead of this machine's clock"
        if age < timedelta()
        else f"{made}, over {_length(age)} ago; the limit is {_length(max_age)}"
    )
    return Finding(
        code=FindingCode.STALE_MACHINE_INFO,
        message=message,
        hint="ask the customer to download the machine info again",
    )


def changed_components(
    old: Mapping[str, str], new: Mapping[str, str]
) -> tuple[ComponentChange, ...]:
    """Compare the components of two documents, sorted by name, to explain a new fingerprint."""
    return tuple(
        ComponentChange(name=name, state=_state(old.get(name), new.get(name)))
        for name in sorted(old.keys() | new.keys())
    )


def _state(old: str | None, new: str | None) -> ComponentState:
    if old is None:
        return ComponentState.ADDED
    if new is None:
        return ComponentState.REMOVED
    return ComponentState.SAME if old == new else ComponentState.CHANGED


def _length(span: timedelta) -> str:
    """Return a duration in its largest unit, rounded down."""
    for unit, name in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if span >= 2 * unit:
            return f"{span // unit} {name}"
    return f"{span // timedelta(seconds=1)} seconds"


def implausible_fingerprint(info: "MachineInfo") -> Finding | None:
    """Check the fingerprint of a document: a placeholder does not identify a machine."""
    problem = _problem(info.fingerprint)
    if problem is None:
        return None
    return Finding(
        code=FindingCode.IMPLAUSIBLE_FINGERPRINT,
        message=f"the fingerprint {escape_short(info.fingerprint)} {problem}, so several machines "
        "may share it",
        hint="ask the customer to give the machine an id and download the machine info again",
    )


def _problem(fingerprint: str) -> str | None:
    if fingerprint.lower().startswith("sha256:") and not _HASH.fullmatch(fingerprint):
        return "does not have 64 hexadecimal digits after sha256:"
    value = _PREFIX.sub("", fingerprint.lower(), count=1)
    if len(set(plain(value))) <= 1:
        return "is one repeated character"
    if plain(value) in _hashes_of_nothing():
        return "is the hash of an empty text or a placeholder"
    return "is a placeholder" if is_placeholder(value) else None


@cache
def _hashes_of_nothing() -> frozenset[str]:
    spellings = {form(text) for text in FILLERS for form in (str, str.lower, str.upper)}
    texts = [text + end for text in {*spellings, *_NOTHING} for end in ("", "\n", "\r\n")]
    return frozenset(
        hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()
        for name, text in product(_ALGORITHMS, texts)
    )
