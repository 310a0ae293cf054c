"""An office: a registry, a key in memory, and an output folder, without a command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.first_license import FirstLicenseRequest, propose_first
from polygent_issuer.issuing.next_license import RenewalRequest, propose_renewals
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.issuing.signing import Issued, proposals_of, publish
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.machine_info.document import ReceivedDocument, parse
from polygent_issuer.registry import Actor, Reading, Registry, change, keys
from polygent_issuer.registry.change import Decided
from polygent_issuer.terms.parsing import Changes
from support.lic_files import license_id
from support.registries import ACTOR, new_registry

if TYPE_CHECKING:
    from support.databases import Databases

NOW = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
Propose = Callable[[Reading], tuple[Proposal, ...]]


@dataclass
class Office:
    """Everything that issuing needs."""

    folder: Path
    registry: Registry
    signer: SoftwareSigner
    settings: Settings
    now: datetime = NOW
    issued: int = 0

    @property
    def output(self) -> Destination:
        """The folder for licenses."""
        return Destination(folder=self.folder / "out")

    def document(self, fingerprint: str = "sha256:" + "ab" * 32) -> ReceivedDocument:
        """Return a fresh document of a machine."""
        moment = (self.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = f'{{"fingerprint":"{fingerprint}","generatedAt":"{moment}","hostname":"prod-1"}}'
        return ReceivedDocument(content=text.encode(), info=parse(text.encode()))

    def first(self, db: Reading, *, number: int = 1, **more: Any) -> tuple[Proposal, ...]:
        """Decide Acme's first license."""
        request = FirstLicenseRequest(
            **{
                "customer": "Acme",
                "document": self.document(),
                "plan": self.settings.plans["standard-annual"],
                "changes": Changes(),
                **more,
            }
        )
        return (
            propose_first(
                db, request, settings=self.settings, now=self.now, license_id=license_id(number)
            ),
        )

    def next(
        self, db: Reading, *, number: int = 2, action: Action = Action.RENEW, **more: Any
    ) -> tuple[Proposal, ...]:
        """Decide the next licenses for Acme's current ones."""
        request = RenewalRequest(
            **{"action": action, "customer": "acme", "changes": Changes(), **more}
        )
        numbers = count(number)
        return propose_renewals(
            db,
            request,
            settings=self.settings,
            now=self.now,
            id_after=lambda _: license_id(next(numbers)),
        )

    @property
    def actor(self) -> Actor:
        """The operator."""
        return ACTOR

    def decide(self, propose: Propose) -> Decided[tuple[Proposal, ...]]:
        """Decide on a snapshot."""
        return change.decide(self.registry, propose, now=self.now, actor=ACTOR)

    def publish(self, propose: Propose, **more: Any) -> tuple[Issued, ...]:
        """Decide and publish, with consent to all findings."""
        return self.publish_shown(self.decide(propose), **more)

    def publish_shown(
        self, decided: Decided[tuple[Proposal, ...]], **more: Any
    ) -> tuple[Issued, ...]:
        """Publish an earlier decision, with consent to all findings."""
        codes = frozenset(f.code for each in proposals_of(decided) for f in each.findings)
        arguments: dict[str, Any] = {
            "signers": {self.signer.kid: self.signer},
            "consent": Consent(accepted=codes),
            "destination": self.output,
            **more,
        }
        return publish(decided, **arguments)


@contextmanager
def open_office(folder: Path, databases: "Databases | None" = None) -> Iterator[Office]:
    """Open an office with one key, whose registry is a file or in a database."""
    (folder / "out").mkdir()
    signer = SoftwareSigner(generate_private_key())
    with new_registry(
        folder, now=NOW, actor=ACTOR, registry_id="5a5a5a5a-test", databases=databases
    ) as registry:
        with registry.writing(now=NOW, actor=ACTOR) as db:
            keys.add(db, key=signer.public_key, label="main")
            db.record("key-generated", kid=signer.kid)
        yield Office(folder=folder, registry=registry, signer=signer, settings=Settings())
