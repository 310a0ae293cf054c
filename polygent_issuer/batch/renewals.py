"""Renewal of many licenses: those of named customers, or all that are due.

A renewed license is not due, so a repeated batch only does what is missing.
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
    """The options of a batch renewal.

    Attributes:
        within: licenses that expire later are not due.
        changes: changes of the terms, the same for each license.
        key: the label or kid of the signing key; None for the active key.
        new_id: returns an unused license ID.
        behind: the finding `clock-behind`, or nothing; it is decided once for all.
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
        """Yield one job for each customer, which renews all of the customer's licenses or none.

        Args:
            names: slugs or names; an unknown name is the outcome of its job.
        """
        for name in names:

            def decide(db: Reading, name: str = name) -> Decision:
                return self._of_customer(db, name)

            yield Job(place=name, subject=name, decide=decide, consent=self.consent)

    def due(self, registry: Registry) -> Iterator[Job]:
        """Yield one job for each current license that is due, the first to expire first.

        They are read in pieces, between the transactions of the batch. A license that this batch
        issued for a short term is not due.
        """
        until, last = self.now + self.within, None
        while True:
            with registry.reading() as db:
                # The selection must end before the transaction does.
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
            present = licenses.get(db, record.id)
            note = self._skip_note(present)
            if note is not None:
                return Decision(note=note)
            return self._decided([self._next(db, request, (present,))], (present,))

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

    def _decided(self, renewals: Iterable[Proposal], records: Iterable[LicenseRecord]) -> Decision:
        """Leave out the renewals that change nothing: the same command may have run before."""
        proposals = tuple(each for each in renewals if _is_new(each))
        return Decision(proposals=proposals, note=None if proposals else _not_due(records))

    def _skip_note(self, record: LicenseRecord) -> str | None:
        """Return the reason why a license that was due is not renewed, if there is one."""
        if not record.is_current:
            return "another command has replaced or retired it"
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
    """Return the reason why a license that expired long ago is not renewed in a batch."""
    expired = dates.instant(record.expires_at)
    return f"expired long ago, at {expired}; to renew it anyway: {_renew(record)}"


def trial_note(record: LicenseRecord) -> str:
    """Return the reason why a trial is not renewed in a batch."""
    return f"trials are not renewed automatically; to convert it: {_renew(record)} --plan PLAN"


def _renew(record: LicenseRecord) -> str:
    return run("renew", record.customer_slug, "--license", record.id[:8])


def _is_new(proposal: Proposal) -> bool:
    ends = max(old.expires_at for old in proposal.replaced)
    return bool(proposal.differences) or proposal.license.expires_at != ends


def _not_due(records: Iterable[LicenseRecord]) -> str:
    first = min(record.expires_at for record in records)
    return f"not due: valid until {dates.instant(first)}"
