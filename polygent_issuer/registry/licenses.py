"""Licenses: every one that was ever issued, with the exact bytes of its file."""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Final

from polygent_issuer.errors import Ambiguous, NotFound, RegistryChanged
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.columns import whole_seconds
from polygent_issuer.registry.license_rows import (
    STATUS,
    by_beginning,
    by_file,
    by_id,
    checked,
    count,
    due,
    no_longer_due,
    select,
)
from polygent_issuer.registry.records import Customer, LicenseRecord, LicenseStatus
from polygent_issuer.registry.transactions import Reading, Writing
from polygent_issuer.text import escape, escape_short, nearest

__all__ = [
    "add",
    "count",
    "current",
    "due",
    "find",
    "get",
    "mark_sent",
    "mark_unsent",
    "no_longer_due",
    "of",
    "of_file",
    "replace",
    "retire",
    "select",
    "successor",
]

_SHORTEST: Final = 4
_NAMED: Final = 5


def get(db: Reading, license_id: str) -> LicenseRecord:
    """The license of exactly this id.

    Raises:
        NotFound: (`not_found`) when there is none.
    """
    found = by_id(db, license_id)
    if found is None:
        raise _not_found(license_id)
    return found


def successor(db: Reading, record: LicenseRecord) -> LicenseRecord | None:
    """Return the license that replaced this one, or None.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it is not in the registry.
    """
    if record.replaced_by is None:
        return None
    found = by_id(db, record.replaced_by)
    if found is None:
        raise db.damaged(f"lacks the license that replaced {escape_short(record.id)}")
    return found


def find(db: Reading, typed: str) -> LicenseRecord:
    """The license of an unambiguous beginning of an id, at least 4 characters.

    Raises:
        NotFound: (`not_found`) when there is none, or the beginning is too short.
        Ambiguous: (`ambiguous`) when several ids begin so; the hint names them.
    """
    prefix = typed.strip().lower()
    if len(prefix) < _SHORTEST:
        raise NotFound(
            f"{escape(typed)} is too short to name a license",
            hint=Hint(f"give at least {_SHORTEST} characters of its id: ", run("license", "list")),
        )
    found = by_beginning(db, prefix, _NAMED + 1)
    if len(found) > 1:
        names = ", ".join(f"{one.id} ({one.customer_slug})" for one in found[:_NAMED])
        more = ", …" if len(found) > _NAMED else ""
        raise Ambiguous(
            f"several licenses begin with {escape(typed)}", hint=f"name one: {names}{more}"
        )
    if not found:
        alike = by_beginning(db, prefix[:_SHORTEST], _NAMED)
        near = nearest(prefix, [one.id[: len(prefix)] for one in alike])
        raise _not_found(typed, near)
    return checked(db, found[0])


def current(db: Reading, customer: Customer) -> tuple[LicenseRecord, ...]:
    """The customer's current licenses, the first to expire first, as the journal recorded them.

    Raises:
        RegistryDamaged: (`registry_damaged`) when any license of the customer is not: one that was
            moved, deleted or marked as replaced would be missing here.
    """
    return tuple(_checked(db, customer, LicenseStatus.CURRENT))


def of(db: Reading, customer: Customer) -> tuple[LicenseRecord, ...]:
    """All licenses that the customer ever had; order and errors as `current`."""
    return tuple(_checked(db, customer, None))


def of_file(db: Reading, kid: str, file: bytes) -> LicenseRecord | None:
    """The license that was issued as exactly these bytes under this key, if any was."""
    return by_file(db, kid, sha256(file).hexdigest())


def add(
    db: Writing,
    *,
    license_id: str,
    customer_id: int,
    machine_id: int | None,
    kid: str,
    file: bytes,
    tier: str,
    issued_at: datetime,
    expires_at: datetime,
    term: str | None,
    plan: str | None,
    document_id: int | None,
) -> None:
    """Keep a license that was signed, current from now on.

    Args:
        license_id: its `jti`.
        file: the exact bytes of the `.lic`.
        issued_at, expires_at: `iat` and `exp`, aware.
        term, plan: what the next renewal goes by.

    Raises:
        Taken: (`taken`) when the id is there already.
    """
    db.insert(
        "licenses",
        id=license_id,
        customer_id=customer_id,
        machine_id=machine_id,
        kid=kid,
        file=file,
        sha256=sha256(file).hexdigest(),
        tier=tier,
        issued_at=whole_seconds(issued_at),
        expires_at=whole_seconds(expires_at),
        term=term,
        plan=plan,
        document_id=document_id,
    )


def replace(db: Writing, old_id: str, new_id: str) -> None:
    """Note that a current license is superseded; the new one may be added after this.

    Raises:
        NotFound: (`not_found`) when there is no such license.
        RegistryChanged: (`registry_changed`) when it is not current any more.
    """
    if not db.update("licenses", old_id, STATUS[LicenseStatus.CURRENT], replaced_by=new_id):
        _require_current(db, old_id)


def retire(db: Writing, license_id: str, reason: str) -> LicenseRecord:
    """Note that a current license is not to be renewed.

    Raises:
        NotFound: (`not_found`) when there is no such license.
        RegistryChanged: (`registry_changed`) when it is not current any more.
    """
    _require_current(db, license_id)
    db.update("licenses", license_id, retired_at=db.at, retired_reason=reason)
    return get(db, license_id)


def mark_sent(db: Writing, license_id: str) -> LicenseRecord:
    """Note that the file went to the customer now; the latest sending is kept.

    Raises:
        NotFound: (`not_found`) when there is no such license.
    """
    get(db, license_id)
    db.update("licenses", license_id, sent_at=db.at)
    return get(db, license_id)


def mark_unsent(db: Writing, license_id: str) -> LicenseRecord:
    """Note that the file did not go to the customer after all.

    Raises:
        NotFound: (`not_found`) when there is no such license.
    """
    get(db, license_id)
    db.update("licenses", license_id, sent_at=None)
    return get(db, license_id)


def _checked(
    db: Reading, customer: Customer, status: LicenseStatus | None
) -> Iterator[LicenseRecord]:
    db.require_every_recorded("licenses", customer.id)
    for record in select(db, customer=customer, status=status):
        yield checked(db, record)


def _require_current(db: Reading, license_id: str) -> None:
    found = get(db, license_id)
    if not found.is_current:
        raise RegistryChanged(
            f"license {license_id} was {found.status} by another command",
            hint=Hint(
                run("license", "list", "--customer", found.customer_slug), ", then run it again"
            ),
        )


def _not_found(typed: str, near: str | None = None) -> NotFound:
    every = run("license", "list")
    return NotFound(
        f"there is no license {escape(typed)}",
        hint=Hint(f"did you mean `{near}`? — or `", every, "`")
        if near
        else Hint(every, " names them"),
    )
