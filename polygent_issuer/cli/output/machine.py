"""How a machine of a customer looks: what it is, what it was, when it changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli.output.model import Line
from polygent_issuer.issuing.machines import IdentityChange, list_components
from polygent_issuer.registry import Identity, Machine
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownMachine:
    """A machine as it is, what it was before and when it changed, the latest first."""

    machine: Machine
    history: tuple[Identity, ...]
    changes: tuple[IdentityChange, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The machine for programs; `before` is its history."""
        return {
            "label": self.machine.label,
            "fingerprint": self.machine.fingerprint,
            "hostname": self.machine.hostname,
            "since": dates.instant(self.machine.since),
            "before": [
                {
                    "fingerprint": past.fingerprint,
                    "hostname": past.hostname,
                    "since": dates.instant(past.since),
                    "until": None if past.until is None else dates.instant(past.until),
                }
                for past in self.history
            ],
            "changes": [
                {
                    "at": dates.instant(change.at),
                    "components": {part.name: str(part.state) for part in change.components},
                }
                for change in self.changes
            ],
            "notes": list(self.notes),
        }

    def lines(self) -> Iterable[Line]:
        """Which parts each change was of, where they are known, and what else is to be known."""
        label = self.machine.label
        for change in self.changes:
            parts = list_components(change.components)
            if parts is not None:
                yield Line(f"{label} changed at {dates.instant(change.at)}: {parts}", "dim", 1)
        for note in self.notes:
            yield Line(f"{label}: {note}", "warn", 1)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """The machine as it is; below it, without a label, what it was."""
        now = self.machine
        yield now.label, now.hostname or "", now.fingerprint, dates.instant(now.since), "now"
        for past in self.history:
            until = "" if past.until is None else dates.instant(past.until)
            yield "", past.hostname or "", past.fingerprint, dates.instant(past.since), until
