"""Rebuild a registry from signed license files: decide what they prove, then write the rows.

What is decided rests on what the files say and the registry holds, never on the order of the
files. What files cannot say stays empty: labels, hosts, contacts, time zones, references, plans,
terms, what was sent or retired and why, documents, and the journal's past.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from polygent_issuer.batch.import_validation import (
    FileValidator,
    RejectedFile,
    ValidFile,
    reject_conflicting_copies,
)
from polygent_issuer.errors import NotFound
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.license_file import LicenseFile
from polygent_issuer.issuing.proposal import load_license
from polygent_issuer.keys.rotation import free_label
from polygent_issuer.keys.signing import require_not_example
from polygent_issuer.registry import Customer, Reading, Writing, customers, keys, licenses, machines
from polygent_issuer.text import nfc
from polygent_issuer.verifier import Key, License

LOST = (
    "machine labels and host names, contacts, time zones, CRM references, plans and terms, "
    "what was sent, retirements and reasons, machine-info documents, the journal's past"
)
"""What no license file can give back, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedLicense:
    """A license that the registry lacks."""

    name: str
    license: License
    kid: str
    file: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistingLicense:
    """A license that the registry, or an earlier file of the run, has already."""

    name: str
    license: License


Outcome = ImportedLicense | ExistingLicense | RejectedFile


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportPlan:
    """What an import does. Two are equal when they rest on the same facts.

    Attributes:
        outcomes: one for each file, in the order that was given.
        keys: public keys to be pinned.
        customers: slug → name of those to be added.
        machines: (slug, fingerprint) of those to be added.
        replaced: which license supersedes which, old → new.
        missing: ids of superseded licenses of which there is no file, with the one that says so.
    """

    outcomes: tuple[Outcome, ...]
    keys: tuple[Key, ...]
    customers: Mapping[str, str]
    machines: tuple[tuple[str, str], ...]
    replaced: Mapping[str, str]
    missing: tuple[tuple[str, str], ...]

    @property
    def new(self) -> tuple[ImportedLicense, ...]:
        """The licenses to be added, the first to be issued first."""
        found = (each for each in self.outcomes if isinstance(each, ImportedLicense))
        return tuple(sorted(found, key=lambda each: _age(each.license)))

    @property
    def issuer(self) -> str:
        """Who issued the newest of them."""
        return self.new[-1].license.iss if self.new else Settings().issuer

    @property
    def refused(self) -> tuple[RejectedFile, ...]:
        """The files that are not taken in."""
        return tuple(each for each in self.outcomes if isinstance(each, RejectedFile))


def decide(db: Reading, sources: Iterable[LicenseFile], given: Iterable[Key] = ()) -> ImportPlan:
    """Decide what an import of these files does; nothing is written.

    Args:
        db: the registry as it is.
        sources: the license files.
        given: public keys that the operator named; one that vouches for a license is pinned.

    Raises:
        ExampleKey: (`example_key`) when the published one was named.
        RegistryDamaged: (`registry_damaged`) when a license of the registry does not verify.
    """
    pinned = keys.every(db)
    given = tuple(given)
    for key in given:
        require_not_example(key.kid)
    validator = FileValidator(pinned, given)
    outcomes = _outcomes(db, tuple(map(validator.validate, sources)))
    new = [each for each in outcomes if isinstance(each, ImportedLicense)]
    whose = {each.license.sub: customers.by_slug(db, each.license.sub) for each in new}
    replaced, missing = _replaced(db, new, whose)
    needed = {each.kid for each in new} - {key.kid for key in pinned}
    return ImportPlan(
        outcomes=outcomes,
        keys=tuple(key for key in given if key.kid in needed),
        customers=_new_customers(new, whose),
        machines=_new_machines(db, new, whose),
        replaced=replaced,
        missing=missing,
    )


def known_machine(db: Reading, customer: Customer, fingerprint: str) -> int | None:
    """The customer's machine that has this fingerprint, or had it."""
    for known in machines.with_fingerprint(db, fingerprint):
        if known.customer.id == customer.id:
            return known.machine.id
    return None


def _outcomes(db: Reading, validated: tuple[ValidFile | RejectedFile, ...]) -> tuple[Outcome, ...]:
    kept: dict[str, bytes] = {}
    for each in validated:
        if isinstance(each, ValidFile):
            found = _kept(db, each.license.jti)
            if found is not None:
                kept[each.license.jti] = found
    seen = set(kept)
    outcomes: list[Outcome] = []
    for checked in reject_conflicting_copies(validated, kept):
        if isinstance(checked, RejectedFile):
            outcomes.append(checked)
        elif checked.license.jti in seen:
            outcomes.append(ExistingLicense(name=checked.name, license=checked.license))
        else:
            seen.add(checked.license.jti)
            outcomes.append(
                ImportedLicense(
                    name=checked.name,
                    license=checked.license,
                    kid=checked.kid,
                    file=checked.file,
                )
            )
    return tuple(outcomes)


