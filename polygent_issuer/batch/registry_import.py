"""Rebuild a registry from signed license files: decide what they prove, then write the rows.

The decision depends on the content of the files and of the registry, never on the order of the
files. License files do not contain labels, hosts, contacts, time zones, references, plans, terms,
sent marks, retirements and their reasons, order ids, notes, holds, documents, and the past journal.
These stay empty.

The bytes of a file are compared in the form in which this tool writes them. So a line end that a
mail program changed does not count as a difference, but another signature of the same license does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from polygent_issuer.errors import NotFound
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import load_license
from polygent_issuer.issuing.verification import LicenseFile
from polygent_issuer.keys.rotation import free_label
from polygent_issuer.keys.signer import require_not_example
from polygent_issuer.registry import (
    Customer,
    LicenseRecord,
    Reading,
    Writing,
    customers,
    keys,
    licenses,
    machines,
)
from polygent_issuer.text import Hint, escape, nfc, run
from polygent_issuer.verifier import EXAMPLE_KID, CheckCode, Key, KeySet, License, Verifier, jws
from polygent_issuer.verifier.errors import LicenseError, quoted

_EVENT = "registry-imported"
LOST = (
    "machine labels and host names, contacts, time zones, CRM references, notes, plans and terms, "
    "sent marks, retirements and reasons, order ids and notes, holds, machine-info documents, "
    "earlier journal rows and their seals"
)
"""The data that license files do not contain, for messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedLicense:
    """A license that the registry lacks.

    Attributes:
        name: the name of its file.
        license: its content; `kid` is the key that signed it.
        file: its bytes as this tool writes them.
    """

    name: str
    license: License
    kid: str
    file: bytes


class RejectedFile(NamedTuple):
    """A file that is not imported, with the reason, a fix and a stable code.

    The code is a `CheckCode`, or `unreadable_input`, `key_compromised`, `example_key`,
    `other_bytes`.
    """

    name: str
    code: str
    message: str
    hint: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistingLicense:
    """A license that is already in the registry or in an earlier file of the run."""

    name: str
    license: License


Outcome = ImportedLicense | ExistingLicense | RejectedFile


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportPlan:
    """The decision on an import. Two are equal if they rest on the same facts.

    Attributes:
        outcomes: one for each file, in their order.
        keys: the public keys to pin.
        customers: slug → name of the customers to add.
        machines: (slug, fingerprint) of the machines to add.
        replaced: superseded license → newer license.
        missing: the IDs of superseded licenses without a file, each with the newer license.
    """

    outcomes: tuple[Outcome, ...]
    keys: tuple[Key, ...]
    customers: Mapping[str, str]
    machines: tuple[tuple[str, str], ...]
    replaced: Mapping[str, str]
    missing: tuple[tuple[str, str], ...]

    @property
    def new(self) -> tuple[ImportedLicense, ...]:
        """The licenses to add, oldest first."""
        imported = (each for each in self.outcomes if isinstance(each, ImportedLicense))
        return tuple(sorted(imported, key=lambda each: _age(each.license)))

    @property
    def issuer(self) -> str:
        """The issuer of the newest license."""
        return self.new[-1].license.iss if self.new else Settings().issuer

    @property
    def refused(self) -> tuple[RejectedFile, ...]:
        """The files that are not imported."""
        return tuple(each for each in self.outcomes if isinstance(each, RejectedFile))


