"""A changed schema, and triggers that drop rows: nothing is written."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.lic_files import license_id
from support.registries import ACTOR, NOW, add_license, fill, older_tables, writing

from polygent_issuer.errors import HomeProblem
from polygent_issuer.registry import (
    Registry,
    Writing,
    change,
    customers,
    journal,
    journal_check,
    keys,
    schema,
)
from polygent_issuer.registry.errors import RegistryDamaged

IGNORE = "BEGIN SELECT RAISE(IGNORE); END"


def schema_edit(sql: str, first: str = "") -> str:
    """Return a script that edits the stored schema directly, after another statement."""
    return f"{first}; PRAGMA writable_schema = ON; {sql}; PRAGMA writable_schema = RESET"


def edit(path: Path, script: str) -> None:
    """Run a script in the file, like another program."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)


def add_customer(registry: Registry) -> None:
    """Run a command that writes."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        customers.add(db, slug="initech", name="Initech")
        db.record("customer-added", customer="initech")


def size(registry: Registry) -> tuple[int, int]:
    """Return the numbers of journal rows and customers."""
    with registry.reading() as db:
        return journal.head(db)[0], len(list(customers.every(db)))


@pytest.mark.parametrize(
    ("script", "named"),
    [
        *(
            (f"CREATE TRIGGER evil BEFORE INSERT ON {table} {IGNORE}", "evil")
            for table in ("journal", *schema.KEYS)
        ),
        ("CREATE TRIGGER evil AFTER UPDATE ON keys BEGIN DELETE FROM outbox; END", "evil"),
        ("CREATE TRIGGER evil BEFORE DELETE ON outbox BEGIN SELECT 1; END", "evil"),
        ("CREATE VIEW evil AS SELECT * FROM licenses", "evil"),
        ("CREATE TABLE evil (x)", "evil"),
        ("CREATE TABLE evil (x INTEGER PRIMARY KEY AUTOINCREMENT)", "evil"),
        ("CREATE INDEX evil ON customers (upper(name))", "evil"),
        ("ALTER TABLE customers ADD COLUMN evil TEXT AS (upper(name))", "customers"),
        ("DROP TRIGGER journal_rows_stay", "journal_rows_stay is missing"),
        ("DROP INDEX keys_one_active", "keys_one_active is missing"),
        (
            schema_edit(
                "UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'keys'"
            ),
            "keys",
        ),
        (
            schema_edit(
                """INSERT INTO sqlite_schema VALUES ('trigger', 'sqlite_stat1', 'licenses', 0,
                'CREATE TRIGGER sqlite_stat1 AFTER INSERT ON licenses BEGIN SELECT 1; END')""",
                "ANALYZE",
            ),
            "sqlite_stat1",
        ),
        (
            schema_edit(
                """UPDATE sqlite_schema SET name = 'sqlite_stat1', tbl_name = 'sqlite_stat1',
                sql = 'CREATE TABLE sqlite_stat1(tbl, idx, stat DEFAULT (random()))'
                WHERE name = 'fake'""",
                "CREATE TABLE fake (tbl, idx, stat DEFAULT (random()))",
            ),
            "sqlite_stat1",
        ),
    ],
)
def test_nothing_is_written_with_a_changed_schema(
    path: Path, registry: Registry, script: str, named: str
) -> None:
    """The error names the change, and the hint the next command."""
    fill(registry)
    before = size(registry)
    edit(path, script)
    with pytest.raises(RegistryDamaged) as caught:
        add_customer(registry)
    assert named in caught.value.message
    assert "nothing was written to it" in caught.value.message
    assert "journal verify" in (caught.value.hint or "")
    assert "registry restore" in (caught.value.hint or "")
    assert size(registry) == before


def test_three_of_many_changes_are_named(path: Path, registry: Registry) -> None:
    """Three changes are named, escaped, and the others counted."""
    edit(path, "".join(f'CREATE TABLE "t{number}\x1b" (x);' for number in range(5)))
    with pytest.raises(RegistryDamaged, match="; and 2 more; nothing") as caught:
        add_customer(registry)
    assert caught.value.message.count("is not a table") == 3
    assert "\x1b" not in caught.value.message


def test_statistics_are_not_a_change(path: Path, registry: Registry) -> None:
    """The tables of ANALYZE are accepted."""
    fill(registry)
    edit(path, "ANALYZE")
    add_customer(registry)
    assert size(registry)[1] == 3


def test_a_registry_that_became_newer_is_refused(path: Path, registry: Registry) -> None:
    """Another process may have migrated it in between."""
    edit(path, "PRAGMA user_version = 9; CREATE TABLE later (x)")
    with pytest.raises(HomeProblem, match="newer polygent-issue"):
        add_customer(registry)


def test_a_changed_schema_is_not_migrated(path: Path, registry: Registry) -> None:
    """An older registry is compared with the schema of its own version first."""
    registry.close()
    older = older_tables(1)
    edit(path, f"{older}; CREATE TABLE evil (x)")
    with pytest.raises(RegistryDamaged, match="evil is not a table") as caught:
        Registry.open(path)
    assert "polygent-issue doctor shows the changes" in (caught.value.hint or "")
    edit(path, "DROP TABLE evil")
    with Registry.open(path) as opened:
        assert opened.is_up_to_date


def edit_key(db: Writing) -> None:
    """Change a row of `keys`."""
    keys.note_backup(db, keys.find(db, "main").kid)


def note_license(db: Writing) -> None:
    """Insert a row into `licenses` and `outbox`."""
    acme, key = customers.get(db, "acme"), keys.find(db, "main")
    add_license(db, 7, acme, key.kid)
    change.add_pending(db, license_id(7), folder="/out", name="a.lic")


def clear_outbox(db: Writing) -> None:
    """Delete a row of `outbox`."""
    change.clear_pending(db, license_id(2))


def delete_about(db: Writing) -> None:
    """Delete a recorded row."""
    db.delete("about", "colour")


@pytest.mark.sqlite("its triggers")
@pytest.mark.parametrize(
    ("table", "trigger", "write"),
    [
        ("journal", f"BEFORE INSERT ON main.journal {IGNORE}", edit_key),
        (
            "journal",
            """AFTER INSERT ON main.journal WHEN NEW.event = 'test' BEGIN
            INSERT INTO journal (seq, previous, bytes, hash)
            VALUES (NEW.seq + 1, NEW.hash, x'00', zeroblob(32)); END""",
            edit_key,
        ),
        ("licenses", f"BEFORE INSERT ON main.licenses {IGNORE}", note_license),
        (
            "licenses",
            """AFTER INSERT ON main.licenses
            BEGIN UPDATE licenses SET term = '99y' WHERE id = NEW.id; END""",
            note_license,
        ),
        ("outbox", f"BEFORE INSERT ON main.outbox {IGNORE}", note_license),
        (
            "outbox",
            "AFTER INSERT ON main.outbox BEGIN DELETE FROM outbox; END",
            note_license,
        ),
        ("outbox", f"BEFORE DELETE ON main.outbox {IGNORE}", clear_outbox),
        ("keys", f"BEFORE UPDATE ON main.keys {IGNORE}", edit_key),
        (
            "keys",
            """AFTER UPDATE OF backed_up_at ON main.keys WHEN NEW.backed_up_at IS NOT NULL
            BEGIN UPDATE keys SET backed_up_at = NULL; END""",
            edit_key,
        ),
        ("about", f"BEFORE DELETE ON main.about {IGNORE}", delete_about),
    ],
)
def test_a_dropped_write_is_not_committed(
    registry: Registry, table: str, trigger: str, write: object
) -> None:
    """Rows are read back before the COMMIT, so a hidden trigger cannot drop them."""
    assert callable(write)
    fill(registry)
    with writing(registry) as db:
        db.insert("about", name="colour", value="blue")
        change.add_pending(db, license_id(2), folder=None, name=None)
    before = size(registry)
    registry.connection.run(f"CREATE TEMP TRIGGER evil {trigger}").close()

    def run() -> None:
        with writing(registry) as db:
            write(db)

    with pytest.raises(RegistryDamaged, match=f"a row of {table} is missing or different"):
        run()
    registry.connection.run("DROP TRIGGER temp.evil").close()
    assert size(registry) == before
    with registry.reading() as read:
        assert journal_check.verify(read).problems == ()
        assert [row.license_id for row in change.pending(read)] == [license_id(2)]


def test_the_last_write_of_a_row_counts(registry: Registry) -> None:
    """A row may be inserted, changed and deleted in one transaction, in several parts."""
    with writing(registry) as db:
        with db.part():
            db.insert("about", name="colour", value="blue")
            db.record("one")
        db.update("about", "colour", value="red")
        db.delete("about", "colour")
        db.insert("about", name="colour", value="green")
    assert size(registry)[0] == 3
