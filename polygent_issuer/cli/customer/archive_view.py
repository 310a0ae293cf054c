"""How an archived customer looks, and what that does not do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.customer.customer_view import customer_json, zone_of
from polygent_issuer.cli.output import Result
from polygent_issuer.issuing.archival import Archival


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedReport(Result):
    """A customer who is archived, or is so no longer.

    Attributes:
        changed: whether it was this command that did it.
    """

    archival: Archival
    changed: bool

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `changed`, and the licenses that are `running` all the same."""
        return {
            "customer": customer_json(self.archival.customer),
            "changed": self.changed,
            "running": [
                {
                    "id": record.id,
                    "machine": record.machine_label,
                    "works_until": dates.instant(record.expires_at),
                }
                for record in self.archival.running
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """What it is now, and what the operator should know."""
        customer = self.archival.customer
        what = (
            f"{customer.name} ({customer.slug}) is {'not ' if self.archival.undo else ''}archived"
        )
        if not self.changed:
            yield Line(what if self.archival.undo else f"{what} already", "dim")
            return
        yield Line(f"{what} any more" if self.archival.undo else what, "good")
        if not self.archival.undo:
            yield from following(self.archival)
            yield Line(f"to undo: polygent-issue customer archive {customer.slug} --undo", "dim")


def following(found: Archival) -> Iterable[Block]:
    """What archiving does, and what it does not do to the licenses that run."""
    yield Line("sign, renew and reissue refuse it; customer list and expiring leave it out")
    zone = zone_of(found.customer)
    for record in found.running:
        until = dates.describe_expiry(record.expires_at, zone)
        what = f"license {record.id[:8]} for {record.machine_label or 'any machine'}"
        yield Line(f"{what} keeps working until {until}, where it is installed", "warn", 1)
