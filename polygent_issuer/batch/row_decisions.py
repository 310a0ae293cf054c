"""Decide what a row needs: issue, renew, reissue, or keep.

A row describes a license. Terms that it does not name stay as they are. `expires` is reached once
and then kept. A `term`, of the row or of the license, renews the license again and again.

1. Match the license by customer and machine; without a match: *issue*.
2. The license is due or expired by its term, or `expires` is later: *renew*, with other changes.
3. The terms, machine, domain or key differ, or `expires` is earlier: *reissue*.
4. Else: *keep*.

A row may name the key that signed the license, or the active key. Any other key refuses the row,
so that a file from before a change of key does not reissue every license with the old one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer.batch.items import Decision, Job
from polygent_issuer.batch.matching import NewCustomers, RowMatch, match_row, read_document
from polygent_issuer.batch.renewals import lapsed_note, trial_note
from polygent_issuer.batch.rows import DuplicateRow, RefusedRow, Row, RowRefused, in_fields
from polygent_issuer.errors import InvalidTerms, IssuerError
from polygent_issuer.findings import Consent, Finding
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.first_license import FirstLicenseRequest, propose_first
from polygent_issuer.issuing.next_license import RenewalRequest, propose_renewal
from polygent_issuer.issuing.proposal import Action, NewCustomer, Proposal, load_license
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.registry import LicenseRecord, Reading, keys
from polygent_issuer.terms import decision
from polygent_issuer.terms.parsing import Changes, Terms
from polygent_issuer.text import Hint, escape, join, run
from polygent_issuer.verifier import License

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDecider:
    """Decides the rows of one file, in one pass.

    Attributes:
        folder: the folder of the files that `machine_info` names; None for stdin.
        within: licenses that expire later are not due.
        consent: the operator's consent for every row.
        trusted: whether `accept` and `reason` of a row count.
        key: the signing key for rows that do not name one; None for the active key.
        new_id: returns an unused license ID.
        behind: the finding `clock-behind`, or nothing; it is decided once for all rows.
    """

    settings: Settings
    now: datetime
    folder: Path | None
    within: timedelta
    consent: Consent
    trusted: bool
    key: str | None
    new_id: Callable[[], str]
    behind: tuple[Finding, ...] = ()
    _new_customers: NewCustomers = field(init=False, default_factory=NewCustomers)

    def jobs(self, rows: Iterable[Row | RefusedRow]) -> Iterator[Job]:
        """Yield one job for each row, in the order of the file."""
        for row in rows:
            yield self._refused(row) if isinstance(row, RefusedRow) else self._job(row)

    def _refused(self, row: RefusedRow) -> Job:
        def decide(_: Reading) -> Decision:
            hints = dict.fromkeys(each.hint for each in row.problems if each.hint)
            raise RowRefused(
                "; ".join(each.message for each in row.problems), hint=join("; ", hints) or None
            )

        place = f"{row.place} ({row.customer})" if row.customer else row.place
        return Job(place=place, subject=row.place, decide=decide, consent=self.consent)

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
        subject = ", ".join((name, *row.contact))
        return Job(
            place=place,
            subject=subject,
            decide=decide,
            consent=consent,
            own=own,
            customer=row.customer,
        )

    def _decide(self, db: Reading, row: Row) -> Decision:
        document = read_document(row, self.folder)
        match = match_row(db, row, document)
        decision = self._decide_license(db, row, match, document)
        notes = filter(None, (decision.note, _contact_note(row, match)))
        return replace(decision, note=join("; ", notes) or None)

    def _decide_license(
        self, db: Reading, row: Row, match: RowMatch, document: "ReceivedDocument | None"
    ) -> Decision:
        record = match.record
        if record is None:
            return Decision(proposals=(self._first(db, row, match, document),))
        old = load_license(db, record)
        other_key = _names_other_key(db, row, record)
        if document is not None and document.info.fingerprint == old.machine_fingerprint:
            document = None
        differs = document is not None or other_key or self._differs(row, old)
        action, note = self._action(row, record, old, differs=differs)
        if action is None:
            return Decision(kept=record, note=note)
        self._check_not_new(row, match)
        changes = _changes(row)
        if row.expires != old.expires_at:
            changes = replace(changes, expires=row.expires)
        if action is Action.RENEW:
            changes = replace(changes, term=row.term)
        request = RenewalRequest(
            action=action,
            customer=record.customer_slug,
            document=document,
            changes=changes,
            key=row.key or self.key,
            typed=False,
        )
        proposal = propose_renewal(
            db,
            request,
            (record,),
            settings=self.settings,
            now=self.now,
            license_id=self.new_id(),
        ).with_findings(*self.behind)
        return Decision(proposals=(self._with_hints(row, proposal),), note=note)

    def _differs(self, row: Row, old: License) -> bool:
        had = Terms.of(old)
        return decision.next_terms(had, _changes(row), self.settings.catalogue) != had

    def _action(
        self, row: Row, record: LicenseRecord, old: License, *, differs: bool
    ) -> tuple[Action | None, str | None]:
        """Return the action of steps 2 to 4, None to keep the license, and a note."""
        settings, now = self.settings, self.now
        record = record._replace(expires_at=old.expires_at)
        unless_due = Action.REISSUE if differs else None
        if row.expires is not None:
            if row.expires == old.expires_at:
                return unless_due, None
            return (Action.RENEW if row.expires > old.expires_at else Action.REISSUE), None
        if not expiry.is_due(record, settings, now, within=self.within, term=row.term):
            return unless_due, None
        if row.term is None and not expiry.renewable(record, settings):
            return unless_due, trial_note(record)
        if expiry.lapsed_beyond_limit(record, settings, now):
            return None, lapsed_note(record)
        return Action.RENEW, None

    def _with_hints(self, row: Row, proposal: Proposal) -> Proposal:
        """Name in the hint of each finding what to change in the row, or how its consent counts."""
        _check_machine(row, proposal)
        how = "the row accepts it: add --accept-from-file to honour that"
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
        self, db: Reading, row: Row, match: RowMatch, document: "ReceivedDocument | None"
    ) -> Proposal:
        plan = self.settings.plan(row.plan) if row.plan is not None else None
        proposal = propose_first(
            db,
            FirstLicenseRequest(
                customer=match.customer.slug if match.customer else row.customer,
                document=document,
                label=row.machine,
                plan=plan or self.settings.plan_for(row.tier),
                changes=replace(_changes(row), term=row.term, expires=row.expires),
                key=row.key or self.key,
            ),
            settings=self.settings,
            now=self.now,
            license_id=self.new_id(),
        ).with_findings(*self.behind)
        proposal = self._new_customers.check_against_earlier_rows(db, row, proposal)
        if isinstance(proposal.customer, NewCustomer):
            customer = replace(proposal.customer, contacts=row.contact)
            proposal = replace(proposal, customer=customer)
        return self._with_hints(row, proposal)

    def _check_not_new(self, row: Row, match: RowMatch) -> None:
        """Check that no row changes a license that an earlier row issues to a new customer.

        `matching.require_sound` cannot detect such rows, since the customer did not exist yet.
        """
        first = self._new_customers.place(match.customer.name) if match.customer else None
        if first not in (None, row.place):
            raise DuplicateRow(f"{first} and {row.place}")


def _names_other_key(db: Reading, row: Row, record: LicenseRecord) -> bool:
    """Return whether the row names the active key, and another key signed the license.

    Raises:
        RowRefused: (`invalid_row`) the row names another key.
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
    """
    if row.key is None:
        return False
    key = keys.find(db, row.key)
    if key.active or key.kid == record.kid:
        return key.kid != record.kid
    signed = keys.pinned(db, record.kid)
    raise RowRefused(
        f"key: license {record.id[:8]} is signed with {escape(signed.label)}, and "
        f"{escape(key.label)} is not the active key",
        hint=Hint(
            "remove the key from the row, or activate that key first: ",
            run("key", "use", *label_words(key.label)),
        )
        if key.may_sign
        else "remove the key from the row",
    )


def _contact_note(row: Row, match: RowMatch) -> str | None:
    """Return a note if the row has contacts that the known customer lacks: they stay as they are.

    An old file must not undo what has been changed since.
    """
    customer = match.customer
    if customer is None or set(row.contact) <= set(customer.contacts):
        return None
    edit = run("customer", "edit", customer.slug, "--contact", row.contact[0])
    return Hint("a contact is for a new customer only; to set it: ", edit)


def _changes(row: Row) -> Changes:
    """Return what the row states, without its plan, which is for first licenses only."""
    return Changes(
        tier=row.tier,
        users=row.users,
        session_hosts=row.session_hosts,
        deploy_hosts=row.deploy_hosts,
        allowed_domain=row.allowed_domain,
        features=row.features,
        order_id=row.order_id,
        note=row.note,
    )


def _check_machine(row: Row, proposal: Proposal) -> None:
    """Check that a row with a machine gives a standard license, else it would not match again.

    Raises:
        InvalidTerms: (`invalid_terms`) it would be an enterprise license.
    """
    if proposal.machine is not None:
        return
    for field_name, value in (("machine", row.machine), ("machine_info", row.machine_info)):
        if value is not None:
            raise InvalidTerms(
                "an enterprise license is not bound to a machine, and the row has "
                f"{field_name} {escape(value)}",
                hint=f"remove {field_name}, or set tier to standard",
            )
