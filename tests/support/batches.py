"""Batches of an office: jobs, and a runner."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from polygent_issuer.batch.items import (
    Done,
    Failed,
    Job,
    Kept,
    Outcome,
    Preview,
    PreviewItem,
    preview,
)
from polygent_issuer.batch.renewals import Renewals
from polygent_issuer.batch.row_decisions import RowDecider
from polygent_issuer.batch.row_files import RowFile
from polygent_issuer.batch.run import BatchRunner
from polygent_issuer.findings import Consent, FindingCode
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import (
    LicenseRecord,
    Registry,
    change,
    customers,
    journal_check,
    licenses,
)
from polygent_issuer.terms.parsing import Changes
from support.many_customers import add_customers, new_ids
from support.office import NOW, Office

SOON = NOW + timedelta(days=20)
"""Default expiry of the licenses of a crowd."""
MONTH = timedelta(days=30)


def accepting(*codes: FindingCode, reason: str | None = "agreed") -> Consent:
    """Return consent to some findings."""
    return Consent(accepted=frozenset(codes), reason=reason)


@dataclass
class Batches:
    """Batches of an office.

    Attributes:
        unlocked: how often the key was unlocked.
    """

    office: Office
    unlocked: int = 0
    now: datetime = NOW
    _ids: Any = field(default_factory=new_ids)

    def crowd(
        self, count: int, *, first: int = 1, expires_at: datetime = SOON, **more: Any
    ) -> None:
        """Add customers with licenses issued a year ago."""
        add_customers(
            self.office.registry,
            self.office.signer,
            range(first, first + count),
            now=NOW - timedelta(days=345),
            expires_at=expires_at,
            **more,
        )

    def renewals(self, **more: Any) -> Renewals:
        """Return the decider of renewals."""
        defaults: dict[str, Any] = {
            "settings": self.office.settings,
            "now": self.now,
            "within": MONTH,
            "changes": Changes(),
            "key": None,
            "consent": Consent(),
            "new_id": lambda: next(self._ids),
        }
        return Renewals(**{**defaults, **more})

    def due(self, **more: Any) -> Iterable[Job]:
        """Return a job for every license that is due."""
        return self.renewals(**more).of_licenses(
            self.office.registry, expires_before=self.now + MONTH
        )

    def rows(self, text: str, *, name: str = "plan.toml", **more: Any) -> Iterable[Job]:
        """Return the jobs of an apply file in the office's folder."""
        path = self.office.folder / name
        path.write_text(text)
        defaults: dict[str, Any] = {
            "settings": self.office.settings,
            "now": self.now,
            "folder": path.parent,
            "within": MONTH,
            "consent": Consent(),
            "trusted": False,
            "key": None,
            "new_id": lambda: next(self._ids),
        }
        return RowDecider(**{**defaults, **more}).jobs(RowFile.read(str(path)).rows)

    def unlock(self) -> Mapping[str, Signer]:
        """Return the only key, and count the calls."""
        self.unlocked += 1
        return {self.office.signer.kid: self.office.signer}

    def run(self, registry: Registry | None = None, **more: Any) -> BatchRunner:
        """Return a runner that writes into the office's folder."""
        defaults: dict[str, Any] = {
            "unlock": self.unlock,
            "destination": self.office.output,
            "now": self.now,
            "actor": self.office.actor,
        }
        return BatchRunner(registry or self.office.registry, **{**defaults, **more})

    def done(self, jobs: Iterable[Job], **more: Any) -> list[Outcome]:
        """Run jobs to the end."""
        return list(self.run(**more).outcomes(jobs))

    def preview(self, jobs: Iterable[Job], **more: Any) -> tuple[Preview, list[PreviewItem]]:
        """Preview jobs."""
        total, items = Preview(), list(preview(self.office.registry, jobs, **more))
        for item in items:
            total.add(item)
        return total, items

    def current(self, slug: str) -> list[LicenseRecord]:
        """Return the current licenses of a customer."""
        with self.office.registry.reading() as db:
            return list(licenses.current(db, customers.find(db, slug)))

    def licenses(self) -> list[LicenseRecord]:
        """Return every license in the registry."""
        with self.office.registry.reading() as db:
            return list(licenses.select(db))

    def pending(self) -> list[str]:
        """Return the license IDs in the outbox."""
        with self.office.registry.reading() as db:
            return [row.license_id for row in change.pending(db)]

    def sound(self) -> bool:
        """Return whether the journal is intact, and each file is that of one license."""
        with self.office.registry.reading() as db:
            assert journal_check.verify(db).problems == ()
            stored = {record.file for record in licenses.select(db)}
        files = [path.read_bytes() for path in self.files()]
        return len(set(files)) == len(files) and stored.issuperset(files)

    def files(self) -> list[Path]:
        """Return the files in the folder, including hidden ones."""
        return sorted((self.office.folder / "out").iterdir())


def words(outcomes: Iterable[Outcome]) -> list[str]:
    """Return a word for each outcome: an action, `keep`, or an error's code."""
    return [_word(outcome) for outcome in outcomes]


def errors(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Return the error codes of failed jobs, by place."""
    return {each.job.place: each.error.code for each in outcomes if isinstance(each, Failed)}


def _word(outcome: Outcome) -> str:
    if isinstance(outcome, Kept):
        return "keep"
    if isinstance(outcome, Failed):
        return outcome.error.code
    assert isinstance(outcome, Done)
    return " ".join(str(each.proposal.action) for each in outcome.issued)


Unlock = Callable[[], Mapping[str, Signer]]
