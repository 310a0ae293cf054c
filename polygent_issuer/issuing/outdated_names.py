"""Licenses in force whose signed file says another customer than the registry."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.stored_license import load_license
from polygent_issuer.registry import LicenseRecord, Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class OutdatedLicense:
    """A license in force that carries another name or slug than its customer's.

    Attributes:
        name, sub: what the file says.
        slug: the customer's.
    """

    license_id: str
    name: str
    sub: str
    machine: str | None
    expires_at: datetime
    slug: str

    @property
    def command(self) -> Hint:
        """What issues it again, with the name and slug of today."""
        return run("reissue", self.slug, "--license", self.license_id[:8])


def outdated_licenses(
    db: Reading, records: Iterable[LicenseRecord], *, slug: str, name: str, now: datetime
) -> tuple[OutdatedLicense, ...]:
    """Those of current licenses that run and say another customer than this.

    Raises:
        RegistryDamaged: (`registry_damaged`) when a stored license does not verify.
    """
    in_force = (record for record in records if record.expires_at > now)
    read = ((record, load_license(db, record)) for record in in_force)
    return tuple(
        OutdatedLicense(
            license_id=record.id,
            name=held.customer,
            sub=held.sub,
            machine=record.machine_label,
            expires_at=record.expires_at,
            slug=slug,
        )
        for record, held in read
        if (held.customer, held.sub) != (name, slug)
    )
