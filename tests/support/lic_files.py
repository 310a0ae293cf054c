"""License files without a registry, signed by the test's own key."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.verifier import License, Limits, Tier, jws

ISSUED = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def license_id(number: int) -> str:
    """Return a predictable ID."""
    return f"{number:08x}-0000-4000-8000-000000000000"


@dataclass
class Issuer:
    """Signs license files with any claims."""

    signer: SoftwareSigner = field(default_factory=lambda: SoftwareSigner(generate_private_key()))

    def file(self, number: int, **claims: Any) -> bytes:
        """Return a license file: standard, for Acme, issued `number` days after `ISSUED`.

        Args:
            claims: other values, by the fields of `License`; `fingerprint=None` is enterprise.
        """
        fingerprint = claims.pop("fingerprint", "sha256:" + "ab" * 32)
        replaces = tuple(map(license_id, claims.pop("replaces", ())))
        issued = int(ISSUED.timestamp()) + number * 86_400
        defaults: dict[str, Any] = {
            "iss": "Polygent Ltd",
            "sub": "acme",
            "jti": license_id(number),
            "iat": issued,
            "exp": issued + 365 * 86_400,
            "customer": "Acme GmbH",
            "tier": Tier.STANDARD if fingerprint else Tier.ENTERPRISE,
            "features": ("insights",),
            "limits": Limits(users=25, session_hosts=2, deploy_hosts=1),
            "machine_fingerprint": fingerprint,
            "replaces": replaces,
        }
        signing_input = jws.signing_input(
            self.signer.kid, License(**{**defaults, **claims}).to_payload()
        )
        return jws.assemble(signing_input, self.signer.sign(signing_input))
