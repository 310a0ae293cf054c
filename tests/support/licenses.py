"""A registry whose licenses are signed with the test's own key, without a key store.

Unlocking a key file takes most of a second, by design. The rows are those that `sign` writes, and
the files are signed.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from polygent_issuer.cli.context import actor
from polygent_issuer.home import folder
from polygent_issuer.home.settings import settings_path
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import (
    REGISTRY_FILE,
    Customer,
    LicenseRecord,
    Machine,
    Reading,
    Registry,
    Writing,
    change,
    customers,
    journal,
    journal_check,
    keys,
    licenses,
    machines,
)
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.verifier import License, Limits, Tier, jws
from support.cli import Desk
from support.registries import YEAR

FINGERPRINT = "sha256:" + "ab" * 32


@dataclass
class Books:
    """A desk's registry, written directly."""

    desk: Desk
    signer: SoftwareSigner = field(default_factory=lambda: SoftwareSigner(generate_private_key()))

    @property
    def path(self) -> Path:
        """The file of the registry."""
        return self.desk.home / REGISTRY_FILE

    def open(self) -> "Books":
        """Create home, settings, output folder and registry, with the key `main`."""
        folder.create(self.desk.home)
        self.desk.output.mkdir()
        text = default_text(issuer="Polygent Ltd", operator="Ada", output=str(self.desk.output))
        settings_path(self.desk.home).write_text(text)
        new_id = str(uuid.uuid4())
        Registry.create(
            self.path, now=self.desk.now, actor=actor("Ada"), registry_id=new_id
        ).close()
        self.key("main", self.signer)
        return self

    def copy_to(self, desk: Desk) -> "Books":
        """Copy them to another desk, in a fifth of the time that creating them takes."""
        self.desk.copy_to(desk.folder)
        return Books(desk, self.signer)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Open a write transaction of Ada's."""
        with (
            Registry.open(self.desk.registry) as registry,
            registry.writing(now=self.desk.now, actor=actor("Ada")) as db,
        ):
            yield db

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Open a snapshot."""
        with Registry.open(self.desk.registry) as registry, registry.reading() as db:
            yield db

    def key(self, label: str, signer: SoftwareSigner) -> None:
        """Pin a key."""
        with self.writing() as db:
            keys.add(db, key=signer.public_key, label=label)
            db.record("key-generated", kid=signer.kid)

    def customer(self, name: str = "Acme GmbH", slug: str = "acme", **more: Any) -> Customer:
        """Add a customer."""
        with self.writing() as db:
            added = customers.add(db, slug=slug, name=name, **more)
            db.record("customer-added", customer=slug)
            return added

    def machine(
        self, customer: Customer, label: str = "prod-1", fingerprint: str = FINGERPRINT
    ) -> Machine:
        """Add a machine to a customer."""
        with self.writing() as db:
            identity: dict[str, Any] = {"hostname": label, "components": {}, "document_id": None}
            added = machines.add(db, customer, label=label, fingerprint=fingerprint, **identity)
            db.record("machine-added", customer=customer.slug)
            return added

    def license(
        self,
        customer: Customer,
        machine: Machine | None = None,
        *,
        expires_at: datetime | None = None,
        replaces: LicenseRecord | None = None,
        pending: tuple[str | None, str | None] | None = None,
        document: bytes | None = None,
        signer: SoftwareSigner | None = None,
        license_id: str | None = None,
    ) -> LicenseRecord:
        """Issue a license now: for a machine, or else an enterprise license.

        Args:
            expires_at: by default a year from now.
            pending: folder and name of a file in the outbox.
            document: the machine-info document of the license.
            signer: another key than `main`, which must be pinned.
        """
        issued = License(
            iss="Polygent Ltd",
            sub=customer.slug,
            jti=license_id or str(uuid.uuid4()),
            iat=int(self.desk.now.timestamp()),
            exp=int((expires_at or self.desk.now + YEAR).timestamp()),
            customer=customer.name,
            tier=Tier.STANDARD if machine else Tier.ENTERPRISE,
            features=("insights", "planner"),
            limits=Limits(users=25, session_hosts=2, deploy_hosts=1),
            machine_fingerprint=machine.fingerprint if machine else None,
            replaces=(replaces.id,) if replaces else (),
        )
        with self.writing() as db:
            document_id = None
            if document is not None:
                generated_at = self.desk.now - timedelta(hours=1)
                document_id = machines.add_document(db, document, FINGERPRINT, generated_at).id
            licenses.add(
                db,
                license_id=issued.jti,
                customer_id=customer.id,
                machine_id=machine.id if machine else None,
                kid=(signer or self.signer).kid,
                file=_signed(issued, signer or self.signer),
                tier=str(issued.tier),
                issued_at=issued.issued_at,
                expires_at=issued.expires_at,
                term="1y",
                plan="standard-annual",
                document_id=document_id,
            )
            if replaces is not None:
                licenses.replace(db, replaces.id, issued.jti)
            if pending is not None:
                change.add_pending(db, issued.jti, folder=pending[0], name=pending[1])
            details = {} if replaces is None else {"replaces": replaces.id}
            event = "license-renewed" if replaces else "license-signed"
            db.record(event, customer=customer.slug, license=issued.jti, details=details)
            return licenses.get(db, issued.jti)

    def record(self, license_id: str) -> LicenseRecord:
        """Return a license from the registry."""
        with self.reading() as db:
            return licenses.get(db, license_id)

    def pending(self) -> tuple[str, ...]:
        """Return the license IDs in the outbox."""
        with self.reading() as db:
            return tuple(row.license_id for row in change.pending(db))

    def last_row(self) -> JournalRow:
        """Return the journal's newest row; the journal must be intact."""
        with self.reading() as db:
            assert journal_check.verify(db).problems == ()
            return tuple(journal.rows(db))[-1]


def _signed(issued: License, signer: SoftwareSigner) -> bytes:
    signing_input = jws.signing_input(signer.kid, issued.to_payload())
    return jws.assemble(signing_input, signer.sign(signing_input))
