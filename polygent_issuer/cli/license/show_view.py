"""How one license looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line, Style
from polygent_issuer.cli.claims import claim_rows
from polygent_issuer.cli.customer.customer_view import zone_of
from polygent_issuer.cli.journal.row_view import journal_json, journal_table
from polygent_issuer.cli.license.listing import Listed
from polygent_issuer.cli.output import Result
from polygent_issuer.registry import Customer, Document, JournalRow, KeyRecord, LicenseRecord
from polygent_issuer.verifier import License


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownLicense(Result):
    """A license as its file says it, and what the registry knows beside that.

    Attributes:
        document: the machine-info document that it rests on.
        upload_before: until when a server installs it.
        history: the journal's rows about it, the newest last.
    """

    listed: Listed
    record: LicenseRecord
    license: License
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
                **self.listed.to_json(),
                "claims": dict(self.license.to_claims()),
                "term": record.term,
                "plan": record.plan,
                "key_label": self.key.label,
                "replaces": list(self.license.replaces),
                "retired_at": _instant(record.retired_at),
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
        yield Line(self._standing(), self._style())
        yield Fields(tuple(claim_rows(self.license, zone_of(self.customer))))
        yield Line("in the registry", "title")
        yield Fields(tuple(self._kept()))
        if self.history:
            yield Line("in the journal", "title")
            yield journal_table(self.history)

    def _standing(self) -> str:
        record = self.record
        told = f"license {record.id[:8]} is {record.status}"
        if record.replaced_by is not None:
            return f"{told} by {record.replaced_by}"
        if record.retired_at is not None:
            return f"{told} since {dates.instant(record.retired_at)}: {record.retired_reason}"
        return f"{told}, and expired" if self.listed.expired else told

    def _style(self) -> Style:
        if not self.record.is_current:
            return "warn"
        return "bad" if self.listed.expired else "good"

    def _kept(self) -> Iterable[tuple[str, str | None]]:
        record, document = self.record, self.document
        yield "machine", record.machine_label
        yield "plan", record.plan
        yield "term", record.term
        yield "key", f"{self.key.label} ({self.key.kid})"
        yield "sent", _instant(record.sent_at)
        yield "upload before", dates.instant(self.upload_before)
        yield "file sha256", record.sha256
        if document is not None:
            yield "machine-info", f"of {dates.instant(document.generated_at)}"
            yield "its sha256", document.sha256


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else dates.instant(moment)
