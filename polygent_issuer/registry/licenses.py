"""All issued licenses, each with the exact bytes of its file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

from polygent_issuer.errors import NotFound, RegistryChanged
from polygent_issuer.registry import customers, row_check
from polygent_issuer.registry.customer_names import text_range
from polygent_issuer.registry.engine import Params, Query, in_chunks, marks, where_clause
from polygent_issuer.registry.errors import NAMED, ambiguous, not_found
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    Customer,
    Fields,
    LicenseRecord,
    LicenseStatus,
    Value,
    as_int,
    as_optional_int,
    reader,
    seconds,
    text,
    whole_seconds,
)
from polygent_issuer.registry.writing import Writing
from polygent_issuer.text import Hint, escape, escape_short, nearest, run

_SELECT: Final = """SELECT id, customer_id,
    (SELECT slug FROM customers WHERE customers.id = customer_id) AS customer_slug,
    (SELECT held_at FROM customers WHERE customers.id = customer_id) AS held_at,
    (SELECT held_until FROM customers WHERE customers.id = customer_id) AS held_until, machine_id,
    (SELECT label FROM machines WHERE machines.id = machine_id) AS machine_label, kid, file,
    sha256, tier, issued_at, expires_at, term, plan, document_id, replaced_by, retired_at,
    retired_reason, sent_at, order_id, note
    FROM licenses"""
STATUS: Final = {
    LicenseStatus.CURRENT: "replaced_by IS NULL AND retired_at IS NULL",
    LicenseStatus.REPLACED: "replaced_by IS NOT NULL",
    LicenseStatus.RETIRED: "retired_at IS NOT NULL",
}
"""The SQL condition for each status."""
STATUS_COLUMN: Final = """CASE WHEN replaced_by IS NOT NULL THEN 'replaced'
    WHEN retired_at IS NOT NULL THEN 'retired' ELSE 'current' END AS status"""
CURRENT: Final = f"({STATUS[LicenseStatus.CURRENT]})"
_STATES: Final = f"""SELECT licenses.id AS id, machines.fingerprint AS fingerprint, replaced_by,
    {STATUS_COLUMN}, replaced_by IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM licenses AS successors WHERE successors.id = licenses.replaced_by) AS orphaned
    FROM licenses LEFT JOIN machines ON machines.id = machine_id WHERE licenses.id IN"""  # noqa: S608
_ARCHIVED: Final = "customer_id IN (SELECT id FROM customers WHERE archived_at IS NOT NULL)"
_DUE: Final = f"WHERE {CURRENT} AND NOT {_ARCHIVED} AND expires_at < ?"
_SHORTEST: Final = 4
_license: Final = reader(LicenseRecord, issued_at=seconds, expires_at=seconds)


def _references(row: Fields) -> tuple[int, int | None]:
    return as_int(row["customer_id"]), as_optional_int(row["machine_id"])


def by_id(db: Reading, license_id: str) -> LicenseRecord | None:
    """Return the license with exactly this id, checked against the journal."""
    row = db.recorded("licenses", license_id)
    if row is None:
        return None
    customer_id, machine_id = db.build(_references, "licenses", row)
    customer = db.recorded("customers", customer_id) or {}
    machine = (machine_id is not None and db.recorded("machines", machine_id)) or {}
    others = {"customer_slug": customer.get("slug"), "machine_label": machine.get("label")}
    others |= {name: customer.get(name) for name in ("held_at", "held_until")}
    return db.build(_license, "licenses", {**row, **others})


def read_ahead(db: Reading, license_ids: Iterable[str]) -> None:
    """Read many licenses with their customers and machines at once, before `get` of each."""
    rows = db.row_check.read_ahead("licenses", license_ids)
    # `get` refuses a damaged row with another type.
    customer_ids, machine_ids = (
        {value for row in rows if isinstance(value := row[column], int)}
        for column in ("customer_id", "machine_id")
    )
    customers.read_ahead(db, customer_ids)
    db.row_check.read_ahead("machines", machine_ids)


def read_ahead_of(db: Reading, slugs: Iterable[str]) -> None:
    """Read all licenses of many customers ahead; what is not exactly a slug is left out."""
    for some in in_chunks(slugs):
        owners = f"SELECT id FROM customers WHERE slug IN ({marks(some)})"  # noqa: S608
        sql = f"SELECT id FROM licenses WHERE customer_id IN ({owners})"  # noqa: S608
        read_ahead(db, db.values(text, sql, some))


def new_queries(license_ids: Iterable[str]) -> list[Query]:
    """Return the queries of `read_ahead_new`."""
    return row_check.new_queries("licenses", license_ids)


def read_ahead_new(db: Writing, license_ids: Iterable[str]) -> None:
    """Look for the ids of many new licenses in the journal at once, before `add` of each."""
    db.row_check.read_ahead_new("licenses", license_ids)


def read_each(db: Reading, license_ids: Iterable[str]) -> Iterator[LicenseRecord]:
    """Stream many licenses, each checked as by `by_id`; unknown ids are left out."""
    for some in in_chunks(license_ids):
        read_ahead(db, some)
        for license_id in some:
            record = by_id(db, license_id)
            if record is not None:
                yield record


def current_ids(db: Reading) -> Iterator[str]:
    """Stream the ids of all current licenses, earliest expiry first."""
    sql = f"SELECT id FROM licenses WHERE {CURRENT} ORDER BY expires_at, id"  # noqa: S608  # our own
    return db.values(text, sql)


def checked(db: Reading, record: LicenseRecord) -> LicenseRecord:
    """Return the license after a check of its row, customer and machine against the journal."""
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
    issued_by: datetime | None = None,
    archived: bool | None = None,
    order_id: str | None = None,
    note: str | None = None,
    after: LicenseRecord | None = None,
) -> Iterator[LicenseRecord]:
    """Stream the licenses that match all given filters, earliest expiry first.

    Args:
        unsent, archived: False selects licenses that were sent, or of customers who are not
            archived; None selects all.
        order_id, note: texts that these contain, without regard to the case of ASCII letters.
        issued_by: only licenses that were issued at this instant or before.
        after: only the licenses after this one in the order.
    """
    filters: tuple[tuple[str, Value], ...] = (
        ("customer_id = ?", None if customer is None else customer.id),
        ("tier = ?", tier),
        ("kid = ?", kid),
        ("expires_at < ?", None if expires_before is None else whole_seconds(expires_before)),
        ("issued_at <= ?", None if issued_by is None else whole_seconds(issued_by)),
        ("instr(lower(order_id), lower(?)) > 0", order_id),
        ("instr(lower(note), lower(?)) > 0", note),
    )
    conditions: list[tuple[str, Params]] = [
        (sql, (value,)) for sql, value in filters if value is not None
    ]
    if status is not None:
        conditions.append((STATUS[status], ()))
    if unsent is not None:
        conditions.append(("sent_at IS NULL" if unsent else "sent_at IS NOT NULL", ()))
    if archived is not None:
        conditions.append((_ARCHIVED if archived else f"NOT {_ARCHIVED}", ()))
    if after is not None:
        last = whole_seconds(after.expires_at), after.id
        conditions.append(("(expires_at, id) > (?, ?)", last))
    clause, params = where_clause(conditions)
    return _select(db, f"{clause}ORDER BY expires_at, id", params)


def due(db: Reading, expires_before: datetime) -> Iterator[LicenseRecord]:
    """Stream current licenses by expiry, then by slug, without archived customers."""
    rest = f"{_DUE} ORDER BY expires_at, customer_slug, id"
    return _select(db, rest, (whole_seconds(expires_before),))


def count_current(
    db: Reading, *, expires_before: datetime | None = None, kid: str | None = None
) -> int:
    """Count the current licenses that match; without a key not those of archived customers."""
    conditions: list[tuple[str, Params]] = [(CURRENT, ())]
    if expires_before is not None:
        conditions.append(("expires_at < ?", (whole_seconds(expires_before),)))
    if kid is not None:
        conditions.append(("kid = ?", (kid,)))
    else:
        conditions.append((f"NOT {_ARCHIVED}", ()))
    clause, params = where_clause(conditions)
    sql = f"SELECT count(*) FROM licenses {clause}"  # noqa: S608  # conditions of our own
    return db.value(as_int, sql, params) or 0


def no_longer_due(
    db: Reading, expires_from: datetime, expires_before: datetime
) -> Iterator[LicenseRecord]:
    """Stream licenses in a range of expiries that are not current or have archived customers."""
    where = f"""WHERE expires_at >= ? AND expires_at < ? AND (NOT {CURRENT} OR {_ARCHIVED})
        ORDER BY expires_at, customer_slug, id"""
    return _select(db, where, (whole_seconds(expires_from), whole_seconds(expires_before)))


def get(db: Reading, license_id: str) -> LicenseRecord:
    """Return the license with exactly this id; else raise `not_found`."""
    record = by_id(db, license_id)
    if record is None:
        raise _not_found(license_id)
    return record


def successor(db: Reading, record: LicenseRecord) -> LicenseRecord | None:
    """Return the license that replaced this one, or None; `registry_damaged` if it is missing."""
    if record.replaced_by is None:
        return None
    following = by_id(db, record.replaced_by)
    if following is None:
        raise db.damaged(f"lacks the license that replaced {escape_short(record.id)}")
    return following


def find(db: Reading, typed: str) -> LicenseRecord:
    """Return the license with an unambiguous beginning of its id, of at least 4 characters.

    Raises:
        NotFound: (`not_found`) without a match, or when the beginning is too short.
        Ambiguous: (`ambiguous`) when several ids match; the hint lists them.
    """
    prefix = typed.strip().lower()
    if len(prefix) < _SHORTEST:
        raise NotFound(
            f"'{escape(typed)}' is too short for a license id",
            hint=Hint(f"give at least {_SHORTEST} characters; ids: ", run("license", "list")),
        )
    where = "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
    matches = tuple(_select(db, where, (*text_range(prefix), NAMED + 1)))
    if len(matches) > 1:
        names = [f"{one.id} ({one.customer_slug})" for one in matches]
        raise ambiguous(f"several licenses begin with {escape(typed)}", names)
    if not matches:
        alike = _select(db, where, (*text_range(prefix[:_SHORTEST]), NAMED))
        raise _not_found(typed, nearest(prefix, [one.id[: len(prefix)] for one in alike]))
    return get(db, matches[0].id)


def current(db: Reading, customer: Customer) -> tuple[LicenseRecord, ...]:
    """Return the customer's current licenses, earliest expiry first.

    Every license of the customer is checked, because a moved or deleted one would be missing.
    """
    return _select_checked(db, customer, LicenseStatus.CURRENT)


def of(db: Reading, customer: Customer) -> tuple[LicenseRecord, ...]:
    """Return all licenses of the customer, also past ones; order and errors as `current`."""
    return _select_checked(db, customer, None)


def of_file(db: Reading, kid: str, file: bytes) -> LicenseRecord | None:
    """Return the license that was issued with this key and exactly these bytes, or None."""
    digest = sha256(file).hexdigest()
    record = db.one(_license, f"{_SELECT} WHERE kid = ? AND sha256 = ?", (kid, digest))
    return None if record is None else checked(db, record)


class LicenseState(NamedTuple):
    """The current state of a license, and the current fingerprint of its machine, if it has one."""

    id: str
    fingerprint: str | None
    replaced_by: str | None
    status: LicenseStatus

    @property
    def is_current(self) -> bool:
        """True if the license is neither replaced nor retired."""
        return self.status is LicenseStatus.CURRENT


_state: Final = reader(LicenseState)


def states(db: Reading, ids: Sequence[str]) -> Mapping[str, LicenseState]:
    """Return the states of licenses by id; unknown licenses are left out.

    Args:
        ids: at most some hundreds, because each is a parameter of one statement.
    """

    def state(row: Fields) -> tuple[str, LicenseState]:
        one = _state(row)
        if row["orphaned"]:
            raise db.damaged(f"lacks the license that replaced {escape_short(one.id)}")
        return one.id, one

    return dict(db.each(state, f"{_STATES} ({', '.join('?' * len(ids))})", tuple(ids)))


def add(
    db: Writing,
    *,
    license_id: str,
    file: bytes,
    issued_at: datetime,
    expires_at: datetime,
    **columns: Value,
) -> None:
    """Add a signed license as a current one; `taken` if its id exists.

    Args:
        license_id, issued_at, expires_at: its `jti`, `iat` and `exp` (aware).
        file: the exact bytes of the `.lic`.
        columns: the other columns; `term` and `plan` are the defaults of the next renewal.
    """
    db.insert(
        "licenses",
        id=license_id,
        file=file,
        sha256=sha256(file).hexdigest(),
        issued_at=whole_seconds(issued_at),
        expires_at=whole_seconds(expires_at),
        **columns,
    )


def replace(db: Writing, old_id: str, new_id: str) -> None:
    """Mark a license as replaced; `registry_changed` if it is no longer current."""
    if not db.update("licenses", old_id, CURRENT, replaced_by=new_id):
        _require_current(db, old_id)


def retire(db: Writing, license_id: str, reason: str) -> LicenseRecord:
    """Retire a current license, which is not renewed then; errors as `replace`."""
    _require_current(db, license_id)
    db.update("licenses", license_id, retired_at=db.at, retired_reason=reason)
    return get(db, license_id)


def mark_sent(db: Writing, license_id: str, *, undo: bool = False) -> LicenseRecord:
    """Mark a license as sent to the customer now, or undo that."""
    db.update("licenses", get(db, license_id).id, sent_at=None if undo else db.at)
    return get(db, license_id)


def edit(db: Writing, license_id: str, **columns: str | None) -> LicenseRecord:
    """Change the order id or the note of a license; None removes it."""
    db.update("licenses", license_id, **columns)
    return get(db, license_id)


def _select(db: Reading, rest: str, params: Params) -> Iterator[LicenseRecord]:
    return db.each(_license, f"{_SELECT} {rest}", params)


def _select_checked(
    db: Reading, customer: Customer, status: LicenseStatus | None
) -> tuple[LicenseRecord, ...]:
    db.require_every_recorded("licenses", customer.id)
    whole = db.row_check.whole("licenses", customer.id)
    if whole is not None:
        every = ((key, db.row_check.fields("licenses", key) or {}) for key in whole)
        records = (
            by_id(db, str(key))
            for key, row in every
            if status is None or (row["replaced_by"] is None and row["retired_at"] is None)
        )
        return tuple(sorted(filter(None, records), key=lambda each: (each.expires_at, each.id)))
    return tuple(checked(db, record) for record in select(db, customer=customer, status=status))


def _require_current(db: Reading, license_id: str) -> None:
    record = get(db, license_id)
    if not record.is_current:
        again = run("license", "list", "--customer", record.customer_slug)
        raise RegistryChanged(
            f"license {license_id} was {record.status} by another command",
            hint=Hint("check ", again, ", then run this command again"),
        )


def _not_found(typed: str, suggestion: str | None = None) -> NotFound:
    every = run("license", "list")
    message = f"unknown license {escape(typed)}"
    return not_found(message, suggestion, every, otherwise=Hint("list all licenses with ", every))
