"""What machines were: whose a fingerprint is or was, and what a machine was before."""

from datetime import datetime

from polygent_issuer.registry import customer_rows
from polygent_issuer.registry.columns import (
    Fields,
    canonical,
    mapping,
    maybe_moment,
    maybe_text,
    maybe_whole,
    moment,
    moment_text,
    text,
    whole,
)
from polygent_issuer.registry.machine_rows import by_id
from polygent_issuer.registry.records import Identity, KnownFingerprint, Machine
from polygent_issuer.registry.transactions import Reading, Writing


def with_fingerprint(db: Reading, fingerprint: str) -> tuple[KnownFingerprint, ...]:
    """Whose machine this is, then whose it was, the latest first; of any customer.

    Args:
        fingerprint: in canonical form (FORMAT §4).
    """
    sql = """SELECT m.id, i.since, i.until, i.hostname, d.sha256 FROM (
            SELECT id AS machine_id, since, NULL AS until, hostname, document_id
                FROM machines WHERE fingerprint = ?
            UNION ALL SELECT machine_id, since, until, hostname, document_id
                FROM machine_identities WHERE fingerprint = ?
        ) AS i JOIN machines AS m ON m.id = i.machine_id
        LEFT JOIN documents AS d ON d.id = i.document_id
        ORDER BY i.until IS NOT NULL, i.until DESC, i.since DESC, m.id"""
    rows = tuple(db.each(_known, sql, (fingerprint, fingerprint)))
    known: list[KnownFingerprint] = []
    for machine_id, since, until, hostname, sha256 in rows:
        machine = by_id(db, machine_id)
        known.append(
            KnownFingerprint(
                customer=customer_rows.by_id(db, machine.customer_id),
                machine=machine,
                since=since,
                until=until,
                hostname=hostname,
                document_sha256=sha256,
            )
        )
    return tuple(known)


def history(db: Reading, machine: Machine) -> tuple[Identity, ...]:
    """What the machine is, then what it was, the latest first."""
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
    """Put what a machine is until now into the history of a machine: its own, or another's."""
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


def _identity(row: Fields) -> Identity:
    return Identity(
        fingerprint=text(row["fingerprint"]),
        hostname=maybe_text(row["hostname"]),
        components=mapping(row["components"]),
        since=moment(row["since"]),
        until=maybe_moment(row["until"]),
        document_id=maybe_whole(row["document_id"]),
    )


def _known(row: Fields) -> tuple[int, datetime, datetime | None, str | None, str | None]:
    times = moment(row["since"]), maybe_moment(row["until"])
    return whole(row["id"]), *times, maybe_text(row["hostname"]), maybe_text(row["sha256"])
