"""The journal: an append-only log of all changes, whose rows form a hash chain."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from polygent_issuer.registry.engine import Params, marks, where_clause
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    Customer,
    Fields,
    LicenseRecord,
    as_bytes,
    as_int,
    json_object,
    maybe_text,
    members,
    moment,
    moment_text,
    text,
)
from polygent_issuer.registry.row_check import chain_hash

# The events that only record a copy, not a change.
BACKED_UP: Final = "registry-backed-up"
HEAD_NOTED: Final = "head-noted"
# Without parameters, exactly as in the index: SQLite cannot choose a partial index by a parameter.
_OF_COPY: Final = f"event IN ('{BACKED_UP}', '{HEAD_NOTED}')"
_SELECT: Final = "SELECT seq, bytes, previous, hash FROM journal"
_WITH_USER: Final = "SELECT seq, bytes, previous, hash, server_user FROM journal"


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalRow:
    """A row of the journal; `previous` and `hash` are SHA-256 in hex, `body` is the whole row.

    A database server writes its user into `server_user`, which is not in the hash.
    """

    seq: int
    at: datetime
    event: str
    operator: str
    customer: str | None
    license: str | None
    kid: str | None
    accepted: tuple[str, ...]
    reason: str | None
    details: Mapping[str, Any]
    body: Mapping[str, Any]
    previous: str
    hash: str
    server_user: str | None = None


def rows(
    db: Reading,
    *,
    customer: Customer | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int = 0,
    events: Sequence[str] = (),
) -> Iterator[JournalRow]:
    """Stream the journal rows, oldest first.

    Args:
        customer: only rows about this customer, by slug or by a present alias.
        since, until: aware instants; rows from `since` on and before `until`.
        after: only rows with a higher number.
        events: only rows with one of these events, if any are given.
    """
    conditions: list[tuple[str, Params]] = []
    if customer is not None:
        slugs = (customer.slug, *customer.aliases)
        conditions.append((f"customer IN ({marks(slugs)})", slugs))
    if since is not None:
        conditions.append(("at >= ?", (moment_text(since),)))
    if until is not None:
        conditions.append(("at < ?", (moment_text(until),)))
    if after:
        conditions.append(("seq > ?", (after,)))
    if events:
        conditions.append((f"event IN ({marks(events)})", tuple(events)))
    clause, params = where_clause(conditions)
    return db.each(_journal_row, f"{_WITH_USER} {clause}ORDER BY seq", params)


def containing(db: Reading, text: str) -> Iterator[JournalRow]:
    """Stream the rows whose bytes contain a text in ASCII, oldest first; only they are parsed."""
    wanted = text.encode("ascii")

    def build(row: Fields) -> JournalRow | None:
        return _journal_row(row) if wanted in as_bytes(row["bytes"]) else None

    return filter(None, db.each(build, f"{_SELECT} ORDER BY seq"))


def head(db: Reading) -> tuple[int, str]:
    """Return the number of rows, and the hash of the last one in hex."""
    size, newest = db.head()
    return size, newest.hex()


def newest_copy(db: Reading, event: str) -> JournalRow | None:
    """Return the last row with an event of a copy, or None."""
    sql = f"{_SELECT} WHERE {_OF_COPY} AND event = ? ORDER BY seq DESC LIMIT 1"
    return db.one(_journal_row, sql, (event,))


def issue_of(db: Reading, record: LicenseRecord) -> JournalRow | None:
    """Return the first row about a license: its issue or its import."""
    owner = "SELECT slug FROM customers WHERE id = ?"
    was = "SELECT slug FROM aliases WHERE customer_id = ?"
    where = f"WHERE customer IN ({owner} UNION {was}) AND license = ? ORDER BY seq LIMIT 1"
    customer_id = record.customer_id
    return db.one(_journal_row, f"{_SELECT} {where}", (customer_id, customer_id, record.id))


def customer_status_changes(db: Reading, customer: Customer) -> int:
    """Count how often a customer was archived, unarchived or merged; this never decreases."""
    slugs = (customer.slug, *customer.aliases)
    sql = f"""SELECT count(*) FROM journal WHERE customer IN ({marks(slugs)})
        AND event IN ('customer-archived', 'customer-unarchived', 'customer-merged')"""  # noqa: S608
    return db.value(as_int, sql, slugs) or 0


def intact_issue(db: Reading, license_id: str, *, customer: str) -> JournalRow | None:
    """Return the journal row of a license's issue; None if it is missing or was edited.

    Args:
        customer: the slug in the signed license, which an edit of the registry cannot change.
    """
    where = "WHERE customer = ? AND license = ? ORDER BY seq LIMIT 1"
    issue = db.one(_journal_row, f"{_WITH_USER} {where}", (customer, license_id))
    if issue is None:
        return None
    sql = "SELECT previous, bytes, hash FROM journal WHERE seq IN (?, ? + 1) ORDER BY seq"
    links = db.each(lambda row: tuple(map(as_bytes, row.values())), sql, (issue.seq, issue.seq))
    (previous, body, stored), *following = links
    follows = all(link[0] == stored for link in following)
    return issue if follows and chain_hash(previous, body) == stored else None


def copies_since(db: Reading, seq: int) -> int:
    """Count the rows after a row that only record a copy."""
    sql = f"SELECT count(*) FROM journal WHERE {_OF_COPY} AND seq > ?"  # noqa: S608  # our own
    return db.value(as_int, sql, (seq,)) or 0


def acts_since(db: Reading, seq: int) -> int:
    """Count the rows after a row that record more than a copy; rows are numbered without gaps."""
    size, _ = head(db)
    return size - seq - copies_since(db, seq)


def _journal_row(row: Fields) -> JournalRow:
    body = json_object(as_bytes(row["bytes"]))
    return JournalRow(
        seq=as_int(row["seq"]),
        at=moment(body["at"]),
        event=text(body["event"]),
        operator=text(body["operator"]),
        customer=maybe_text(body["customer"]),
        license=maybe_text(body["license"]),
        kid=maybe_text(body["kid"]),
        accepted=tuple(text(code) for code in body["accepted"]),
        reason=maybe_text(body["reason"]),
        details=members(body["particulars"]),
        body=body,
        previous=as_bytes(row["previous"]).hex(),
        hash=as_bytes(row["hash"]).hex(),
        server_user=maybe_text(row.get("server_user")),
    )
