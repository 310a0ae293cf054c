"""Customers are archived, changed or merged: what follows for their licenses, and doing it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from polygent_issuer.errors import InputRefused, InvalidTerms
from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.proposal import load_license, similar_customer
from polygent_issuer.registry import (
    Customer,
    LicenseRecord,
    Reading,
    Writing,
    change,
    customers,
    licenses,
    machines,
    merging,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_name


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivePlan:
    """What archiving, or its undoing, means; two are equal when they rest on the same facts.

    `needed` is False where it is so already; `running` are the current licenses in force, the first
    to end first.
    """

    customer: Customer
    undo: bool
    needed: bool
    running: tuple[LicenseRecord, ...]


def plan_archive(db: Reading, slug: str, *, undo: bool, now: datetime) -> ArchivePlan:
    """What would follow; nothing is written."""
    customer = customers.get(db, slug)
    running = tuple(each for each in licenses.current(db, customer) if each.expires_at > now)
    needed = (customer.archived_at is None) is not undo
    return ArchivePlan(customer=customer, undo=undo, needed=needed, running=running)


def archive(decided: Decided[ArchivePlan], *, reason: str | None, consent: Consent) -> ArchivePlan:
    """Do what was shown, and journal who decided it and why.

    Raises:
        ConsentNeeded, RegistryChanged: a finding was not accepted; it is no longer what was shown.
    """
    require(decided.behind, consent)
    plan = decided.decision

    def write(db: Writing) -> ArchivePlan:
        customers.archive(db, plan.customer, undo=plan.undo)
        db.record(
            "customer-unarchived" if plan.undo else "customer-archived",
            customer=plan.customer.slug,
            accepted=consent.used(decided.behind),
            reason=reason,
            details={"running": {each.id: dates.instant(each.expires_at) for each in plan.running}},
        )
        return decided.decide(db)

    return change.carry_out(decided, write)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutdatedLicense:
    """A license in force that carries another `name` or `sub` than its customer has (`slug`)."""

    license_id: str
    name: str
    sub: str
    machine: str | None
    expires_at: datetime
    slug: str

    @property
    def command(self) -> Hint:
        """What issues it again, with the name and slug of today."""
        return run("reissue", self.slug, "--license", self.license_id[:8])


def outdated_licenses(
    db: Reading, records: Iterable[LicenseRecord], *, slug: str, name: str, now: datetime
) -> tuple[OutdatedLicense, ...]:
    """Those of current licenses that run and say another customer than this."""
    in_force = (record for record in records if record.expires_at > now)
    read = ((record, load_license(db, record)) for record in in_force)
    return tuple(
        OutdatedLicense(
            license_id=record.id,
            name=license_.customer,
            sub=license_.sub,
            machine=record.machine_label,
            expires_at=record.expires_at,
            slug=slug,
        )
        for record, license_ in read
        if (license_.customer, license_.sub) != (name, slug)
    )


def normalize_name(text: str) -> str:
    """Read a customer's name as the registry gets it, in NFC; else `input_refused` (FORMAT §1)."""
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        message = f"this cannot be a customer's name: {refused.message}"
        raise InputRefused(message, hint=refused.hint) from None


