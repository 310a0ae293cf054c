"""From a row to what it takes: issue, renew, reissue, or keep.

A row says what shall be; what it does not say stays as it is. `expires` is reached once and then
kept for ever; a `term`, the row's or the one that is kept with the license, is a standing policy.

1. The license that the row is about: the customer's for that machine. None: *issue*.
2. Due or lapsed by its term, or `expires` is later: *renew*, with whatever else changes.
3. Terms, machine or domain differ, or `expires` is earlier: *reissue*.
4. Else *keep*.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from polygent_issuer import terms
from polygent_issuer.batch.action import Needed, needed
from polygent_issuer.batch.errors import DuplicateRow, RowRefused
from polygent_issuer.batch.newcomers import Newcomers
from polygent_issuer.batch.outcomes import Decision, Job
from polygent_issuer.batch.place import Whose, whose
from polygent_issuer.batch.row_documents import document_of
from polygent_issuer.batch.row_hints import in_fields
from polygent_issuer.batch.row_terms import changes_of, require_machine
from polygent_issuer.batch.rows import RefusedRow, Row
from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.first import FirstRequest, propose_first
from polygent_issuer.issuing.following import NextRequest, propose_next
from polygent_issuer.issuing.proposal import Action, Proposal, ReceivedDocument
from polygent_issuer.issuing.stored import read_license
from polygent_issuer.registry import LicenseRecord, Reading
from polygent_issuer.settings import Settings
from polygent_issuer.terms import Terms
from polygent_issuer.verifier import License


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """How the rows of one file are read, in one pass.

    Attributes:
        folder: where the files are that `machine_info` names; None where there can be none.
        within: what ends later is not due.
        consent: what the operator accepted for every row.
        trusted: whether a row's own `accept` and `reason` count.
        key: what signs where a row names none; the active key when not given.
        new_id: a license ID that was never used.
    """

    settings: Settings
    now: datetime
    folder: Path | None
    within: timedelta
    consent: Consent
    trusted: bool
    key: str | None
    new_id: Callable[[], str]
    _newcomers: Newcomers = field(default_factory=Newcomers)

    def jobs(self, rows: Iterable[Row | RefusedRow]) -> Iterator[Job]:
        """One job for each row, in the order of the file."""
        for row in rows:
            yield self._refused(row) if isinstance(row, RefusedRow) else self._job(row)

    def _refused(self, row: RefusedRow) -> Job:
        def decide(_: Reading) -> Decision:
            raise RowRefused(row)

        whose_row = f" ({row.customer})" if row.customer else ""
        return Job(
            place=f"{row.place}{whose_row}", subject=row.place, decide=decide, consent=self.consent
        )

    def _job(self, row: Row) -> Job:
        consent, own = self.consent, Consent(accepted=frozenset(row.accept), reason=row.reason)
        if self.trusted:
            consent = Consent(
                accepted=consent.accepted | own.accepted, reason=own.reason or consent.reason
            )
        name = ", ".join(filter(None, (row.customer, row.machine)))

        def decide(db: Reading) -> Decision:
            try:
                return self._decide(db, row)
            except IssuerError as error:
                error.hint = in_fields(error.hint)
                raise

        place = f"{row.place} ({name})"
        return Job(place=place, subject=name, decide=decide, consent=consent, own=own)

    def _decide(self, db: Reading, row: Row) -> Decision:
        document = document_of(row, self.folder)
        found = whose(db, row, document)
        record = found.record
        if record is None:
            return Decision(proposals=(self._first(db, row, found, document),))
        old = read_license(db, record)
        if document is not None and document.info.fingerprint == old.machine_fingerprint:
            document = None
        need = self._needed(row, record, old, document)
        if need.action is None:
            return Decision(kept=record, note=need.note)
        self._refuse_of_newcomer(row, found)
        changes = changes_of(row)
        if row.expires != old.expires_at:
            changes = replace(changes, expires=row.expires)
        if need.action is Action.RENEW:
            changes = replace(changes, term=row.term)
        request = NextRequest(
            action=need.action,
            customer=record.customer_slug,
            document=document,
            changes=changes,
            key=row.key or self.key,
            typed=False,
        )
        proposal = propose_next(
            db,
            request,
            (record,),
            settings=self.settings,
            now=self.now,
            license_id=self.new_id(),
        )
        return Decision(proposals=(self._told_of_consent(row, proposal),), note=need.note)

    def _needed(
        self, row: Row, record: LicenseRecord, old: License, document: ReceivedDocument | None
    ) -> Needed:
        had = Terms.of(old)
        differs = terms.next_terms(had, changes_of(row), self.settings.catalogue) != had
        return needed(
            row,
            record,
            old,
            differs=differs or document is not None,
            settings=self.settings,
            now=self.now,
            within=self.within,
        )

    def _told_of_consent(self, row: Row, proposal: Proposal) -> Proposal:
        """Say of each finding what to change in the row, or how its own consent would count."""
        require_machine(row, proposal)
        how = "--accept-from-file, which lets the row's own accept count"
        findings = tuple(
            replace(
                finding,
                hint=how
                if finding.code in row.accept and not self.trusted
                else in_fields(finding.hint),
            )
            for finding in proposal.findings
        )
        return replace(proposal, findings=findings)

    def _first(
        self, db: Reading, row: Row, found: Whose, document: ReceivedDocument | None
    ) -> Proposal:
        named = self.settings.plan(row.plan) if row.plan is not None else None
        proposal = propose_first(
            db,
            FirstRequest(
                customer=found.customer.slug if found.customer else row.customer,
                document=document,
                label=row.machine,
                plan=named or self.settings.plan_for(row.tier),
                changes=replace(changes_of(row), term=row.term, expires=row.expires),
                key=row.key or self.key,
            ),
            settings=self.settings,
            now=self.now,
            license_id=self.new_id(),
        )
        return self._told_of_consent(row, self._newcomers.beside(db, row.place, proposal))

    def _refuse_of_newcomer(self, row: Row, found: Whose) -> None:
        """Hold that no row changes what an earlier one gave a customer who was new.

        Before that customer was there, nobody could tell that both rows are about the same one.
        """
        first = self._newcomers.place(found.customer.name) if found.customer else None
        if first not in (None, row.place):
            raise DuplicateRow(
                f"two rows for one license: {first} and {row.place}",
                hint="leave one row for each customer and machine",
            )
