"""A language-neutral vector: a file, the circumstances, and the code that a server must report."""

import base64
from dataclasses import dataclass
from typing import Any

from vectors.signing import FINGERPRINT, NOW


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A vector; `expected` is `ok` or a code of FORMAT §5."""

    name: str
    file: bytes
    expected: str
    now: str = NOW
    fingerprint: str | None = FINGERPRINT
    host: str | None = None
    freshness_window_seconds: int | None = None
    clock: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the vector's entry in `licenses.json`."""
        return {
            "name": self.name,
            "file": base64.b64encode(self.file).decode(),
            "now": self.now,
            "fingerprint": self.fingerprint,
            "host": self.host,
            "freshnessWindowSeconds": self.freshness_window_seconds,
            "clock": self.clock,
            "expected": self.expected,
        }


def cases(expected: str, files: dict[str, bytes]) -> list[Case]:
    """Files that all get the same verdict under the usual circumstances."""
    return [Case(name=name, file=data, expected=expected) for name, data in files.items()]