def decide(db: Reading, sources: Iterable[LicenseFile], named: Iterable[Key] = ()) -> ImportPlan:
    """Decide on an import of these files; nothing is written.

    Args:
        db: a transaction.
        sources: the license files.
        named: public keys that the operator named; a key that signed a license is pinned.

    Raises:
        ExampleKey: (`example_key`) the published example key was named.
        RegistryDamaged: (`registry_damaged`) a license of the registry does not verify.
    """
    pinned = keys.every(db)
    named = tuple(named)
    for key in named:
        require_not_example(key.kid)
    compromised = {key.kid: key.label for key in pinned if key.compromised}
    trusted = (*(key.public_key for key in pinned), *named)
    verifier = Verifier(KeySet.of(*(key for key in trusted if key.kid not in compromised)))
    outcomes = _outcomes(db, tuple(_validate(file, verifier, compromised) for file in sources))
    new = [each for each in outcomes if isinstance(each, ImportedLicense)]
    owners = {each.license.sub: customers.by_slug(db, each.license.sub) for each in new}
    replaced, missing = _replaced(db, new, owners)
    needed = {each.kid for each in new} - {key.kid for key in pinned}
    return ImportPlan(
        outcomes=outcomes,
        keys=tuple(key for key in named if key.kid in needed),
        customers=_new_customers(new, owners),
        machines=_new_machines(db, new, owners),
        replaced=replaced,
        missing=missing,
    )


def carry_out(
    db: Writing, decided: ImportPlan, *, accepted: Iterable[str] = (), reason: str | None = None
) -> None:
    """Write the import into the open transaction, with a journal row for each license.

    Args:
        db: the open transaction, in which the decision was made again.
        decided: the decision that the operator saw.
        accepted: codes of the accepted findings; `reason` is the operator's reason.
    """
    accepted = tuple(accepted)
    for key in decided.keys:
        label = free_label(keys.every(db))
        keys.add(db, key=key, label=label)
        db.record(_EVENT, kid=key.kid, accepted=accepted, reason=reason, details={"label": label})
    before: dict[str, list[str]] = {}
    added = {each.license.jti for each in decided.new}
    for old, newer in decided.replaced.items():
        if old not in added:
            before.setdefault(newer, []).append(old)
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


def _validate(
    file: LicenseFile, verifier: Verifier, compromised: Mapping[str, str]
) -> ImportedLicense | RejectedFile:
    """Check that a file is authentic; only a server checks its acceptance.

    `compromised` are the labels of the compromised keys, by kid.
    """
    if file.problem is not None:
        return RejectedFile(file.name, "unreadable_input", file.problem.message, file.problem.hint)
    try:
        authentic = verifier.authenticate(file.data)
    except LicenseError as error:
        if error.code is CheckCode.UNKNOWN_KEY:
            return _unknown(file, compromised)
        return RejectedFile(file.name, str(error.code), error.message, error.hint)
    token = jws.parse(file.data)
    canonical = jws.assemble(token.signing_input, token.signature)
    return ImportedLicense(name=file.name, license=authentic, kid=token.kid, file=canonical)


def _unknown(file: LicenseFile, compromised: Mapping[str, str]) -> RejectedFile:
    kid = jws.parse(file.data).kid
    if kid in compromised:
        return RejectedFile(
            file.name,
            "key_compromised",
            f"signed with {escape(compromised[kid])}, which is marked as compromised, so it may be "
            "forged",
            Hint(
                "confirm the license with the customer, then issue it with another key: ",
                run("sign"),
            ),
        )
    if kid == EXAMPLE_KID:
        return RejectedFile(
            file.name,
            "example_key",
            "signed with the published example key, whose private key is public",
            None,
        )
    return RejectedFile(
        file.name,
        str(CheckCode.UNKNOWN_KEY),
        f"signed with a key that is not pinned here, {quoted(kid)}",
        Hint("pin its key: ", run("key", "import", "BACKUP"), ", or add --public-key FILE"),
    )


def _outcomes(
    db: Reading, validated: tuple[ImportedLicense | RejectedFile, ...]
) -> tuple[Outcome, ...]:
    """Reject each file whose license ID occurs with different content, in any order."""
    contents: dict[str, set[bytes]] = {}
    for each in validated:
        if isinstance(each, ImportedLicense):
            contents.setdefault(each.license.jti, set()).add(each.file)
    stored = {license_id: _stored(db, license_id) for license_id in contents}
    seen: set[str] = set()
    outcomes: list[Outcome] = []
    for each in validated:
        if isinstance(each, RejectedFile):
            outcomes.append(each)
            continue
        license_id = each.license.jti
        record = stored[license_id]
        copies = contents[license_id] if record is None else {record.file}
        if copies != {each.file}:
            other = "another of these files contains" if record is None else "the registry contains"
            message = f"{other} license {license_id} with different content"
            hint = Hint("compare it with the customer's file: ", run("inspect", each.name))
            outcomes.append(RejectedFile(each.name, "other_bytes", message, hint))
        elif record is not None or license_id in seen:
            outcomes.append(ExistingLicense(name=each.name, license=each.license))
        else:
            seen.add(license_id)
            outcomes.append(each)
    return tuple(outcomes)


