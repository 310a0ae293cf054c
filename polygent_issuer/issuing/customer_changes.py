"""Add, edit and merge customers, whose running licenses may keep an old name or slug."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer.errors import InputRefused, InvalidTerms
from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.issuing.customer_status import hold_members
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
from polygent_issuer.text import Hint, run


@dataclass(frozen=True, kw_only=True, slots=True)
class OutdatedLicense:
    """A running license with another name or slug than its customer, whose slug is `slug`."""

    license_id: str
    name: str
    sub: str
    machine: str | None
    expires_at: datetime
    slug: str

    @property
    def command(self) -> Hint:
        """The command that reissues the license with the present name and slug."""
        return run("reissue", self.slug, "--license", self.license_id[:8])


def outdated_licenses(
    db: Reading, records: Iterable[LicenseRecord], *, slug: str, name: str, now: datetime
) -> tuple[OutdatedLicense, ...]:
    """Return the running licenses that name another customer than this slug and name."""
    running = (record for record in records if record.expires_at > now)
    loaded = ((record, load_license(db, record)) for record in running)
    return tuple(
        OutdatedLicense(
            license_id=record.id,
            name=license_.customer,
            sub=license_.sub,
            machine=record.machine_label,
            expires_at=record.expires_at,
            slug=slug,
        )
        for record, license_ in loaded
        if (license_.customer, license_.sub) != (name, slug)
    )


def normalize_name(text: str) -> str:
    """Return a customer's name in NFC; `input_refused` if it is invalid (FORMAT §1)."""
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        message = f"invalid customer name: {refused.message}"
        raise InputRefused(message, hint=refused.hint) from None


def similar_name_finding(
    db: Reading, name: str, *, besides: Customer | None = None
) -> Finding | None:
    """Return `similar-customer` if the name resembles that of a customer other than `besides`."""
    alike = customers.similar(db, name, besides=besides)
    show = run("customer", "show", alike[0].slug if alike else "")
    hint = Hint("check whether it is the same customer: ", show)
    return similar_customer(f"the name {name}", alike, hint=hint)


def record_new(
    db: Writing,
    *,
    slug: str,
    name: str,
    columns: Mapping[str, Any],
    accepted: Iterable[str],
    reason: str | None,
) -> Customer:
    """Add a customer with these columns (as `customers.add`), and record it in the journal."""
    added = customers.add(db, slug=slug, name=name, **columns)
    db.record(
        "customer-added",
        customer=added.slug,
        accepted=accepted,
        reason=reason,
        details={"name": added.name},
    )
    return added


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerUpdate:
    """The changes to a customer; updates of the same facts are equal.

    `relabelled` is a machine's old and new label. `still_named` are the running licenses that carry
    the old name.
    """

    customer: Customer
    columns: Mapping[str, Any]
    relabelled: tuple[str, str] | None
    findings: tuple[Finding, ...]
    still_named: tuple[OutdatedLicense, ...]

    @property
    def changes(self) -> dict[str, tuple[str | None, str | None]]:
        """Old and new value by name; empty if nothing changes."""
        changes = {
            name: (value_text(getattr(self.customer, name)), value_text(new))
            for name, new in self.columns.items()
        }
        return changes if self.relabelled is None else {**changes, "machine": self.relabelled}


