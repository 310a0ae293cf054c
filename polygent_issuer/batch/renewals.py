"""Renewal or reissue of many licenses: those of named customers, or all that match a filter.

A repeated batch only does what is missing. A renewed license is not due. A reissued one has the
terms and the key, and servers still accept its file.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, islice

from polygent_issuer.batch.items import Decision, Job, issued_in_run
from polygent_issuer.findings import Consent, Finding, FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.next_license import (
    RenewalRequest,
    grouped,
    propose_renewal,
    select_licenses,
)
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.registry import (
    LicenseRecord,
    LicenseStatus,
    Reading,
    Registry,
    customers,
    licenses,
)
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import Changes
from polygent_issuer.text import Hint, join, run

_CHUNK = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewals:
    """The options of a batch that renews or reissues.

    Attributes:
        within: licenses that expire later are not due; a reissue disregards it.
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
    action: Action = Action.RENEW
    _issued: set[str] = field(init=False, default_factory=set)

    def of_customers(self, names: Iterable[str]) -> Iterator[Job]:
        """Yield one job for each customer, which issues all of the customer's licenses or none.

        Args:
            names: slugs or names; an unknown name is the outcome of its job.
        """
        for name in names:

            def decide(db: Reading, name: str = name) -> Decision:
                return self._of_customer(db, name)

            yield Job(place=name, subject=name, decide=decide, consent=self.consent, customer=name)

    def of_licenses(
        self,
        registry: Registry,
        *,
        expires_before: datetime | None = None,
        kid: str | None = None,
        resumed: str | None = None,
    ) -> Iterator[Job]:
        """Yield one job for each current license that matches, the first to expire first.

        They are read in pieces, between the transactions of the batch. A license that this batch
        issued is not an item.

        Args:
            expires_before, kid: only licenses that expire before, or are signed with this key.
            resumed: the digest of a preview, if its run may have been interrupted. The licenses
                that the run replaced are items, too, so that the digest is the same.
        """
        records = self._matching(registry, expires_before, kid)
        if resumed is not None:
            with registry.reading() as db:
                earlier = issued_in_run(db, resumed)
            self._issued.update(earlier)
            replaced = sorted(chain.from_iterable(earlier.values()), key=_place_in_order)
            records = heapq.merge(records, replaced, key=_place_in_order)
        yield from map(self._of_license, records)

    def _matching(
        self, registry: Registry, expires_before: datetime | None, kid: str | None
    ) -> Iterator[LicenseRecord]:
        last = None
        while True:
            with registry.reading() as db:
                # The selection must end before the transaction does.
                piece = list(
                    islice(
                        licenses.select(
                            db,
                            status=LicenseStatus.CURRENT,
                            expires_before=expires_before,
                            kid=kid,
                            # Licenses of a lost key are named even if nothing renews them.
                            archived=None if kid is not None else False,
                            after=last,
                        ),
                        _CHUNK,
                    )
                )
            yield from filter(self._is_item, piece)
            if len(piece) < _CHUNK:
                return
            last = piece[-1]

    def _of_customer(self, db: Reading, name: str) -> Decision:
        request = RenewalRequest(
            action=self.action,
            customer=name,
            all_machines=self.all_machines,
            changes=self.changes,
            key=self.key,
        )
        records = select_licenses(db, request, settings=self.settings, now=self.now)
        due = [record for record in records if self._is_due(record)]
        if not due and self.action is Action.REISSUE:
            return Decision(note=_expired_note(records[0]))
        groups = grouped(db, self.changes, due) if due else ()
        decision = self._decided([self._next(db, request, group) for group in groups], records)
        if self.action is Action.RENEW:
            return decision
        left_out = (
            f"license {record.id[:8]} {_expired_note(record)}"
            for record in records
            if record not in due
        )
        notes = filter(None, (decision.note, *left_out))
        return replace(decision, note=join("; ", notes) or None)

    def _of_license(self, record: LicenseRecord) -> Job:
        label = record.machine_label or record.tier
        request = RenewalRequest(
            action=self.action,
            customer=record.customer_slug,
            license_ids=(record.id,),
            changes=self.changes,
            key=self.key,
        )

        def decide(db: Reading) -> Decision:
            present = licenses.get(db, record.id)
            note = self._skip_note(db, present)
            if note is not None:
                return Decision(note=note, kept=licenses.successor(db, present))
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
        license_id = self.new_id()
        self._issued.add(license_id)
        return propose_renewal(
            db, request, records, settings=self.settings, now=self.now, license_id=license_id
        ).with_findings(*self.behind)

    def _decided(self, next_ones: Iterable[Proposal], records: Sequence[LicenseRecord]) -> Decision:
        """Leave out the licenses that change nothing: the same command may have run before."""
        proposals = tuple(each for each in next_ones if self._is_needed(each))
        if proposals:
            return Decision(proposals=proposals)
        newest = max(records, key=lambda record: record.issued_at)
        if self.action is Action.RENEW:
            return Decision(note=_not_due(records), kept=newest)
        until = dates.instant(self._upload_deadline(newest))
        note = f"up to date: servers accept its file until {until}"
        if edit := self._edit(records):
            note = Hint(f"{note}; to change its order id or note alone: ", edit)
        return Decision(note=note, kept=newest)

    def _edit(self, records: Iterable[LicenseRecord]) -> Hint | None:
        """Return the command to record an order id or a note, which is not a reason to reissue."""
        order_id, note = self.changes.order_id, self.changes.note
        for record in records:
            if order_id not in (None, record.order_id) or note not in (None, record.note):
                return run("license", "edit", record.id[:8])
        return None

    def _is_needed(self, proposal: Proposal) -> bool:
        """Return whether a license differs; a reissue also for its key or upload deadline."""
        ends = max(old.expires_at for old in proposal.replaced)
        if proposal.differences or proposal.license.expires_at != ends:
            return True
        return self.action is Action.REISSUE and any(
            old.kid != proposal.key.kid or self.now > self._upload_deadline(old)
            for old in proposal.replaced
        )

    def _upload_deadline(self, record: LicenseRecord) -> datetime:
        return dates.upload_deadline(record.issued_at, self.settings.upload_window_or_assumed)

    def _skip_note(self, db: Reading, record: LicenseRecord) -> str | None:
        """Return the reason why an item is left as it is, if there is one."""
        if not record.is_current:
            return "another command has replaced or retired it"
        if customers.by_id(db, record.customer_id).archived_at is not None:
            undo = run("customer", "archive", record.customer_slug, "--undo")
            return Hint("the customer is archived; to unarchive it: ", undo)
        if self.action is Action.REISSUE:
            return None if self._is_due(record) else _expired_note(record)
        if expiry.lapsed_beyond_limit(record, self.settings, self.now):
            return lapsed_note(record)
        if not (self.changes.term or self.changes.plan or self.changes.expires) and (
            not expiry.renewable(record, self.settings)
        ):
            return trial_note(record)
        return None if self._is_due(record) else _not_due((record,))

    def _is_item(self, record: LicenseRecord) -> bool:
        """Return whether a matching license is an item: this batch may have issued it."""
        return record.id not in self._issued and (
            self.action is Action.REISSUE or self._is_due(record)
        )

    def _is_due(self, record: LicenseRecord) -> bool:
        """Return whether a license can be renewed now; a reissue needs a future expiry."""
        if self.action is Action.REISSUE:
            new_expiry = self.changes.expires or self.changes.term
            return new_expiry is not None or record.expires_at > self.now
        early = FindingCode.NOT_DUE in self.consent.accepted
        within = None if early else self.within
        return expiry.is_due(record, self.settings, self.now, within=within)


def lapsed_note(record: LicenseRecord) -> str:
    """Return the reason why a license that expired long ago is not renewed in a batch."""
    expired = dates.instant(record.expires_at)
    return Hint(f"expired long ago, at {expired}; to renew it anyway: ", _renew(record))


def trial_note(record: LicenseRecord) -> str:
    """Return the reason why a trial is not renewed in a batch."""
    convert = _renew(record, "--plan", "PLAN")
    return Hint("trials are not renewed automatically; to convert it: ", convert)


def _renew(record: LicenseRecord, *more: str) -> Hint:
    return run("renew", record.customer_slug, "--license", record.id[:8], *more)


def _not_due(records: Iterable[LicenseRecord]) -> str:
    first = min(record.expires_at for record in records)
    return f"not due: valid until {dates.instant(first)}"


def _expired_note(record: LicenseRecord) -> str:
    """Return the reason why an expired license is not reissued in a batch."""
    expired = dates.instant(record.expires_at)
    return f"expired at {expired}, and a reissue keeps the expiry; renew it instead"


def _place_in_order(record: LicenseRecord) -> tuple[datetime, str]:
    return record.expires_at, record.id
