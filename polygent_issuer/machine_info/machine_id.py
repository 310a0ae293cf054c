"""What identifies a machine, and the hashes that stand for it in a document.

As systemd's `sd_id128_get_machine_app_specific` does: HMAC-SHA256 keyed with the id, over a
constant of this application. Whoever has the hash can neither tell the id nor the hash that
another application would make of it. The fingerprint is made of the machine's id alone: a part
that only the administrator may read would change it with the user who asks.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.machine_info import is_placeholder

_APPLICATION: Final = b"polygent machine info 1: "

_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{32}")


class NoMachineId(InputRefused):
    """This machine has no id of its own that a fingerprint could be made of."""

    code = "no_machine_id"


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineId:
    """A machine's id, and its board's where it can be read; secret in the sense of `repr`."""

    machine: str = field(repr=False)
    board: str | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """The fingerprint in canonical form (FORMAT §4)."""
        return _hash(self.machine, "fingerprint")

    @property
    def components(self) -> dict[str, str]:
        """The hashed parts by name, so that a changed fingerprint can be explained."""
        components = {"machineId": _hash(self.machine, "machineId")}
        if self.board is not None:
            components["board"] = _hash(self.board, "board")
        return components


def plain_id(text: str) -> str | None:
    """Bring an id into 32 lower-case hexadecimal digits; None when it is none, or says nothing.

    UUIDs come with hyphens and braces, whatever the system; an id of one digit repeated (all zero,
    all F) is what systems write that have none.
    """
    digits = text.strip().strip("{}").replace("-", "").lower()
    return digits if _HEXADECIMAL.fullmatch(digits) and len(set(digits)) > 1 else None


def board_id(*candidates: str | None) -> str | None:
    """Choose the first serial number or UUID that is no placeholder, trimmed and in lower case."""
    for candidate in candidates:
        text = (candidate or "").strip().strip("{}").lower()
        if not is_placeholder(text):
            return text
    return None


def _hash(key: str, purpose: str) -> str:
    keyed = hmac.new(key.encode(), _APPLICATION + purpose.encode(), hashlib.sha256)
    return f"sha256:{keyed.hexdigest()}"
