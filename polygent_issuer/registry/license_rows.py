"""Licenses as they are stored: one way to select them, for every list and search."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from polygent_issuer.registry.columns import (
    Fields,
    Value,
    as_bytes,
    as_int,
    as_optional_int,
    maybe_moment,
    maybe_text,
    seconds,
    text,
    whole_seconds,
)
from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.customer_rows import beginning
from polygent_issuer.registry.records import Customer, LicenseRecord, LicenseStatus
from polygent_issuer.registry.transactions import Reading

_SELECT: Final = """SELECT id, customer_id,
    (SELECT slug FROM customers WHERE customers.id = customer_id) AS slug, machine_id,
    (SELECT label FROM machines WHERE machines.id = machine_id) AS label, kid, file, sha256, tier,
    issued_at, expires_at, term, plan, document_id, replaced_by, retired_at,
    retired_reason, sent_at
    FROM licenses"""
STATUS: Final = {
    LicenseStatus.CURRENT: "replaced_by IS NULL AND retired_at IS NULL",
    LicenseStatus.REPLACED: "replaced_by IS NOT NULL",
    LicenseStatus.RETIRED: "retired_at IS NOT NULL",
}
"""What the columns say of a license of each status, as SQL."""
_CURRENT: Final = f"({STATUS[LicenseStatus.CURRENT]})"
_ARCHIVED: Final = "customer_id IN (SELECT id FROM customers WHERE archived_at IS NOT NULL)"


def by_id(db: Reading, license_id: str) -> LicenseRecord | None:
    """The license of exactly this id, as the journal recorded it."""
    db.require_recorded("licenses", license_id)
    found = db.one(_license, f"{_SELECT} WHERE id = ?", (license_id,))
    return None if found is None else checked(db, found)


def by_beginning(db: Reading, prefix: str, most: int) -> tuple[LicenseRecord, ...]:
    """Up to `most` licenses whose ids begin so."""
    return tuple(
        _select(db, "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (*beginning(prefix), most))
    )


def by_file(db: Reading, kid: str, sha256: str) -> LicenseRecord | None:
    """The license whose file under this key is exactly the one of this digest (hex)."""
    found = db.one(_license, f"{_SELECT} WHERE kid = ? AND sha256 = ?", (kid, sha256))
    return None if found is None else checked(db, found)


def checked(db: Reading, record: LicenseRecord) -> LicenseRecord:
    """Return a license whose row is as the journal last recorded it, with customer and machine.

    Raises:
        RegistryDamaged: (`registry_damaged`) when one of them is not.
    """
    db.require_recorded("licenses", record.id)
    db.require_recorded("customers", record.customer_id)
    if record.machine_id is not None:
        db.require_recorded("machines", record.machine_id)
    return record


def select(
    db: Reading,
    *,
    customer: Customer | None = None,
    tier: str | None = None,
    status: LicenseStatus | None = None,
    kid: str | None = None,
    unsent: bool | None = None,
    expires_before: datetime | None = None,
    archived: bool | None = None,
    after: LicenseRecord | None = None,
) -> Iterator[LicenseRecord]:
    """Stream the licenses that all given filters let pass, the first to expire first.

    Args:
        tier: `standard` or `enterprise`.
        unsent: True for those that nobody noted as sent, False for the others.
        expires_before: an aware instant; those that expire at it are left out.
        archived: True for those of customers who were archived, False for the others.
        after: only those that follow this one in the order.
    """
    where, values = _where(
        customer=customer,
        tier=tier,
        status=status,
        kid=kid,
        unsent=unsent,
        expires_before=expires_before,
        archived=archived,
        after=after,
    )
    return _select(db, f"{where} ORDER BY expires_at, id", values)


def due(db: Reading, expires_before: datetime) -> Iterator[LicenseRecord]:
    """Stream the current licenses of customers who are not archived, the first to end first.

    Those that end together come by their customers' slugs.
    """
    where, values = _where(
        status=LicenseStatus.CURRENT, expires_before=expires_before, archived=False
    )
    return _select(db, f"{where} ORDER BY expires_at, slug, id", values)


def no_longer_due(
    db: Reading, expires_from: datetime, expires_before: datetime
) -> Iterator[LicenseRecord]:
    """Stream the licenses that are replaced or retired, or whose customer is archived.

    Args:
        expires_from, expires_before: aware; the earliest expiry, and the first one too late.
    """
    where = f"""WHERE expires_at >= ? AND expires_at < ? AND (NOT {_CURRENT} OR {_ARCHIVED})
        ORDER BY expires_at, slug, id"""
    return _select(db, where, (whole_seconds(expires_from), whole_seconds(expires_before)))


def count(
    db: Reading, *, status: LicenseStatus, expires_before: datetime, archived: bool | None = None
) -> int:
    """How many licenses `select` would give."""
    where, values = _where(status=status, expires_before=expires_before, archived=archived)
    sql = f"SELECT count(*) FROM licenses {where}"  # noqa: S608  # conditions of our own
    return db.value(as_int, sql, values) or 0


def _where(
    *,
    customer: Customer | None = None,
    tier: str | None = None,
    status: LicenseStatus | None = None,
    kid: str | None = None,
    unsent: bool | None = None,
    expires_before: datetime | None = None,
    archived: bool | None = None,
    after: LicenseRecord | None = None,
) -> tuple[str, Params]:
    conditions: list[str] = []
    values: list[Value] = []
    for condition, value in (
        ("customer_id = ?", customer.id if customer else None),
        ("tier = ?", tier),
        ("kid = ?", kid),
        ("expires_at < ?", None if expires_before is None else whole_seconds(expires_before)),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if status is not None:
        conditions.append(STATUS[status])
    if unsent is not None:
        conditions.append("sent_at IS NULL" if unsent else "sent_at IS NOT NULL")
    if archived is not None:
        word = "IN" if archived else "NOT IN"
        archive = "SELECT id FROM customers WHERE archived_at IS NOT NULL"
        conditions.append(f"customer_id {word} ({archive})")
    if after is not None:
        conditions.append("(expires_at, id) > (?, ?)")
        values += whole_seconds(after.expires_at), after.id
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", tuple(values)


def _select(db: Reading, rest: str, params: Params) -> Iterator[LicenseRecord]:
    return db.each(_license, f"{_SELECT} {rest}", params)


def _license(row: Fields) -> LicenseRecord:
    return LicenseRecord(
        id=text(row["id"]),
        customer_id=as_int(row["customer_id"]),
        customer_slug=text(row["slug"]),
        machine_id=as_optional_int(row["machine_id"]),
        machine_label=maybe_text(row["label"]),
        kid=text(row["kid"]),
        file=as_bytes(row["file"]),
        sha256=text(row["sha256"]),
        tier=text(row["tier"]),
        issued_at=seconds(row["issued_at"]),
        expires_at=seconds(row["expires_at"]),
        term=maybe_text(row["term"]),
        plan=maybe_text(row["plan"]),
        document_id=as_optional_int(row["document_id"]),
        replaced_by=maybe_text(row["replaced_by"]),
        retired_at=maybe_moment(row["retired_at"]),
        retired_reason=maybe_text(row["retired_reason"]),
        sent_at=maybe_moment(row["sent_at"]),
    )
