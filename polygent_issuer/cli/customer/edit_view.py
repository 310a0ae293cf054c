"""How a changed customer looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.customer.customer_view import customer_json
from polygent_issuer.cli.output import Result
from polygent_issuer.findings import FindingCode
from polygent_issuer.registry import Customer

_NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class StillNamed:
    """A license in force that carries another name than the customer's."""

    license_id: str
    name: str
    machine: str | None
    expires_at: datetime
    slug: str

    @property
    def command(self) -> str:
        """What issues it again, with the new name."""
        return f"polygent-issue reissue {self.slug} --license {self.license_id[:8]}"

    def to_json(self) -> dict[str, Any]:
        """The license for programs."""
        return {
            "id": self.license_id,
            "name": self.name,
            "machine": self.machine,
            "expires_at": dates.instant(self.expires_at),
            "mend": self.command,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited(Result):
    """A customer after the changes.

    Attributes:
        changes: old and new by name; empty when everything was so already.
        still_named: the licenses that carry the old name.
    """

    customer: Customer
    changes: Mapping[str, tuple[str | None, str | None]]
    still_named: tuple[StillNamed, ...]
    accepted: tuple[FindingCode, ...]

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `changes`, `still_named`."""
        return {
            "customer": customer_json(self.customer),
            "changes": [
                {"name": name, "old": old, "new": new} for name, (old, new) in self.changes.items()
            ],
            "still_named": [each.to_json() for each in self.still_named],
            "accepted": [str(code) for code in self.accepted],
        }

    def blocks(self) -> Iterable[Block]:
        """Old → new, and what to reissue."""
        if not self.changes:
            yield Line(f"{self.customer.slug} is so already; nothing was changed", "dim")
            return
        yield Line(f"changed {self.customer.slug}", "good")
        yield Fields(
            tuple(
                (name.replace("_", " "), f"{old or _NONE} → {new or _NONE}")
                for name, (old, new) in self.changes.items()
            )
        )
        if self.still_named:
            yield Line("these files still carry the old name:", "warn")
            for each in self.still_named:
                until = dates.describe_expiry(each.expires_at)
                yield Line(f"{each.name}, {each.machine or 'any machine'}, until {until}", indent=1)
                yield Line(each.command, indent=2)