def plan_update(
    db: Reading,
    slug: str,
    columns: Mapping[str, Any],
    *,
    now: datetime,
    machine: str | None = None,
    label: str | None = None,
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
    """Carry out the update, and record it in the journal. Raises as `customer_status.archive`."""
    plan = decided.decision

    def write(db: Writing) -> Customer:
        if plan.relabelled is not None:
            old, new = plan.relabelled
            machines.rename(db, machines.by_label(db, plan.customer, old), new)
        return record_update(db, plan, accepted=consent.used(findings), reason=consent.reason)

    return change.carry_out(decided, write)


def record_update(
    db: Writing, plan: CustomerUpdate, *, accepted: Iterable[str], reason: str | None
) -> Customer:
    """Change the columns of an update, and record it in the journal."""
    edited = customers.edit(db, plan.customer, **plan.columns)
    db.record(
        "customer-edited",
        customer=edited.slug,
        accepted=accepted,
        reason=reason,
        details={"changes": {name: list(pair) for name, pair in plan.changes.items()}},
    )
    return edited


def value_text(value: object) -> str | None:
    """Return the value of a column as text; several contacts in one line."""
    if isinstance(value, tuple):
        return ", ".join(value) or None
    return None if value is None else str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateMachineLicense:
    """One of several current licenses for one `machine` after a merge; `keep` runs longest."""

    record: LicenseRecord
    machine: str
    keep: LicenseRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class MergePlan:
    """The effect of a merge; plans of the same facts are equal.

    `licenses` counts the licenses that move to the remaining customer. `still_named` are the
    running ones that carry the old slug. `rivals` are for a machine that has a license that runs
    longer.
    """

    merger: merging.Merger
    licenses: int
    still_named: tuple[OutdatedLicense, ...]
    rivals: tuple[DuplicateMachineLicense, ...]


def plan_merge(db: Reading, typed_gone: str, typed_kept: str, *, now: datetime) -> MergePlan:
    """Plan to merge one customer (slug, alias or name) into the other; nothing is written.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such customer, or several.
        InputRefused: (`input_refused`) both are the same customer; (`customer_archived`) the
            remaining customer is archived.
        RegistryDamaged: (`registry_damaged`) a stored license does not verify.
    """
    gone, kept = customers.find(db, typed_gone), customers.find(db, typed_kept)
    if gone.id == kept.id:
        raise InputRefused(
            f"both are the same customer: {kept.name} ({kept.slug})",
            hint=Hint("show it with: ", run("customer", "show", kept.slug)),
        )
    if kept.archived_at is not None:
        raise InputRefused(
            f"{kept.name} was archived at {dates.instant(kept.archived_at)}; "
            "customers cannot be merged into an archived one",
            hint=Hint("unarchive it first: ", run("customer", "archive", kept.slug, "--undo")),
            code="customer_archived",
        )
    merger = merging.decide(db, gone, kept, now=now)
    labels = {machine.id: label for machine, label in merger.moved}
    labels |= {gone.id: kept.label for gone, kept in merger.same}
    moving = licenses.of(db, gone)
    current = [_relabelled(db, each, labels) for each in moving if each.is_current]
    return MergePlan(
        merger=merger,
        licenses=len(moving),
        still_named=outdated_licenses(db, current, slug=kept.slug, name=kept.name, now=now),
        rivals=_rivals(merger, (*current, *licenses.current(db, kept))),
    )


def merge(decided: Decided[MergePlan], *, reason: str, consent: Consent) -> Customer:
    """Carry out the merge, record it in the journal, and return the remaining customer.

    Raises as `customer_status.archive`.
    """
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
        return record._replace(machine_label=None)
    if record.machine_id not in labels:
        raise db.damaged(
            f"has license {record.id}, which is bound to a machine of another customer"
        )
    return record._replace(machine_label=labels[record.machine_id])


def _rivals(
    merger: merging.Merger, current: Iterable[LicenseRecord]
) -> tuple[DuplicateMachineLicense, ...]:
    """Return, for each machine that both had, all current licenses except the longest."""
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
    """Return the old row of `gone`, and the new labels of its machines."""
    merger = decided.merger
    gone = merger.gone
    hold = {} if merger.hold is None else {"hold": hold_members(merger.hold)}
    return {
        **hold,
        "from": {
            "slug": gone.slug,
            "name": gone.name,
            "aliases": list(gone.aliases),
            "contacts": list(gone.contacts),
            "time_zone": gone.time_zone,
            "crm": gone.crm,
            **({} if gone.notes is None else {"notes": gone.notes}),
            "since": dates.instant(gone.created_at),
            "archived": dates.optional_instant(gone.archived_at),
        },
        "licenses": decided.licenses,
        "moved": {machine.label: label for machine, label in merger.moved},
        "same": {gone.label: kept.label for gone, kept in merger.same},
    }