def similar_name_finding(
    db: Reading, name: str, *, besides: Customer | None = None
) -> Finding | None:
    """`similar-customer`, if a customer's name is like that of another than the one besides."""
    alike = customers.similar(db, name, besides=besides)
    show = run("customer", "show", alike[0].slug if alike else "")
    hint = Hint("look whether it is the same: ", show)
    return similar_customer(f"the name {name}", alike, hint=hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerUpdate:
    """What changes; two are equal when they rest on the same facts.

    `relabelled` is a machine's old label and its new one, `still_named` the licenses in force that
    would carry an old name.
    """

    customer: Customer
    columns: Mapping[str, Any]
    relabelled: tuple[str, str] | None
    findings: tuple[Finding, ...]
    still_named: tuple[OutdatedLicense, ...]

    @property
    def changes(self) -> dict[str, tuple[str | None, str | None]]:
        """Old and new by name; empty when everything is so already."""
        changes = {
            name: (_text(getattr(self.customer, name)), _text(new))
            for name, new in self.columns.items()
        }
        return changes if self.relabelled is None else {**changes, "machine": self.relabelled}


def plan_update(
    db: Reading,
    slug: str,
    columns: Mapping[str, Any],
    *,
    machine: str | None,
    label: str | None,
    now: datetime,
) -> CustomerUpdate:
    """Decide which columns and which machine's label change (`not_found`); nothing is written."""
    customer = customers.get(db, slug)
    columns = {key: new for key, new in columns.items() if new != getattr(customer, key)}
    findings: tuple[Finding, ...] = ()
    still_named: tuple[OutdatedLicense, ...] = ()
    relabelled = None
    if "name" in columns:
        similar = similar_name_finding(db, columns["name"], besides=customer)
        findings = () if similar is None else (similar,)
        current = licenses.current(db, customer)
        still_named = outdated_licenses(db, current, slug=slug, name=columns["name"], now=now)
    if machine is not None and label is not None:
        old = machines.by_label(db, customer, machine).label
        relabelled = None if old == label else (old, label)
    return CustomerUpdate(
        customer=customer,
        columns=columns,
        relabelled=relabelled,
        findings=findings,
        still_named=still_named,
    )


def update(
    decided: Decided[CustomerUpdate], findings: Iterable[Finding], consent: Consent
) -> Customer:
    """Do what was shown, and journal who decided it and why. Raises as `archive`."""
    plan = decided.decision

    def write(db: Writing) -> Customer:
        if plan.relabelled is not None:
            old, new = plan.relabelled
            machines.rename(db, machines.by_label(db, plan.customer, old), new)
        edited = customers.edit(db, plan.customer, **plan.columns)
        db.record(
            "customer-edited",
            customer=edited.slug,
            accepted=consent.used(findings),
            reason=consent.reason,
            details={"changes": {name: list(pair) for name, pair in plan.changes.items()}},
        )
        return edited

    return change.carry_out(decided, write)


def _text(value: object) -> str | None:
    if isinstance(value, tuple):
        return ", ".join(value) or None
    return None if value is None else str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateMachineLicense:
    """One of several current licenses for one `machine` after a merger; `keep` runs longest."""

    record: LicenseRecord
    machine: str
    keep: LicenseRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class MergePlan:
    """What a merger means; two are equal when they rest on the same facts.

    Of `gone` so many `licenses` change hands; those `still_named` are in force and carry the old
    slug; `rivals` are for a machine that has a longer one now.
    """

    merger: merging.Merger
    licenses: int
    still_named: tuple[OutdatedLicense, ...]
    rivals: tuple[DuplicateMachineLicense, ...]


def plan_merge(db: Reading, typed_gone: str, typed_kept: str, *, now: datetime) -> MergePlan:
    """What would follow if one customer (slug, alias or name) became the other; nothing is written.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such customer, or several.
        InputRefused: (`input_refused`, `customer_archived`) when both are the same already, or the
            one who remains was archived.
        RegistryDamaged: (`registry_damaged`) when a stored license does not verify.
    """
    gone, kept = customers.find(db, typed_gone), customers.find(db, typed_kept)
    if gone.id == kept.id:
        raise InputRefused(
            f"both are the same customer already: {kept.name} ({kept.slug})",
            hint=Hint("look at it: ", run("customer", "show", kept.slug)),
        )
    if kept.archived_at is not None:
        raise InputRefused(
            f"{kept.name} was archived at {dates.instant(kept.archived_at)}, "
            "and nobody is merged into who was",
            hint=run("customer", "archive", kept.slug, "--undo"),
            code="customer_archived",
        )
    merger = merging.decide(db, gone, kept)
    labels = {machine.id: label for machine, label in merger.moved}
    labels |= {gone.id: kept.label for gone, kept in merger.same}
    changing_hands = licenses.of(db, gone)
    current = [_relabelled(db, each, labels) for each in changing_hands if each.is_current]
    return MergePlan(
        merger=merger,
        licenses=len(changing_hands),
        still_named=outdated_licenses(db, current, slug=kept.slug, name=kept.name, now=now),
        rivals=_rivals(merger, (*current, *licenses.current(db, kept))),
    )


def merge(decided: Decided[MergePlan], *, reason: str, consent: Consent) -> Customer:
    """Do what was shown, and journal who decided it and why; who remains. Raises as `archive`."""
    require(decided.behind, consent)

    def write(db: Writing) -> Customer:
        merged = merging.merge(db, decided.decision.merger)
        db.record(
            "customer-merged",
            customer=merged.slug,
            accepted=consent.used(decided.behind),
            reason=reason,
            details=_merge_details(decided.decision),
        )
        return merged

    return change.carry_out(decided, write, undone="nothing was merged")


def _relabelled(db: Reading, record: LicenseRecord, labels: dict[int, str]) -> LicenseRecord:
    if record.machine_id is None:
        return replace(record, machine_label=None)
    if record.machine_id not in labels:
        raise db.damaged(f"has license {record.id} on a machine of another customer, or of none")
    return replace(record, machine_label=labels[record.machine_id])


def _rivals(
    merger: merging.Merger, current: Iterable[LicenseRecord]
) -> tuple[DuplicateMachineLicense, ...]:
    """Of each machine that both had, all current licenses but the one that runs longest."""
    of = {gone.id: kept for gone, kept in merger.same}
    of |= {kept.id: kept for _, kept in merger.same}
    longest: dict[int, LicenseRecord] = {}
    rivals: list[DuplicateMachineLicense] = []
    for record in sorted(current, key=lambda record: (record.expires_at, record.id), reverse=True):
        machine = None if record.machine_id is None else of.get(record.machine_id)
        if machine is None:
            continue
        keep = longest.setdefault(machine.id, record)
        if keep is not record:
            rivals.append(DuplicateMachineLicense(record=record, machine=machine.label, keep=keep))
    return tuple(rivals)


def _merge_details(decided: MergePlan) -> dict[str, Any]:
    """What the row of `gone` said, and what its machines are called now."""
    merger = decided.merger
    gone = merger.gone
    return {
        "from": {
            "slug": gone.slug,
            "name": gone.name,
            "aliases": list(gone.aliases),
            "contacts": list(gone.contacts),
            "time_zone": gone.time_zone,
            "crm": gone.crm,
            "since": dates.instant(gone.created_at),
            "archived": dates.optional_instant(gone.archived_at),
        },
        "licenses": decided.licenses,
        "moved": {machine.label: label for machine, label in merger.moved},
        "same": {gone.label: kept.label for gone, kept in merger.same},
    }
