"""The rows of an import: keys, customers, machines, licenses, each with its journal row."""

from collections.abc import Iterable

from polygent_issuer.batch.rebuild import Imported, Rebuild, known_machine
from polygent_issuer.custody.labels import free_label
from polygent_issuer.registry import Customer, Writing, customers, keys, licenses, machines

_EVENT = "registry-imported"


def carry_out(
    db: Writing, decided: Rebuild, *, accepted: Iterable[str] = (), reason: str | None = None
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


def _add(db: Writing, each: Imported, decided: Rebuild) -> Customer:
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
