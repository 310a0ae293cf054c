"""The schema: STRICT tables, foreign keys, and an append-only journal."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, fill, tampering, writing

from polygent_issuer.registry import Registry, customers, journal_check, keys, schema
from polygent_issuer.registry.errors import RegistryMisuse, Taken

pytestmark = pytest.mark.both


def tables(registry: Registry) -> dict[str, str]:
    """Return the SQL of each table."""
    with registry.reading() as db:
        rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
        return {str(name): str(sql) for name, sql in rows}


@pytest.mark.sqlite("its schema")
def test_every_table_is_strict(registry: Registry) -> None:
    """SQLite refuses values of the wrong type."""
    assert {name for name, sql in tables(registry).items() if not sql.endswith("STRICT")} == set()


@pytest.mark.sqlite("its schema")
def test_the_journal_records_every_other_table(registry: Registry) -> None:
    """A new table is recorded in the journal, or listed here with a reason."""
    assert set(tables(registry)) == {*schema.KEYS, "journal"}


@pytest.mark.sqlite("its schema")
def test_the_key_of_each_recorded_table_is_its_primary_key(registry: Registry) -> None:
    """A digest belongs to exactly one row."""
    with registry.reading() as db:
        for table, key in schema.JOURNALED.items():
            columns = db.execute(f"PRAGMA table_info({table})")
            assert [row[1] for row in columns if row[5]] == [key]


def test_foreign_keys_are_enforced(registry: Registry) -> None:
    """A license without a customer is refused."""
    with writing(registry) as db, pytest.raises(RegistryMisuse), db.part():
        db.execute("INSERT INTO machines VALUES (1, 99, 'x', 'f', NULL, '{}', 'now', NULL)")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE journal SET bytes = hash WHERE seq = 1",
        "UPDATE journal SET hash = previous",
        "DELETE FROM journal",
        "DELETE FROM journal WHERE seq = 2",
        """INSERT INTO journal (seq, previous, bytes, hash)
            SELECT seq + 2, hash, bytes, hash FROM journal ORDER BY seq DESC LIMIT 1""",
        """INSERT INTO journal (seq, previous, bytes, hash)
            SELECT 4, hash, bytes, hash FROM journal WHERE seq = 1""",
    ],
)
def test_the_journal_only_grows_at_its_end(registry: Registry, sql: str) -> None:
    """The database refuses edits, deletions and rows that do not follow the chain."""
    fill(registry)
    with writing(registry) as db, pytest.raises(RegistryMisuse, match="a constraint"), db.part():
        db.execute(sql)
    with registry.reading() as read:
        assert journal_check.verify(read).problems == ()


@pytest.mark.sqlite("its own SQL")
def test_its_own_statements_are_refused(registry: Registry) -> None:
    """The database refuses REPLACE in the journal, and a text for a number."""
    new = fill(registry)
    sql = """INSERT OR REPLACE INTO journal (seq, previous, bytes, hash)
        SELECT seq, previous, x'00', zeroblob(32) FROM journal WHERE seq = 2"""
    with writing(registry) as db, pytest.raises(RegistryMisuse), db.part():
        db.execute(sql)
    with writing(registry) as db, pytest.raises(RegistryMisuse), db.part():
        db.execute("UPDATE licenses SET expires_at = 'soon' WHERE id = ?", (new.id,))
    with registry.reading() as read:
        assert journal_check.verify(read).problems == ()


def test_only_one_key_is_active(registry: Registry) -> None:
    """The database refuses a second active key."""
    fill(registry)
    with writing(registry) as db:
        first = keys.active(db)
        assert first is not None
        with pytest.raises(Taken), db.part():
            db.insert(
                "keys",
                kid="other",
                label="other",
                public_pem=first.public_pem,
                created_at=db.at,
                active=1,
                compromised=0,
            )


def test_a_slug_is_never_an_alias_too(registry: Registry) -> None:
    """The database refuses a slug that is an alias, and the reverse."""
    fill(registry)
    with writing(registry) as db:
        acme = customers.get(db, "acme")
        db.insert("aliases", slug="old-acme", customer_id=acme.id, created_at=db.at)
        with pytest.raises(RegistryMisuse), db.part():
            db.insert("aliases", slug="globex", customer_id=acme.id, created_at=db.at)
        with pytest.raises(Taken):
            customers.add(db, slug="old-acme", name="New")
        empty = ", ".join(["''"] * (len(db.connection.columns("customers")) - 2))
        sql = f"INSERT INTO customers SELECT 9, 'old-acme', {empty}"
        with pytest.raises(RegistryMisuse), db.part():
            db.execute(sql)


@pytest.mark.parametrize(
    "change",
    [
        "replaced_by = id",
        "replaced_by = 'none'",
        "retired_at = '2026-01-01T00:00:00.000000Z'",
        "retired_reason = 'no date'",
        "expires_at = issued_at",
        "tier = 'gold'",
    ],
)
def test_a_license_is_consistent(registry: Registry, change: str) -> None:
    """The database refuses contradictory columns of a license."""
    new = fill(registry)
    with pytest.raises(RegistryMisuse), writing(registry) as db:
        db.execute(f"UPDATE licenses SET {change} WHERE id = ?", (new.id,))  # noqa: S608


@pytest.mark.sqlite("its query plan")
@pytest.mark.parametrize(
    ("where", "order", "index"),
    [
        (
            "replaced_by IS NULL AND retired_at IS NULL AND customer_id = 1",
            "",
            "current_by_customer",
        ),
        ("replaced_by IS NULL AND retired_at IS NULL AND expires_at < 9", "", "current_by_expiry"),
        ("kid = 'k'", "ORDER BY expires_at, id", "by_kid"),
        ("1", "ORDER BY expires_at, id", "by_expiry"),
        ("sent_at IS NULL", "ORDER BY expires_at, id", "unsent"),
    ],
)
def test_the_lists_have_their_index(registry: Registry, where: str, order: str, index: str) -> None:
    """A million licenses are listed with an index, without sorting."""
    with registry.reading() as db:
        plan = db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM licenses WHERE {where} {order}")  # noqa: S608
        steps = " / ".join(str(row[3]) for row in plan)
    assert f"licenses_{index}" in steps
    assert "TEMP B-TREE" not in steps


@pytest.mark.parametrize("word", ["plain", 'qu"ote', "back\\slash", "café 東京", '","os_user":'])
def test_the_generated_columns_are_read_from_the_bytes(registry: Registry, word: str) -> None:
    """Each has the member at the top level of the bytes."""
    nested = dict.fromkeys(("at", "customer", "event", "kid", "license", "operator"), "wrong")
    with registry.writing(now=NOW, actor=replace(ACTOR, operator=word, os_user=word)) as db:
        db.record(
            "license-signed",
            customer="acme",
            kid="a_-b",
            accepted=[word],
            reason=f'"event":"wrong",{word}',
            details={word: nested, **nested},
        )
        (row,) = db.execute(
            "SELECT at, event, operator, customer, license, kid FROM journal WHERE seq = 2"
        )
    operator = json.dumps(word, ensure_ascii=False)[1:-1]
    assert row == (
        "2026-03-01T09:30:00.123456Z",
        "license-signed",
        operator,
        "acme",
        None,
        "a_-b",
    )


def test_the_generated_columns_cannot_be_written(registry: Registry, path: Path) -> None:
    """Generated columns cannot differ from the bytes."""
    registry.close()
    with tampering(path) as raw, pytest.raises(sqlite3.OperationalError, match="generated"):
        raw.execute("UPDATE journal SET customer = 'globex'")
