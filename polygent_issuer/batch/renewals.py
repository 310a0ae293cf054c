"""Renewals of many: of customers that are named, or of every license that is due.

What was renewed a moment ago is not due, so the same batch run again does only what is missing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from polygent_issuer.batch.outcomes import Decision, Job
from polygent_issuer.findings import Consent, Finding, FindingCode
from polygent_issuer.hints import run
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.license_decision import grouped, propose_renewal
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.issuing.selection import RenewalRequest, select_licenses
from polygent_issuer.registry import (
    LicenseRecord,
    LicenseStatus,
    Reading,
    Registry,
    licenses,
)
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import Changes

_CHUNK = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewals:
    """How a batch renews, whatever it is of.

    Attributes:
        within: what ends later is not due.
        changes: the same for each license; the rest is as now.
        key: a label or kid; the active key when not given.
        new_id: a license ID that was never used.
        behind: `clock-behind` or nothing, judged once for all.
    """

    settings: Settings
    now: datetime
    within: timedelta
    changes: Changes
    key: str | None
    consent: Consent
    new_id: Callable[[], str]
    all_machines: bool = False
    behind: tuple[Finding, ...] = ()

    def of_customers(self, names: Iterable[str]) -> Iterator[Job]:
        """One job for each customer; their licenses stand or fall together.

        Args:
            names: slugs or names; one that nobody has is the outcome of its own job.
        """
        for name in names:

            def decide(db: Reading, name: str = name) -> Decision:
                return self._of_customer(db, name)

            yield Job(place=name, subject=name, decide=decide, consent=self.consent)

    def due(self, registry: Registry) -> Iterator[Job]:
        """One job for each current license that is due, the first to end first.

        They are read in pieces, between the transactions of the batch; what this itself issued,
        for a short term, is not due.
        """
        until, last = self.now + self.within, None
        while True:
            with registry.reading() as db:
                # The selection is read to its end, or dropped, before the transaction ends.
                piece = list(
                    islice(
                        licenses.select(
                            db,
                            status=LicenseStatus.CURRENT,
                            expires_before=until,
                            archived=False,
                            after=last,
                        ),
                        _CHUNK,
                    )
                )
            yield from map(self._of_license, filter(self._is_due, piece))
            if len(piece) < _CHUNK:
                return
            last = piece[-1]

    def _of_customer(self, db: Reading, name: str) -> Decision:
        request = RenewalRequest(
            action=Action.RENEW,
            customer=name,
            all_machines=self.all_machines,
            changes=self.changes,
            key=self.key,
        )
        records = select_licenses(db, request, settings=self.settings, now=self.now)
        due = [record for record in records if self._is_due(record)]
        groups = grouped(db, self.changes, due) if due else ()
        return self._decided([self._next(db, request, group) for group in groups], records)

    def _of_license(self, record: LicenseRecord) -> Job:
        label = record.machine_label or record.tier
        request = RenewalRequest(
            action=Action.RENEW,
            customer=record.customer_slug,
            license_ids=(record.id,),
            changes=self.changes,
            key=self.key,
        )

        def decide(db: Reading) -> Decision:
            now_kept = licenses.get(db, record.id)
            note = self._kept_back(now_kept)
            if note is not None:
                return Decision(note=note)
            return self._decided([self._next(db, request, (now_kept,))], (now_kept,))

        place = f"{record.customer_slug}, {label}"
        return Job(
            place=place,
            subject=place,
            decide=decide,
            consent=self.consent,
            license_id=record.id,
        )

    def _next(
        self, db: Reading, request: RenewalRequest, records: tuple[LicenseRecord, ...]
    ) -> Proposal:
        return propose_renewal(
            db,
            request,
            records,
            settings=self.settings,
            now=self.now,
            license_id=self.new_id(),
        ).with_findings(*self.behind)

    def _decided(self, wanted: Iterable[Proposal], records: Iterable[LicenseRecord]) -> Decision:
        """What is new among the licenses that are wanted: the same command may have been here."""
        proposals = tuple(each for each in wanted if _is_new(each))
        return Decision(proposals=proposals, note=None if proposals else _not_due(records))

    def _kept_back(self, record: LicenseRecord) -> str | None:
        """Why a license that was found to be due is not renewed."""
        if not record.is_current:
            return "another command was first"
        if expiry.lapsed_beyond_limit(record, self.settings, self.now):
            return lapsed_note(record)
        if not (self.changes.term or self.changes.plan or self.changes.expires) and (
            not expiry.renewable(record, self.settings)
        ):
            return trial_note(record)
        return None if self._is_due(record) else _not_due((record,))

    def _is_due(self, record: LicenseRecord) -> bool:
        early = FindingCode.NOT_DUE in self.consent.accepted
        within = None if early else self.within
        return expiry.is_due(record, self.settings, self.now, within=within)


def lapsed_note(record: LicenseRecord) -> str:
    """Say why a license that ended long ago is not renewed in a batch."""
    return f"lapsed long ago, at {dates.instant(record.expires_at)}; to mean it: {_renew(record)}"


def trial_note(record: LicenseRecord) -> str:
    """Say why a trial is not renewed in a batch."""
    return f"a trial is not renewed by itself; for a contract: {_renew(record)} --plan PLAN"


def _renew(record: LicenseRecord) -> str:
    return run("renew", record.customer_slug, "--license", record.id[:8])


def _is_new(proposal: Proposal) -> bool:
    ends = max(old.expires_at for old in proposal.replaced)
    return bool(proposal.differences) or proposal.license.expires_at != ends


def _not_due(records: Iterable[LicenseRecord]) -> str:
    first = min(record.expires_at for record in records)
    return f"not due: runs until {dates.instant(first)}"
