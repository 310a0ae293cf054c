"""A customer's machines: label, current identity, earlier identities, documents."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from polygent_issuer.registry import customers
from polygent_issuer.registry.customers import require_text
from polygent_issuer.registry.engine import Params
from polygent_issuer.registry.errors import Taken, not_found
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    Customer,
    Document,
    Fields,
    Identity,
    KnownFingerprint,
    Machine,
    Value,
    as_int,
    canonical,
    maybe_moment,
    maybe_text,
    moment,
    moment_text,
    reader,
)
from polygent_issuer.registry.writing import Writing
from polygent_issuer.text import Hint, escape, nearest, nfc, numbered, option, run

SELECT: Final = """SELECT id, customer_id, label, fingerprint, hostname, components, since,
    document_id FROM machines"""
_DOCUMENTS: Final = """SELECT id, sha256, content, fingerprint, generated_at, received_at
    FROM documents"""
_NAMELESS: Final = "machine"
_LABEL_LENGTH: Final = 200
of_row: Final = reader(Machine)
_identity: Final = reader(Identity)
_document: Final = reader(Document)


def select(db: Reading, rest: str, params: Params) -> Iterator[Machine]:
    """Stream machines, checked against the journal; `rest` is trusted SQL after `FROM machines`."""
    for machine in db.each(of_row, f"{SELECT} {rest}", params):
        db.require_recorded("machines", machine.id)
        yield machine


def by_id(db: Reading, machine_id: int) -> Machine:
    """Return the machine of a row id of another row."""
    row = db.require_present(db.recorded("machines", machine_id), f"machine {machine_id}")
    return db.build(of_row, "machines", row)


def with_fingerprint(db: Reading, fingerprint: str) -> tuple[KnownFingerprint, ...]:
    """Return the machines with a canonical fingerprint, then those that had it, latest first."""
    sql = """SELECT m.id, i.since, i.until, i.hostname, d.sha256 FROM (
            SELECT id AS machine_id, since, NULL AS until, hostname, document_id
                FROM machines WHERE fingerprint = ?
            UNION ALL SELECT machine_id, since, until, hostname, document_id
                FROM machine_identities WHERE fingerprint = ?
        ) AS i JOIN machines AS m ON m.id = i.machine_id
        LEFT JOIN documents AS d ON d.id = i.document_id
        ORDER BY i.until IS NOT NULL, i.until DESC, i.since DESC, m.id"""

    def known(row: Fields) -> KnownFingerprint:
        machine = by_id(db, as_int(row["id"]))
        db.require_every_recorded("machine_identities", machine.customer_id)
        return KnownFingerprint(
            customer=customers.by_id(db, machine.customer_id),
            machine=machine,
            since=moment(row["since"]),
            until=maybe_moment(row["until"]),
            hostname=maybe_text(row["hostname"]),
            document_sha256=maybe_text(row["sha256"]),
        )

    return tuple(db.each(known, sql, (fingerprint, fingerprint)))


def with_hostname(db: Reading, hostname: str) -> tuple[tuple[Customer, Machine], ...]:
    """Return the machines with a host name at present, regardless of case, by row."""
    where = "WHERE lower(hostname) = lower(?) ORDER BY id"
    return tuple(
        (customers.by_id(db, machine.customer_id), machine)
        for machine in select(db, where, (hostname,))
    )


def history(db: Reading, machine: Machine) -> tuple[Identity, ...]:
    """Return the current identity of a machine, then the earlier ones, latest first."""
    db.require_every_recorded("machine_identities", machine.customer_id)
    present = Identity(
        fingerprint=machine.fingerprint,
        hostname=machine.hostname,
        components=machine.components,
        since=machine.since,
        until=None,
        document_id=machine.document_id,
    )
    sql = """SELECT fingerprint, hostname, components, since, until, document_id
        FROM machine_identities WHERE machine_id = ? ORDER BY until DESC, id DESC"""
    return (present, *db.each(_identity, sql, (machine.id,)))


def remember(db: Writing, machine: Machine, *, machine_id: int) -> None:
    """Add the current identity of a machine to the history of a machine: its own, or another."""
    db.insert(
        "machine_identities",
        machine_id=machine_id,
        fingerprint=machine.fingerprint,
        hostname=machine.hostname,
        components=canonical(machine.components),
        since=moment_text(machine.since),
        until=db.at,
        document_id=machine.document_id,
    )


def of(db: Reading, customer: Customer) -> tuple[Machine, ...]:
    """Return the customer's machines by label, checked against the journal."""
    db.require_every_recorded("machines", customer.id)
    return tuple(select(db, "WHERE customer_id = ? ORDER BY label", (customer.id,)))