def _kept(db: Reading, license_id: str) -> bytes | None:
    try:
        return licenses.get(db, license_id).file
    except NotFound:
        return None


def _new_customers(
    new: Iterable[ImportedLicense], whose: Mapping[str, Customer | None]
) -> dict[str, str]:
    """Each with the name of its newest license."""
    names: dict[str, str] = {}
    for each in sorted(new, key=lambda one: _age(one.license)):
        if whose[each.license.sub] is None:
            names[each.license.sub] = nfc(each.license.customer)
    return dict(sorted(names.items()))


def _new_machines(
    db: Reading, new: Iterable[ImportedLicense], whose: Mapping[str, Customer | None]
) -> tuple[tuple[str, str], ...]:
    found = set()
    for each in new:
        fingerprint, customer = each.license.machine_fingerprint, whose[each.license.sub]
        if fingerprint is None:
            continue
        if customer is None or known_machine(db, customer, fingerprint) is None:
            found.add((customer.slug if customer else each.license.sub, fingerprint))
    return tuple(sorted(found))


def _replaced(
    db: Reading, new: Iterable[ImportedLicense], whose: Mapping[str, Customer | None]
) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Old → new, where one of both is new here; and the old ones that nobody has."""
    arrived = {each.license.jti: each.license for each in new}
    held = [
        load_license(db, record)
        for customer in {each.id: each for each in whose.values() if each}.values()
        for record in licenses.of(db, customer)
    ]
    replaced: dict[str, str] = {}
    missing: set[tuple[str, str]] = set()
    # The newest of several heirs is the last to be written.
    for heir in sorted((*held, *arrived.values()), key=_age):
        for old in heir.replaces:
            if old in arrived:
                replaced[old] = heir.jti
            elif heir.jti in arrived:
                state = _is_current(db, old)
                if state is None:
                    missing.add((old, heir.jti))
                elif state:
                    replaced[old] = heir.jti
    return dict(sorted(replaced.items())), tuple(sorted(missing))


def _is_current(db: Reading, license_id: str) -> bool | None:
    try:
        return licenses.get(db, license_id).is_current
    except NotFound:
        return None


def _age(held: License) -> tuple[int, str]:
    return held.iat, held.jti


_EVENT = "registry-imported"


def carry_out(
    db: Writing, decided: ImportPlan, *, accepted: Iterable[str] = (), reason: str | None = None
) -> None:
    """Write what was decided into the open transaction, a journal row for each license.

    Args:
        db: the open transaction, in which it was decided once more.
        decided: what the operator saw.
        accepted: codes of the findings that were accepted; `reason` says why.
    """
    accepted = tuple(accepted)
    for key in decided.keys:
        label = free_label(keys.every(db))
        keys.add(db, key=key, label=label)
        db.record(_EVENT, kid=key.kid, accepted=accepted, reason=reason, details={"label": label})
    before: dict[str, list[str]] = {}
    added = {each.license.jti for each in decided.new}
    for old, heir in decided.replaced.items():
        if old not in added:
            before.setdefault(heir, []).append(old)
    for each in decided.new:
        customer = _add(db, each, decided)
        for old in before.get(each.license.jti, ()):
            licenses.replace(db, old, each.license.jti)
        db.record(
            _EVENT,
            customer=customer.slug,
            license=each.license.jti,
            kid=each.kid,
            accepted=accepted,
            reason=reason,
            details={"from": each.name, "replaces": list(each.license.replaces)},
        )


def _add(db: Writing, each: ImportedLicense, decided: ImportPlan) -> Customer:
    held = each.license
    customer = customers.by_slug(db, held.sub)
    if customer is None:
        customer = customers.add(db, slug=held.sub, name=decided.customers[held.sub])
    licenses.add(
        db,
        license_id=held.jti,
        customer_id=customer.id,
        machine_id=_machine(db, customer, held.machine_fingerprint),
        kid=each.kid,
        file=each.file,
        tier=str(held.tier),
        issued_at=held.issued_at,
        expires_at=held.expires_at,
        term=None,
        plan=None,
        document_id=None,
    )
    if held.jti in decided.replaced:
        licenses.replace(db, held.jti, decided.replaced[held.jti])
    return customer


def _machine(db: Writing, customer: Customer, fingerprint: str | None) -> int | None:
    if fingerprint is None:
        return None
    known = known_machine(db, customer, fingerprint)
    if known is not None:
        return known
    return machines.add(
        db,
        customer,
        label=machines.free_label(db, customer, None),
        fingerprint=fingerprint,
        hostname=None,
        components={},
        document_id=None,
    ).id