def _new_customers(
    new: Iterable[ImportedLicense], owners: Mapping[str, Customer | None]
) -> dict[str, str]:
    """Return slug → name of the customers to add, with the name in the newest license."""
    names: dict[str, str] = {}
    for each in sorted(new, key=lambda one: _age(one.license)):
        if owners[each.license.sub] is None:
            names[each.license.sub] = nfc(each.license.customer)
    return dict(sorted(names.items()))


def _new_machines(
    db: Reading, new: Iterable[ImportedLicense], owners: Mapping[str, Customer | None]
) -> tuple[tuple[str, str], ...]:
    added = set()
    for each in new:
        fingerprint, customer = each.license.machine_fingerprint, owners[each.license.sub]
        if fingerprint is None:
            continue
        if customer is None or _known_machine(db, customer, fingerprint) is None:
            added.add((customer.slug if customer else each.license.sub, fingerprint))
    return tuple(sorted(added))


def _replaced(
    db: Reading, new: Iterable[ImportedLicense], owners: Mapping[str, Customer | None]
) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Return old → new license, where one of them is new here, and the missing old licenses."""
    arrived = {each.license.jti: each.license for each in new}
    stored = [
        load_license(db, record)
        for customer in {each.id: each for each in owners.values() if each}.values()
        for record in licenses.of(db, customer)
    ]
    replaced: dict[str, str] = {}
    missing: set[tuple[str, str]] = set()
    # Of several newer licenses the newest one is written last.
    for newer in sorted((*stored, *arrived.values()), key=_age):
        for old in newer.replaces:
            if old in arrived:
                replaced[old] = newer.jti
            elif newer.jti in arrived:
                record = _stored(db, old)
                if record is None:
                    missing.add((old, newer.jti))
                elif record.is_current:
                    replaced[old] = newer.jti
    return dict(sorted(replaced.items())), tuple(sorted(missing))


def _stored(db: Reading, license_id: str) -> LicenseRecord | None:
    try:
        return licenses.get(db, license_id)
    except NotFound:
        return None


def _age(each: License) -> tuple[int, str]:
    return each.iat, each.jti


def _add(db: Writing, each: ImportedLicense, decided: ImportPlan) -> Customer:
    issued = each.license
    customer = customers.by_slug(db, issued.sub)
    if customer is None:
        customer = customers.add(db, slug=issued.sub, name=decided.customers[issued.sub])
    licenses.add(
        db,
        license_id=issued.jti,
        customer_id=customer.id,
        machine_id=_machine(db, customer, issued.machine_fingerprint),
        kid=each.kid,
        file=each.file,
        tier=str(issued.tier),
        issued_at=issued.issued_at,
        expires_at=issued.expires_at,
        term=None,
        plan=None,
        order_id=None,
        note=None,
        document_id=None,
    )
    if issued.jti in decided.replaced:
        licenses.replace(db, issued.jti, decided.replaced[issued.jti])
    return customer


def _machine(db: Writing, customer: Customer, fingerprint: str | None) -> int | None:
    if fingerprint is None:
        return None
    known = _known_machine(db, customer, fingerprint)
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


def _known_machine(db: Reading, customer: Customer, fingerprint: str) -> int | None:
    """Return the customer's machine that has or had this fingerprint."""
    for known in machines.with_fingerprint(db, fingerprint):
        if known.customer.id == customer.id:
            return known.machine.id
    return None
