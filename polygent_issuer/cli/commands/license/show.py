"""`polygent-issue license show`: one license, read from its verified file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.customer import zone_of
from polygent_issuer.cli.output.journal_rows import journal_json, journal_table
from polygent_issuer.cli.output.license import claim_rows, license_json
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.issuing.proposal import load_license
from polygent_issuer.registry import (
    Customer,
    Document,
    JournalRow,
    KeyRecord,
    LicenseRecord,
    customers,
    journal,
    keys,
    licenses,
    machines,
)
from polygent_issuer.terms import dates
from polygent_issuer.verifier import License


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownLicense(Result):
    """A license as its file says it, and what the registry knows beside that.

    Attributes:
        document: the machine-info document that it rests on.
        upload_before: until when a server installs it.
        history: the rows of the journal about it and its successor, the newest last.
    """

    record: LicenseRecord
    license: License
    now: datetime
    customer: Customer
    key: KeyRecord
    document: Document | None
    upload_before: datetime
    history: tuple[JournalRow, ...]

    def to_json(self) -> Mapping[str, Any]:
        """The members of `license list`, then `claims` and what else is known."""
        record, document = self.record, self.document
        return {
            "license": {
                **license_json(record, self.now),
                "claims": dict(self.license.to_claims()),
                "term": record.term,
                "plan": record.plan,
                "key_label": self.key.label,
                "replaces": list(self.license.replaces),
                "retired_at": dates.optional_instant(record.retired_at),
                "retired_reason": record.retired_reason,
                "sha256": record.sha256,
                "upload_before": dates.instant(self.upload_before),
                "machine_info": None
                if document is None
                else {
                    "sha256": document.sha256,
                    "generated_at": dates.instant(document.generated_at),
                    "received_at": dates.instant(document.received_at),
                },
            },
            "journal": [journal_json(row) for row in self.history],
        }

    def blocks(self) -> Iterable[Block]:
        """What became of it, what it says, what is known beside that, its history."""
        yield self._state()
        yield Fields(tuple(claim_rows(self.license, zone_of(self.customer))))
        yield Line("in the registry", "title")
        yield Fields(tuple(self._registry_rows()))
        if self.history:
            yield Line("in the journal", "title")
            yield journal_table(self.history)

    def _state(self) -> Line:
        record = self.record
        state = f"license {record.id[:8]} is {record.status}"
        if record.replaced_by is not None:
            return Line(f"{state} by {record.replaced_by}", "warn")
        if record.retired_at is not None:
            since = dates.instant(record.retired_at)
            return Line(f"{state} since {since}: {record.retired_reason}", "warn")
        if record.expires_at <= self.now:
            return Line(f"{state}, and expired", "bad")
        return Line(state, "good")

    def _registry_rows(self) -> Iterable[tuple[str, str | None]]:
        record, document = self.record, self.document
        yield "machine", record.machine_label
        yield "plan", record.plan
        yield "term", record.term
        yield "key", f"{self.key.label} ({self.key.kid})"
        yield "sent", dates.optional_instant(record.sent_at)
        yield "upload before", dates.instant(self.upload_before)
        yield "file sha256", record.sha256
        if document is not None:
            yield "machine-info", f"of {dates.instant(document.generated_at)}"
            yield "its sha256", document.sha256


LicenseId = Annotated[
    str,
    argument(
        "LICENSE", "An id, or its beginning (4 characters or more).", complete=candidates.licenses
    ),
]


def show(invocation: Invocation, license_id: LicenseId) -> ShownLicense:
    """Show a license: what its file says, what became of it, and who did what with it.

    The claims are read from the stored file, verified again with the key that is pinned for it.
    """
    window = invocation.settings.upload_window_or_assumed
    with invocation.registry.reading() as db:
        record = licenses.find(db, license_id)
        license_, document = load_license(db, record), record.document_id
        customer = customers.get(db, record.customer_slug)
        return ShownLicense(
            now=invocation.now,
            record=record,
            license=license_,
            customer=customer,
            key=keys.pinned(db, record.kid),
            document=None if document is None else machines.get_document(db, document),
            upload_before=dates.upload_deadline(license_.issued_at, window),
            history=tuple(
                row
                for row in journal.rows(db, customer=customer)
                if record.id == row.license or record.id in _replaced(row)
            ),
        )


def _replaced(row: JournalRow) -> tuple[str, ...]:
    """The licenses that were replaced by what a row tells of: one, or several at once."""
    replaced = row.details.get("replaces", ())
    if isinstance(replaced, str):
        return (replaced,)
    return tuple(replaced) if isinstance(replaced, list) else ()
