"""Registries for tests: real files, or databases, with some content."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.registry import (
    REGISTRY_FILE,
    Actor,
    Customer,
    LicenseRecord,
    Machine,
    Registry,
    Writing,
    customers,
    keys,
    licenses,
    machines,
)
from polygent_issuer.verifier.keys import Key
from support.lic_files import license_id

if TYPE_CHECKING:
    from support.databases import Databases

NOW = datetime(2026, 3, 1, 9, 30, 0, 123456, tzinfo=UTC)
YEAR = timedelta(days=365)
ACTOR = Actor(operator="Ada", os_user="ada", uid=1000, host="desk")
REGISTRY_ID = "5f0c6f0e-7b8d-4b7e-9a37-0d0c3f1d2b11"


def new_registry(
    folder: Path,
    *,
    now: datetime = NOW,
    actor: Actor = ACTOR,
    registry_id: str = REGISTRY_ID,
    databases: "Databases | None" = None,
) -> Registry:
    """Create an empty registry in a folder, or in a database; the caller closes it."""
    path = folder / REGISTRY_FILE
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(_empty(now, actor, registry_id))
    if databases is None:
        return Registry.open(path)
    place = databases.take(path)
    path.unlink()
    return Registry.open(place)


@cache
def _empty(now: datetime, actor: Actor, registry_id: str) -> bytes:
    """Return the bytes of an empty registry: a copy is four times as fast as all migrations."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / REGISTRY_FILE
        Registry.create(path, now=now, actor=actor, registry_id=registry_id).close()
        return path.read_bytes()


@contextmanager
def writing(registry: Registry, *, now: datetime = NOW) -> Iterator[Writing]:
    """Open a write transaction, and record it as `test` at the end."""
    with registry.writing(now=now, actor=ACTOR) as db:
        yield db
        db.record("test")


def new_key(number: int | None = None) -> Key:
    """Return the public key of a new pair, or always the same one for a number."""
    curve = ec.SECP256R1()
    pair = ec.derive_private_key(number, curve) if number else ec.generate_private_key(curve)
    return Key.from_public_key(pair.public_key())


def add_machine(db: Writing, customer: Customer, label: str, fingerprint: str) -> Machine:
    """Add a machine with its document."""
    document = machines.add_document(
        db, f'{{"fingerprint":"{fingerprint}"}}'.encode(), fingerprint, NOW
    )
    return machines.add(
        db,
        customer,
        label=label,
        fingerprint=fingerprint,
        hostname=label,
        components={"board": "b1", "machineId": "m1"},
        document_id=document.id,
    )


def add_license(
    db: Writing,
    number: int,
    customer: Customer,
    kid: str,
    *,
    machine: Machine | None = None,
    expires_at: datetime = NOW + YEAR,
) -> LicenseRecord:
    """Add a license with unique bytes, which are not a real `.lic`."""
    licenses.add(
        db,
        license_id=license_id(number),
        customer_id=customer.id,
        machine_id=machine.id if machine else None,
        kid=kid,
        file=f"license.{number}.signature\n".encode(),
        tier="standard" if machine else "enterprise",
        issued_at=NOW,
        expires_at=expires_at,
        term="1y",
        plan="standard-annual",
        document_id=machine.document_id if machine else None,
    )
    return licenses.get(db, license_id(number))


def fill(registry: Registry) -> LicenseRecord:
    """Add two customers, a key, a changed machine, and a replaced and a current license.

    The rows are the same in each registry, byte for byte.
    """
    with writing(registry) as db:
        kid = keys.add(db, key=new_key(7), label="main").kid
        customers.add(db, slug="globex", name="Globex")
        acme = customers.add(db, slug="acme", name="Acme", contacts=("ops@acme.example",))
        machine = add_machine(db, acme, "prod", "a" * 64)
        machine = machines.change_identity(
            db, machine, fingerprint="b" * 64, hostname="prod", components={}, document_id=None
        )
        old = add_license(db, 1, acme, kid, machine=machine)
    with writing(registry) as db:
        new = add_license(db, 2, acme, kid, machine=machine, expires_at=NOW + 2 * YEAR)
        licenses.replace(db, old.id, new.id)
    return new


class Tampering(Protocol):
    """A connection that can change any row."""

    def execute(self, sql: str, params: Sequence[Any] = (), /) -> Any:
        """Execute a statement that both engines take."""


class _InDatabase:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, params: Sequence[Any] = (), /) -> Any:
        if sql == "PRAGMA foreign_keys = OFF":
            return None  # they are not checked
        sql = re.sub("x('[0-9a-f]*')", r"decode(\1, 'hex')", sql.replace("AS BLOB", "AS bytea"))
        if params:
            sql = sql.replace("%", "%%").replace("?", "%s")
        return self._connection.execute(sql.encode(), params or None)


@contextmanager
def tampering(place: Path | str) -> Iterator[Tampering]:
    """Open a connection to a registry without the triggers; they are restored afterwards."""
    if isinstance(place, str):
        options = "-c session_replication_role=replica -c search_path=polygent"
        with psycopg.connect(place, options=options) as connection:
            yield _InDatabase(connection)
        return
    with closing(sqlite3.connect(place)) as raw:
        sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        triggers = raw.execute(sql).fetchall()
        raw.execute("BEGIN")  # one transaction takes a third of the time of one for each trigger
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        raw.commit()
        yield raw
        raw.commit()
        raw.execute("BEGIN")
        for _, statement in triggers:
            raw.execute(statement)
        raw.commit()


def older_tables(version: int) -> str:
    """Return a script that converts the tables to an earlier version: 1 to 6."""
    script = ""  # version 7 changes only the tables in a database
    if version <= 5:
        script += """ALTER TABLE journal DROP COLUMN server_user;
            ALTER TABLE outbox DROP COLUMN home; DROP TABLE team_settings;"""
    if version <= 4:
        script += "DROP TABLE seals;"
    if version <= 3:
        script += """DROP TABLE customer_names; DROP TABLE backup_settings;
            DROP INDEX licenses_by_order;
            ALTER TABLE licenses DROP COLUMN note; ALTER TABLE licenses DROP COLUMN order_id;
            ALTER TABLE customers DROP COLUMN held_reason;
            ALTER TABLE customers DROP COLUMN held_until;
            ALTER TABLE customers DROP COLUMN held_at; ALTER TABLE customers DROP COLUMN notes;"""
    if version <= 2:
        script += "DROP TABLE row_journal; DROP INDEX journal_about_keys;"
    if version == 1:
        script += "DROP INDEX journal_of_copies;"
    return f"{script} PRAGMA user_version = {version};"


def ruin_table(path: Path, table: str) -> None:
    """Overwrite the root page of a table: the file opens, but its rows cannot be read."""
    with closing(sqlite3.connect(path)) as raw:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        ((page,),) = raw.execute(sql, (table,)).fetchall()
        ((size,),) = raw.execute("PRAGMA page_size").fetchall()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(data)
