"""Homes of any size: customers with a machine each, and licenses, written as `sign` does.

    python -m support.large_registries FOLDER LICENSES PER_CUSTOMER [signed]

The journal has a row for each license. The customers `due-000` … `due-049` have a license that is
due, with a valid file. The other files are valid in a `signed` home; else they only have the right
length.
"""

import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

from polygent_issuer.cli.context import actor
from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.registry import (
    REGISTRY_FILE,
    Customer,
    Registry,
    Writing,
    customers,
    licenses,
    machines,
)
from polygent_issuer.verifier import License, Limits, Tier, jws
from support.cli import Desk
from support.keys import opened

DUE: Final = 50
"""The number of licenses that are due, in a home of any size."""

_DAY: Final = 86_400
_TOGETHER: Final = 10_000
_FEATURES: Final = ("automations", "code-review", "memory", "planner", "ticket-sync", "workflows")


@dataclass(frozen=True, kw_only=True)
class Sale:
    """One license of one customer; `place` is the number of the customer's earlier ones."""

    slug: str
    place: int
    now: datetime
    days: int

    @cached_property
    def license(self) -> License:
        """The license: the first of a customer is bound to a machine, others are not."""
        digest = sha256(f"{self.slug}/{self.place}".encode()).digest()
        issued = int(self.now.timestamp())
        return License(
            iss="Polygent Ltd",
            sub=self.slug,
            jti=str(uuid.UUID(bytes=digest[:16], version=4)),
            iat=issued,
            exp=(issued // _DAY + self.days) * _DAY,
            customer=f"{self.slug.title()} Ltd",
            tier=Tier.ENTERPRISE if self.place else Tier.STANDARD,
            features=_FEATURES,
            limits=Limits(users=25, session_hosts=5, deploy_hosts=5),
            machine_fingerprint=None if self.place else f"sha256:{digest.hex()}",
        )


def sale(number: int, per_customer: int, now: datetime) -> Sale:
    """Return the sale of a number: the first ones are due in a month, others in a year or two."""
    if number < DUE:
        return Sale(slug=f"due-{number:03}", place=0, now=now, days=10 + number % 10)
    customer, place = divmod(number - DUE, per_customer)
    return Sale(slug=f"customer-{customer:07}", place=place, now=now, days=370 + number % 330)


class Seller:
    """Writes sales, grouped by customer."""

    def __init__(self, signer: SoftwareSigner, *, signs_all: bool) -> None:
        """Sign all licenses with this key, or only those that are due."""
        self._signer = signer
        self._signs_all = signs_all
        self._customer: Customer | None = None

    def write(self, db: Writing, sold: Sale) -> None:
        """Write a license with its journal row, and a new customer and machine if needed."""
        license_, kid = sold.license, self._signer.kid
        if sold.place == 0:
            contact = f"ops@{sold.slug}.example"
            self._customer = customers.add(
                db, slug=sold.slug, name=license_.customer, contacts=(contact,)
            )
        assert self._customer is not None
        licenses.add(
            db,
            license_id=license_.jti,
            customer_id=self._customer.id,
            machine_id=self._machine(db, self._customer, license_),
            kid=kid,
            file=self._file(license_),
            tier=str(license_.tier),
            issued_at=license_.issued_at,
            expires_at=license_.expires_at,
            term="1y",
            plan=None,
            document_id=None,
        )
        details = {"tier": str(license_.tier), "changes": {"users": ["", "25"]}}
        db.record(
            "license-signed", customer=sold.slug, license=license_.jti, kid=kid, details=details
        )

    def _machine(self, db: Writing, customer: Customer, license_: License) -> int | None:
        if license_.machine_fingerprint is None:
            return None
        return machines.add(
            db,
            customer,
            label="prod",
            fingerprint=license_.machine_fingerprint,
            hostname=f"prod.{customer.slug}.example",
            components={},
            document_id=None,
        ).id

    def _file(self, license_: License) -> bytes:
        signing_input = jws.signing_input(self._signer.kid, license_.to_payload())
        if self._signs_all or license_.sub.startswith("due-"):
            return jws.assemble(signing_input, self._signer.sign(signing_input))
        return signing_input + b"." + b"A" * 86 + b"\n"


def make(folder: Path, count: int, *, per_customer: int, signed: bool) -> None:
    """Create a home at `folder`/home with this number of licenses, issued three days ago."""
    folder.mkdir()
    desk = Desk(folder, now=datetime.now(UTC) - timedelta(days=3)).set_up()
    desk.hasten()
    signer = SoftwareSigner(opened(folder / "main.key"))
    seller = Seller(signer, signs_all=signed)
    with Registry.open(desk.home / REGISTRY_FILE) as registry:
        for first in range(0, count, _TOGETHER):
            with registry.writing(now=desk.now, actor=actor("Ada")) as db:
                for number in range(first, min(count, first + _TOGETHER)):
                    seller.write(db, sale(number, per_customer, desk.now))


if __name__ == "__main__":
    make(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        per_customer=int(sys.argv[3]),
        signed="signed" in sys.argv[4:],
    )
