"""What a license says, as names and values for people."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from polygent_issuer import dates
from polygent_issuer.verifier import License

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def claim_rows(held: License, zone: "ZoneInfo | None" = None) -> Iterable[tuple[str, str | None]]:
    """Every claim of a license; its expiry also in the customer's time zone.

    Args:
        zone: the customer's, when one is known.
    """
    yield "license", held.jti
    yield "customer", f"{held.customer} ({held.sub})"
    yield "issuer", held.iss
    yield "tier", str(held.tier)
    yield "fingerprint", held.machine_fingerprint
    yield "allowed domain", str(held.allowed_domain) if held.allowed_domain else None
    yield "features", ", ".join(held.features) or "none"
    yield "users", str(held.limits.users)
    yield "session hosts", str(held.limits.session_hosts)
    yield "deploy hosts", str(held.limits.deploy_hosts)
    yield "issued", dates.instant(held.issued_at)
    yield "expires", dates.describe_expiry(held.expires_at, zone)
    yield "replaces", ", ".join(held.replaces) or None
