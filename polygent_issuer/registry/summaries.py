"""A few columns of many rows: for counts, overviews and shell completion, and for many files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.customer_search import COLUMNS, beginning, of_row
from polygent_issuer.registry.licenses import STATUS
from polygent_issuer.registry.records import (
    Customer,
    Fields,
    LicenseStatus,
    as_int,
    maybe_seconds,
    maybe_text,
    seconds,
    text,
    whole_seconds,
)
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import escape_short

_THEIRS: Final = f"customer_id = customers.id AND {STATUS[LicenseStatus.CURRENT]}"
_SELECT: Final = f"""SELECT {COLUMNS},
    (SELECT count(*) FROM licenses WHERE {_THEIRS}) AS current,
    (SELECT min(expires_at) FROM licenses WHERE {_THEIRS}) AS first
    FROM customers"""  # noqa: S608  # columns and conditions of our own


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerSummary:
    """A customer, the number of current licenses, and when the first of them ends, if any."""

    customer: Customer
    current: int
    first: datetime | None


def customers(db: Reading, *, archived: bool) -> Iterator[CustomerSummary]:
    """Stream the customers by slug.

    Args:
        archived: also those.
    """
    where = "" if archived else " WHERE archived_at IS NULL"
    return db.each(_summary, f"{_SELECT}{where} ORDER BY slug")


def _summary(row: Fields) -> CustomerSummary:
    return CustomerSummary(
        customer=of_row(row), current=as_int(row["current"]), first=maybe_seconds(row["first"])
    )


_COUNTED: Final = ("customers", "machines", "licenses", "keys", "journal")


def count_all(db: Reading) -> dict[str, int]:
    """How many rows the tables have that people ask for, by table.

    Raises:
        RegistryDamaged: (`registry_damaged`) when one of them is gone.
    """
    return {
        table: db.value(as_int, f"SELECT count(*) FROM {table}") or 0  # noqa: S608  # tables of our own
        for table in _COUNTED
    }


_STATES: Final = """SELECT licenses.id AS id, machines.fingerprint AS fingerprint, replaced_by,
    retired_at IS NOT NULL AS retired, replaced_by IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM licenses AS successors WHERE successors.id = licenses.replaced_by) AS orphaned
    FROM licenses LEFT JOIN machines ON machines.id = machine_id WHERE licenses.id IN"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseState:
    """The state of a license today.

    Attributes:
        id: the license's.
        fingerprint: of its machine as it is today; None when it is for none.
        replaced_by: the license that superseded it, if one did.
        status: as that of its record.
    """

    id: str
    fingerprint: str | None
    replaced_by: str | None
    status: LicenseStatus

    @property
    def is_current(self) -> bool:
        """Neither replaced nor retired."""
        return self.status is LicenseStatus.CURRENT


def license_states(db: Reading, ids: Sequence[str]) -> Mapping[str, LicenseState]:
    """Return the state of each of these licenses that the registry has, by id.

    Args:
        ids: at most some hundreds, since each is a parameter of one statement.

    Raises:
        RegistryDamaged: (`registry_damaged`) when the successor of one is not in the registry.
    """

    def state(row: Fields) -> tuple[str, LicenseState]:
        license_id, replaced_by = text(row["id"]), maybe_text(row["replaced_by"])
        if row["orphaned"]:
            raise db.damaged(f"lacks the license that replaced {escape_short(license_id)}")
        return license_id, LicenseState(
            id=license_id,
            fingerprint=maybe_text(row["fingerprint"]),
            replaced_by=replaced_by,
            status=LicenseStatus.of(replaced=replaced_by is not None, retired=bool(row["retired"])),
        )

    return dict(db.each(state, f"{_STATES} ({', '.join('?' * len(ids))})", tuple(ids)))


_ENDS: Final = f"""SELECT expires_at, customer_id,
    (SELECT name FROM customers WHERE customers.id = customer_id) AS name
    FROM licenses WHERE {STATUS[LicenseStatus.CURRENT]}
    AND expires_at > ? AND expires_at <= ?
    AND EXISTS (SELECT 1 FROM customers WHERE id = customer_id AND archived_at IS NULL)
    ORDER BY expires_at, id"""  # noqa: S608 - conditions of our own


_REPLACED: Final = f"""SELECT id, replaced_by FROM licenses
    WHERE {STATUS[LicenseStatus.REPLACED]} ORDER BY issued_at, id"""  # noqa: S608 - our own


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A license, those that it replaced one after the other, and those that replaced it.

    Attributes:
        first_id, last_id: the two ends.
        replacements: how often a license replaced another.
    """

    first_id: str
    last_id: str
    replacements: int


class Chains:
    """The chains of replacements of a snapshot.

    Where several licenses were joined into one, it continues the chain of the one that was issued
    first; the chains of the others end there.
    """

    def __init__(self, db: Reading) -> None:
        """Read which license replaced which other."""
        self._next: dict[str, str] = {}
        self._before: dict[str, str] = {}
        for old, new in db.each(lambda row: tuple(map(text, row.values())), _REPLACED):
            if self._before.setdefault(new, old) == old:
                self._next[old] = new

    def of(self, license_id: str) -> Chain:
        """Return the chain of a license. If edited rows form a circle, it ends there."""
        back = _walk(license_id, self._before)
        on = _walk(license_id, self._next)
        return Chain(first_id=back[-1], last_id=on[-1], replacements=len(back) + len(on) - 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiry:
    """One current license's end, and whose it is."""

    expires_at: datetime
    customer_id: int
    customer: str


