"""How an exported license looks, and what the operator must know before it is mailed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.customer.customer_view import zone_of
from polygent_issuer.cli.license.standing import objections
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.proposal_view import deadline
from polygent_issuer.registry import Customer, KeyRecord, LicenseRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported(Result):
    """A license whose file was written again.

    Attributes:
        key: what it is signed with.
        path: its file; `None` when it went to stdout.
        drafts: mails with it, to be sent.
        upload_before: until when a server installs it; `assumed` when nobody told the window.
    """

    record: LicenseRecord
    key: KeyRecord
    path: Path | None
    drafts: tuple[Path, ...]
    customer: Customer
    upload_before: datetime
    assumed: bool
    now: datetime

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout carries the license file itself."""
        return self.path is None

    @property
    def too_late(self) -> bool:
        """Whether a server refuses this file by now, installed for the first time."""
        return self.now > self.upload_before

    def warnings(self) -> Iterable[str]:
        """What speaks against mailing this file."""
        return objections(self.record, self.key, upload_before=self.upload_before, now=self.now)

    def to_json(self) -> Mapping[str, Any]:
        """`file` and until when it can be uploaded."""
        return {
            "id": self.record.id,
            "customer": self.record.customer_slug,
            "status": str(self.record.status),
            "file": None if self.path is None else str(self.path),
            "drafts": [str(path) for path in self.drafts],
            "sha256": self.record.sha256,
            "expires_at": dates.instant(self.record.expires_at),
            "upload_before": dates.instant(self.upload_before),
            "upload_window_assumed": self.assumed,
            "upload_window_passed": self.too_late,
            "compromised_key": self.key.label if self.key.compromised else None,
        }

    def blocks(self) -> Iterable[Block]:
        """Where the file is, and until when it serves."""
        passed = ", which has passed" if self.too_late else ""
        until = f"{deadline(self.upload_before, assumed=self.assumed)}{passed}"
        yield Line(f"exported license {self.record.id}", "good")
        yield Fields(
            (
                ("customer", f"{self.customer.name} ({self.customer.slug})"),
                ("machine", self.record.machine_label),
                ("expires", dates.describe_expiry(self.record.expires_at, zone_of(self.customer))),
                ("file", "stdout" if self.path is None else str(self.path)),
                *(("mail draft", str(draft)) for draft in self.drafts),
                ("upload before", until),
            )
        )