def by_label(db: Reading, customer: Customer, label: str) -> Machine:
    """Return the customer's machine with a label; `not_found` suggests a similar label."""
    where = "WHERE customer_id = ? AND label = ?"
    machine = next(select(db, where, (customer.id, nfc(label))), None)
    if machine is None:
        suggestion = nearest(label, [other.label for other in of(db, customer)])
        message = f"{customer.name} has no machine {escape(label)}"
        raise not_found(message, suggestion, run("customer", "show", customer.slug))
    return machine


def free_label(db: Reading, customer: Customer | None, hostname: str | None) -> str:
    """Return an unused label for a machine of a customer: the hostname, with a number if needed.

    Args:
        customer: None for a customer who is not in the registry yet.
        hostname: from the document; not used unless it is a display name (FORMAT §1).
    """
    from polygent_issuer.verifier.license import display_name_problem  # noqa: PLC0415  # 30 ms

    base = _NAMELESS
    if hostname is not None and display_name_problem(hostname) is None:
        base = nfc(hostname)
    return numbered_label(base, {machine.label for machine in of(db, customer)} if customer else ())


def numbered_label(label: str, taken: Collection[str]) -> str:
    """Return the label, or the first one with a number that is not taken."""
    return numbered(label, taken, _LABEL_LENGTH)


def add(db: Writing, customer: Customer, *, label: str, **identity: Any) -> Machine:  # noqa: ANN401
    """Add a machine to a customer.

    Args:
        label: a display name (else `input_refused`), unique for the customer (else `taken`).
        identity: `fingerprint` in canonical form (FORMAT §4), unique for the customer as well;
            `hostname`, `components` and `document_id` of its document, if there is one.
    """
    label, columns = nfc(label), _columns(db, **identity)
    _require_free(db, customer.id, label=label, fingerprint=identity["fingerprint"])
    key = db.insert("machines", customer_id=customer.id, label=label, **columns)
    return by_id(db, as_int(key))


def change_identity(db: Writing, machine: Machine, **identity: Any) -> Machine:  # noqa: ANN401
    """Give a machine a new identity, and add the old one to its history; arguments as `add`."""
    present, columns = by_id(db, machine.id), _columns(db, **identity)
    fingerprint = identity["fingerprint"]
    _require_free(db, machine.customer_id, fingerprint=fingerprint, besides=machine.id)
    remember(db, present, machine_id=present.id)
    db.update("machines", machine.id, **columns)
    return by_id(db, machine.id)


def _columns(
    db: Writing,
    *,
    fingerprint: str,
    hostname: str | None,
    components: Mapping[str, str],
    document_id: int | None,
) -> dict[str, Value]:
    return {
        "fingerprint": fingerprint,
        "hostname": hostname,
        "components": canonical(components),
        "since": db.at,
        "document_id": document_id,
    }


def rename(db: Writing, machine: Machine, label: str) -> Machine:
    """Give a machine another label; errors as `add`."""
    label = nfc(label)
    _require_free(db, machine.customer_id, label=label, besides=machine.id)
    db.update("machines", machine.id, label=label)
    return by_id(db, machine.id)


def _require_free(
    db: Reading,
    customer_id: int,
    *,
    label: str | None = None,
    fingerprint: str | None = None,
    besides: int = 0,
) -> None:
    require_text("label", label, hint="choose another label")
    where = "WHERE customer_id = ? AND (label = ? OR fingerprint = ?) AND id <> ?"
    other = next(select(db, where, (customer_id, label, fingerprint, besides)), None)
    if other is None:
        return
    what = "label" if other.label == label else "fingerprint"
    raise Taken(
        f"the customer's machine {other.label} already has this {what}",
        hint=Hint("select that machine: ", option("--machine", other.label)),
    )


def add_document(db: Writing, content: bytes, fingerprint: str, generated_at: datetime) -> Document:
    """Store a document; the same bytes are stored once, with the instant of their first receipt."""
    digest = sha256(content).hexdigest()
    known = db.one(_document, f"{_DOCUMENTS} WHERE sha256 = ?", (digest,))
    if known is not None:
        db.require_recorded("documents", known.id)
        return known
    key = db.insert(
        "documents",
        sha256=digest,
        content=content,
        fingerprint=fingerprint,
        generated_at=moment_text(generated_at),
        received_at=db.at,
    )
    return get_document(db, as_int(key))


def get_document(db: Reading, document_id: int) -> Document:
    """Return the document of a row id of another row."""
    document = db.one(_document, f"{_DOCUMENTS} WHERE id = ?", (document_id,))
    document = db.require_present(document, f"document {document_id}")
    db.require_recorded("documents", document_id)
    return document