def expiries(db: Reading, after: datetime, until: datetime) -> Iterator[Expiry]:
    """Stream the ends of current licenses, the first first; archived customers are left out.

    Args:
        after, until: aware instants; one that ends at `until` counts, one at `after` does not.
    """
    return db.each(_expiry, _ENDS, (whole_seconds(after), whole_seconds(until)))


def _expiry(row: Fields) -> Expiry:
    return Expiry(
        expires_at=seconds(row["expires_at"]),
        customer_id=as_int(row["customer_id"]),
        customer=text(row["name"]),
    )


def _walk(start: str, steps: Mapping[str, str]) -> list[str]:
    walked = {start: None}  # a dict keeps its order
    while (step := steps.get(start)) is not None and step not in walked:
        walked[step] = None
        start = step
    return list(walked)


SHORT: Final = 8
"""How much of a license's id people type, where that names only one."""

_Row = TypeVar("_Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class SlugRow:
    """A customer's slug, and whose it is."""

    slug: str
    name: str
    archived: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRow:
    """A machine's label, and the name that it has in its network."""

    label: str
    hostname: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class IdRow:
    """A license; `short` is the beginning of its id that names no other one."""

    id: str
    short: str
    customer: str
    machine: str | None
    expires_at: datetime
    status: LicenseStatus


def slugs(db: Reading, prefix: str, most: int) -> tuple[SlugRow, ...]:
    """Customers whose slug begins so, in its order."""
    sql = "SELECT slug, name, archived_at FROM customers WHERE slug >= ? AND slug < ?"
    return _some(db, _slug, sql, beginning(prefix), by="slug", most=most)


def labels(db: Reading, customer: Customer, prefix: str, most: int) -> tuple[LabelRow, ...]:
    """A customer's machines whose label begins so, in its order."""
    sql = "SELECT label, hostname FROM machines WHERE customer_id = ? AND label >= ? AND label < ?"
    params = (customer.id, *beginning(prefix))
    return _some(db, _label, sql, params, by="label", most=most)


def ids(
    db: Reading, prefix: str, most: int, *, customer: Customer | None, current: bool
) -> tuple[IdRow, ...]:
    """Licenses whose id begins so, in its order.

    Args:
        customer: theirs only.
        current: only those that may be renewed.
    """
    sql = f"{_IDS} WHERE id >= ? AND id < ?"
    params: Params = beginning(prefix)
    if customer is not None:
        sql, params = f"{sql} AND customer_id = ?", (*params, customer.id)
    if current:
        sql = f"{sql} AND {STATUS[LicenseStatus.CURRENT]}"
    return _some(db, _id, sql, params, by="id", most=most)


_IDS: Final = f"""SELECT id, (SELECT slug FROM customers WHERE customers.id = customer_id) AS slug,
    (SELECT label FROM machines WHERE machines.id = machine_id) AS label, expires_at,
    replaced_by, retired_at,
    (SELECT count(*) FROM (SELECT 1 FROM licenses AS other
        WHERE other.id >= substr(licenses.id, 1, {SHORT})
        AND other.id < substr(licenses.id, 1, {SHORT}) || char(1114111) LIMIT 2)) AS alike
    FROM licenses"""  # noqa: S608  # a number of our own


def _some(
    db: Reading, build: Callable[[Fields], _Row], sql: str, params: Params, *, by: str, most: int
) -> tuple[_Row, ...]:
    first = tuple(db.each(build, f"{sql} ORDER BY {by} LIMIT ?", (*params, most)))
    if len(first) < most:
        return first
    last = tuple(db.each(build, f"{sql} ORDER BY {by} DESC LIMIT 1", params))
    return (*first[:-1], *last)


def _slug(row: Fields) -> SlugRow:
    archived = row["archived_at"] is not None
    return SlugRow(slug=text(row["slug"]), name=text(row["name"]), archived=archived)


def _label(row: Fields) -> LabelRow:
    return LabelRow(label=text(row["label"]), hostname=maybe_text(row["hostname"]))


def _id(row: Fields) -> IdRow:
    license_id = text(row["id"])
    return IdRow(
        id=license_id,
        short=license_id[:SHORT] if as_int(row["alike"]) == 1 else license_id,
        customer=text(row["slug"]),
        machine=maybe_text(row["label"]),
        expires_at=seconds(row["expires_at"]),
        status=LicenseStatus.of(
            replaced=row["replaced_by"] is not None, retired=row["retired_at"] is not None
        ),
    )
