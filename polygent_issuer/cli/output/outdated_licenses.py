"""How the licenses look that carry another name than their customer's."""

from collections.abc import Iterable, Sequence
from typing import Any

from polygent_issuer.cli.output.hint_json import hint_json
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.issuing.customer_changes import OutdatedLicense
from polygent_issuer.terms import dates


def still_named_json(found: OutdatedLicense) -> dict[str, Any]:
    """The license for programs; `mend` is the command that issues it again."""
    return {
        "id": found.license_id,
        "name": found.name,
        "slug": found.sub,
        "machine": found.machine,
        "expires_at": dates.instant(found.expires_at),
        **hint_json(found.command, "mend"),
    }


def still_named_lines(found: Sequence[OutdatedLicense], what: str) -> Iterable[Block]:
    """Each license, and below it the command; nothing when there is none.

    Args:
        what: that they still carry: `the old name`.
    """
    if not found:
        return
    yield Line(f"these files still carry {what}, and keep working:", "warn")
    for each in found:
        until = dates.describe_expiry(each.expires_at)
        yield Line(f"{each.name}, {each.machine or 'any machine'}, until {until}", indent=1)
        yield Line(each.command, indent=2)
