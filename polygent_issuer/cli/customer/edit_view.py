"""How a changed customer looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.customer.customer_view import customer_json
from polygent_issuer.cli.customer.still_named_view import still_named_json, still_named_lines
from polygent_issuer.cli.output import Result
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing.still_named import StillNamed
from polygent_issuer.registry import Customer

_NONE = "none"


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
            "still_named": [still_named_json(each) for each in self.still_named],
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
        yield from still_named_lines(self.still_named, "the old name")
