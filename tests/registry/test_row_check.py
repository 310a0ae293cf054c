"""Rows that were edited: no decision and no export uses them."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from support.lic_files import license_id
from support.registries import ACTOR, NOW, YEAR, add_license, fill, new_key, tampering, writing

from polygent_issuer.registry import (
    Reading,
    Registry,
    Writing,
    customers,
    journal_check,
    keys,
    licenses,
    machines,
    merging,
    row_check,
)
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.row_check import recorded_rows

if TYPE_CHECKING:
    from polygent_issuer.registry.sqlite import SqliteConnection

OLD, NEW = license_id(1), license_id(2)
SPARE = new_key(8).kid


@pytest.fixture
def filled(registry: Registry, path: Path) -> Path:
    """A registry with rows in every table, and journal rows about a customer and keys."""
    fill(registry)
    with registry.writing(now=NOW, actor=ACTOR) as db:
        acme = customers.edit(db, customers.get(db, "acme"), name="Acme GmbH")
        db.insert("aliases", slug="acne", customer_id=acme.id, created_at=db.at)
        licenses.mark_sent(db, NEW)
        db.record("test", customer="acme", license=NEW)
        keys.add(db, key=new_key(8), label="spare")
        db.record("key-generated", kid=SPARE)
        keys.retire(db, "spare", compromised=True)
        db.record("key-compromised", kid=SPARE)
    return path


def change(path: Path, script: str) -> None:
    """Edit the registry like another program."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)


def damage(path: Path, table: str, setting: str) -> None:
    """Set a column of a table to a value that its type and its constraints forbid."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        [(sql,)] = raw.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,))
        loose = re.sub(r" (INTEGER|TEXT)(?! PRIMARY)|,? STRICT| NOT NULL", "", sql)
        for rules, edit in ((loose, f"UPDATE {table} SET {setting}"), (sql, "SELECT 1")):  # noqa: S608
            raw.executescript("PRAGMA ignore_check_constraints = ON; PRAGMA writable_schema = ON")
            raw.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (rules, table))
            raw.executescript(f"PRAGMA writable_schema = RESET; {edit}")


def current_of(slug: str) -> Callable[[Reading], object]:
    """Return a function that reads the current licenses of a customer."""
    return lambda db: licenses.current(db, customers.find(db, slug))


EDITED_TERM = f"UPDATE licenses SET term = '34mo' WHERE id = '{NEW}'"  # noqa: S608  # our own


def test_a_row_that_is_edited_between_decision_and_write_is_found(
    filled: Path, registry: Registry
) -> None:
    """A row that a decision compared is compared again once another connection has committed."""
    with registry.reading() as db:
        licenses.get(db, NEW)
    change(filled, EDITED_TERM)

    with pytest.raises(RegistryDamaged, match=NEW), writing(registry) as db:
        licenses.mark_sent(db, NEW)


def test_a_write_uses_what_its_decision_compared(filled: Path, registry: Registry) -> None:
    """Rows are not compared again, also if rows are read for display in between."""
    assert filled.is_file()
    with registry.reading() as db:
        licenses.get(db, NEW)
    assert registry.id
    with registry.reading(checked=False) as unchecked:
        licenses.get(unchecked, OLD)
    with writing(registry) as later:
        assert later.row_check is db.row_check
        assert later.row_check is not unchecked.row_check


def test_a_row_that_is_edited_between_two_writes_is_found(filled: Path, registry: Registry) -> None:
    """A row that one transaction wrote is compared again once another connection has committed."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        licenses.mark_sent(db, NEW, undo=True)
        db.record("test", customer="acme", license=NEW)
    change(filled, EDITED_TERM)

    with pytest.raises(RegistryDamaged, match=NEW), writing(registry) as db:
        licenses.mark_sent(db, NEW)


def test_a_row_that_was_read_ahead_is_compared_alone(filled: Path, registry: Registry) -> None:
    """An edited license that is read ahead with others is refused, and the others are not."""
    change(filled, EDITED_TERM)

    with registry.reading() as db:
        licenses.read_ahead(db, [OLD, NEW, license_id(99)])

        assert licenses.get(db, OLD).id == OLD
        with pytest.raises(RegistryDamaged, match=NEW):
            licenses.get(db, NEW)


def unreadable(path: Path, seq: int) -> None:
    """Edit a journal row so that the rows that it wrote cannot be read."""
    with tampering(path) as raw:
        sql = (
            "UPDATE journal SET bytes = CAST(replace(bytes, 'rows', 'rose') AS BLOB) WHERE seq = ?"
        )
        assert raw.execute(sql, (seq,)).rowcount == 1


def test_a_journal_row_that_cannot_be_read_fails_its_customer_alone(
    filled: Path, registry: Registry
) -> None:
    """Every row of the customer is refused, the first and the later ones; others are not."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        globex, kid = customers.get(db, "globex"), keys.pinned(db, SPARE).kid
        other = add_license(db, 3, globex, kid).id
        db.record("test", customer="globex", license=other)
        customers.edit(db, customers.get(db, "acme"), crm="C-1")
        db.record("test", customer="acme")
        seq, _ = db.head()
    unreadable(filled, seq)

    with registry.reading() as db:
        licenses.read_ahead(db, [OLD, NEW, other])

        assert licenses.get(db, other).id == other
        for license_id_ in (OLD, NEW, NEW):
            with pytest.raises(RegistryDamaged, match="journal row cannot be read"):
                licenses.get(db, license_id_)


def test_a_damaged_license_fails_alone(filled: Path, registry: Registry) -> None:
    """A license without a customer is refused, and the others and the keys are still compared."""
    schema = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, {})"
    checked, free = "'customer_id INTEGER NOT NULL'", "'customer_id INTEGER'"
    change(filled, schema.format(f"{checked}, {free}"))
    change(filled, f"UPDATE licenses SET customer_id = NULL WHERE id = '{NEW}'")  # noqa: S608
    change(filled, schema.format(f"{free}, {checked}"))
    change(filled, f"DELETE FROM keys WHERE kid = '{SPARE}'")  # noqa: S608

    with registry.reading() as db:
        licenses.read_ahead(db, [OLD, NEW])

        assert licenses.get(db, OLD).id == OLD
        with pytest.raises(RegistryDamaged, match=NEW):
            licenses.get(db, NEW)
        with pytest.raises(RegistryDamaged, match=SPARE):
            keys.every(db)


@pytest.mark.parametrize("value", ["{0} + 0.5", "CAST({0} AS REAL)", "1e300", "1e999"])
@pytest.mark.parametrize(
    ("place", "reader"),
    [("licenses.issued_at", "by id"), ("licenses.note", "by id"), ("keys.active", "key")],
)
def test_a_number_with_a_point_is_not_as_recorded(
    filled: Path, registry: Registry, place: str, reader: str, value: str
) -> None:
    """Only a damaged file has such a number, which is another one than any that was recorded."""
    table, column = place.split(".")
    damage(filled, table, f"{column} = {value.format(f'ifnull({column}, 0)')}")

    with registry.reading() as db, pytest.raises(RegistryDamaged, match=f"{table}/"):
        READERS[reader](db)
    with registry.reading(checked=False) as db:
        problems = journal_check.verify(db).problems
    assert any(f"{table}/" in each and "was changed outside" in each for each in problems)


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("value", ["0.5", "'x'", "x'00'"])
@pytest.mark.parametrize("column", ["customer_id", "machine_id"])
def test_a_reference_of_another_type_is_damage(
    filled: Path, registry: Registry, column: str, value: str, *, checked: bool
) -> None:
    """It is damage of this license, also where nothing is compared."""
    damage(filled, "licenses", f"{column} = {value}")
    with (
        registry.reading(checked=checked) as db,
        pytest.raises(RegistryDamaged, match=f"licenses/{NEW}"),
    ):
        licenses.get(db, NEW)


@pytest.mark.parametrize("value", ["0.5", "x'00'", "seq + 0.5"])
def test_a_journal_row_without_a_whole_number_is_not_the_newest(
    filled: Path, registry: Registry, value: str
) -> None:
    """A damaged table `row_journal` refers to no journal row."""
    damage(filled, "row_journal", f"seq = {value}")
    with registry.reading() as db, pytest.raises(RegistryDamaged, match=f"licenses/{NEW}"):
        licenses.get(db, NEW)


def test_a_name_of_another_type_is_damage(filled: Path, registry: Registry) -> None:
    """A customer with such a name cannot be found by it, also where nothing is compared."""
    damage(filled, "customers", "name = 7 WHERE slug = 'acme'")
    with (
        registry.reading(checked=False) as db,
        pytest.raises(RegistryDamaged, match="customers/"),
    ):
        customers.find(db, "acme gmbh")


def test_the_journal_rows_of_a_customer_are_read_once(
    filled: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of a check grows with the licenses of a customer, not with their square."""
    assert filled.is_file()
    with registry.writing(now=NOW, actor=ACTOR) as db:
        acme, kid = customers.get(db, "acme"), keys.pinned(db, SPARE).kid
        for number in range(10, 30):
            add_license(db, number, acme, kid)
        db.record("test", customer="acme")
    bodies: list[bytes] = []

    def noted(body: bytes) -> dict[str, str | None]:
        bodies.append(body)
        return recorded_rows(body)

    monkeypatch.setattr(row_check, "recorded_rows", noted)
    with registry.reading() as later:
        assert len(licenses.current(later, customers.get(later, "acme"))) == 21
    assert len(bodies) <= 2 * len(set(bodies))


def test_a_long_transaction_keeps_few_rows(
    filled: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory does not grow with all rows and journal rows that it compared."""
    assert filled.is_file()
    monkeypatch.setattr(row_check, "_MOST_KEPT", 5)
    with registry.writing(now=NOW, actor=ACTOR) as db:
        kid = keys.pinned(db, SPARE).kid
        for number in range(10, 50):
            owner = customers.add(db, slug=f"c{number}", name=f"Customer {number}")
            add_license(db, number, owner, kid)
            db.record("test", customer=owner.slug)
    with registry.reading() as later:
        for number in range(10, 50):
            owner = customers.get(later, f"c{number}")
            assert [one.id for one in licenses.current(later, owner)] == [license_id(number)]
            assert licenses.get(later, license_id(number)).customer_slug == owner.slug
        assert len(later.row_check._read) <= 5 + 2
        assert len(later.row_check._newest) <= 5 + 2


READERS: dict[str, Callable[[Reading], object]] = {
    "by slug": lambda db: customers.get(db, "acme"),
    "by name": lambda db: customers.find(db, "acme gmbh"),
    "by beginning": lambda db: customers.find_by_beginning(db, "Acm"),
    "by alias": lambda db: customers.find(db, "acne"),
    "acme": current_of("acme"),
    "globex": current_of("globex"),
    "all of acme": lambda db: licenses.of(db, customers.get(db, "acme")),
    "by id": lambda db: licenses.get(db, NEW),
    "by beginning of id": lambda db: licenses.find(db, NEW[:8]),
    "by file": lambda db: licenses.of_file(db, new_key(7).kid, b"license.2.signature\n"),
    "old": lambda db: licenses.get(db, OLD),
    "machines": lambda db: machines.of(db, customers.get(db, "acme")),
    "fingerprint": lambda db: machines.with_fingerprint(db, "b" * 64),
    "document": lambda db: machines.get_document(db, 1),
    "keys": keys.every,
    "active": keys.active,
    "key": lambda db: keys.find(db, "spare"),
    "pinned": lambda db: keys.pinned(db, SPARE),
    "key set": keys.key_set,
}
NAMES = {"new": NEW, "old": OLD, "spare": SPARE, "foreign": new_key(9).kid}
REVIVED = "UPDATE keys SET compromised = 0, retired_at = NULL WHERE label = 'spare'"
OLDER_KEY = """UPDATE keys SET compromised = 0, retired_at = NULL WHERE label = 'spare';
    UPDATE row_journal SET seq = 5 WHERE name = 'keys/{spare}'"""
OLDER_LICENSE = """UPDATE licenses SET sent_at = NULL WHERE id = '{new}';
    UPDATE row_journal SET seq = 3 WHERE name = 'licenses/{new}'"""
EDITS = (
    ("UPDATE customers SET name = 'Evil' WHERE slug = 'acme'", "customers/2", ("by slug", "by id")),
    (
        """UPDATE customers SET folded = 'evil' WHERE slug = 'globex';
        UPDATE customers SET folded = 'globex' WHERE slug = 'acme'""",
        "customers/2",
        ("by slug", "acme", "machines"),
    ),
    ("UPDATE customers SET slug = 'evil' WHERE slug = 'acme'", "customers/2", ("by name",)),
    (
        "UPDATE customers SET archived_at = '2026-03-01T09:30:00.000000Z' WHERE id = 2",
        "customers/2",
        ("by alias",),
    ),
    ("UPDATE aliases SET customer_id = 1", "aliases/acne", ("by alias",)),
    ("DELETE FROM aliases", "aliases/acne", ("by alias",)),
    (
        "UPDATE licenses SET term = '34mo' WHERE id = '{new}'",
        "licenses/{new}",
        ("acme", "by id", "by beginning of id", "by file", "all of acme"),
    ),
    (
        "UPDATE licenses SET customer_id = 1 WHERE id = '{new}'",
        "{new}",
        ("acme", "globex", "by id"),
    ),
    ("UPDATE licenses SET replaced_by = NULL WHERE id = '{old}'", "{old}", ("old", "all of acme")),
    (
        """UPDATE licenses SET retired_at = '2026-03-01T09:30:00.000000Z', retired_reason = 'x'
        WHERE id = '{new}'""",
        "{new}",
        ("acme",),
    ),
    ("UPDATE licenses SET file = x'00' WHERE id = '{new}'", "{new}", ("by id",)),
    ("DELETE FROM licenses WHERE id = '{new}'", "{new}", ("by id",)),
    ("UPDATE machines SET label = 'evil'", "machines/1", ("machines", "by id", "fingerprint")),
    ("UPDATE machines SET customer_id = 1", "machines/1", ("fingerprint", "acme")),
    ("UPDATE documents SET content = x'00'", "documents/1", ("document",)),
    (REVIVED, "keys/{spare}", ("keys", "active", "key", "pinned", "key set")),
    ("UPDATE keys SET active = 0 WHERE label = 'main'", "keys/", ("active", "key set")),
    ("UPDATE keys SET label = 'x' WHERE label = 'main'", "keys/", ("active", "key")),
    ("DELETE FROM keys WHERE kid = '{spare}'", "keys/{spare}", ("key", "key set")),
    (
        """INSERT INTO keys SELECT '{foreign}', 'evil', public_pem, created_at, 0, NULL, 0, NULL
        FROM keys WHERE label = 'main'""",
        "keys/{foreign}",
        ("key set", "active"),
    ),
    # `row_journal` is compared as well.
    ("DELETE FROM row_journal WHERE name = 'licenses/{new}'", "{new}", ("by id", "acme")),
    ("UPDATE row_journal SET seq = 1 WHERE name = 'licenses/{new}'", "{new}", ("by id",)),
    ("UPDATE row_journal SET seq = 99 WHERE name = 'licenses/{new}'", "{new}", ("by id",)),
    ("DELETE FROM row_journal", "differs from the journal", tuple(READERS)),
    # A row as it was, with the journal row that it was written with.
    (
        OLDER_KEY,
        "keys/{spare}",
        ("key", "key set"),
    ),
    (
        OLDER_LICENSE,
        "licenses/{new}",
        ("acme", "by id"),
    ),
)


@pytest.mark.parametrize("whole", [(), ("acme", "globex")], ids=["each", "whole"])
@pytest.mark.parametrize("reader", READERS)
def test_recorded_rows_are_read(
    filled: Path, registry: Registry, reader: str, whole: tuple[str, ...]
) -> None:
    """Rows that this tool wrote are as recorded, and `row_journal` is complete."""
    assert filled.is_file()
    with registry.reading() as db:
        expected = READERS[reader](db)
    with registry.reading() as db:
        db.row_check = row_check.RowCheck(registry.connection)
        for slug in whole:
            db.row_check.read_customer(slug)
        if reader != "key set":  # it has no equality
            assert READERS[reader](db) == expected
        assert journal_check.verify(db).problems == ()


@pytest.mark.parametrize("whole", [(), ("acme", "globex")], ids=["each", "whole"])
@pytest.mark.parametrize(
    "edit", [(script, named, reader) for script, named, readers in EDITS for reader in readers]
)
def test_an_edited_row_is_refused(
    filled: Path, registry: Registry, edit: tuple[str, str, str], whole: tuple[str, ...]
) -> None:
    """The error names the row, and the hint has the next commands; lists still show the row."""
    script, named, reader = edit
    change(filled, script.format(**NAMES))
    with registry.reading() as db:
        for slug in whole:
            db.row_check.read_customer(slug)
        with pytest.raises(RegistryDamaged, match=named.format(**NAMES)) as caught:
            READERS[reader](db)
    for command in ("journal verify", "registry restore BACKUP", "registry import"):
        assert f"polygent-issue {command}" in (caught.value.hint or "")
    with registry.reading(checked=False) as db:
        list(customers.every(db, archived=True))
        keys.every(db)
        assert journal_check.verify(db).problems


def test_a_customer_that_was_read_whole_has_what_is_written_later(registry: Registry) -> None:
    """A new license and a changed customer are read again; another name has no rows."""
    fill(registry)
    with writing(registry) as db:
        for name in ("Acme Corp", "acme"):
            db.row_check.read_customer(name)
        acme, kid = customers.get(db, "acme"), keys.every(db)[0].kid
        before = licenses.current(db, acme)
        added = add_license(db, 99, acme, kid)
        customers.edit(db, acme, crm="C-1")
        db.record("test", customer="acme")
        assert set(licenses.current(db, acme)) == {*before, licenses.get(db, added.id)}
        assert customers.get(db, "acme").crm == "C-1"
        assert customers.get(db, "acme").aliases == acme.aliases


def test_a_deleted_row_is_not_replaced(filled: Path, registry: Registry) -> None:
    """A new row with the number of a row that an edit deleted is refused."""
    last = "(SELECT max(id) FROM customers)"
    change(filled, f"PRAGMA foreign_keys = OFF; DELETE FROM customers WHERE id = {last}")  # noqa: S608
    with registry.writing(now=NOW, actor=ACTOR) as db, pytest.raises(RegistryDamaged):
        customers.add(db, slug="evil", name="Evil")


def test_a_row_is_checked_before_a_change(filled: Path, registry: Registry) -> None:
    """Otherwise the journal would record the change of an edit."""

    def edit(db: Writing) -> None:
        db.update("customers", 2, crm="C-1")
        db.record("test")

    change(filled, "UPDATE customers SET name = 'Evil' WHERE slug = 'acme'")
    for step in (edit, lambda db: db.delete("customers", 2)):
        with pytest.raises(RegistryDamaged, match="customers/2"), writing(registry) as db:
            step(db)


def test_written_rows_are_as_recorded(filled: Path, registry: Registry) -> None:
    """This applies before and after the journal row, and after a part was undone."""
    assert filled.is_file()
    with writing(registry) as db:
        acme = customers.get(db, "acme")
        customers.edit(db, acme, crm="C-1")
        db.record("test", customer="acme")

        def fail() -> None:
            with db.part():
                customers.edit(db, acme, crm="C-2")
                customers.add(db, slug="late", name="Late")
                db.record("test", customer="acme")
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert customers.get(db, "acme").crm == "C-1"
        assert len(licenses.current(db, acme)) == 1
    with registry.reading() as later:
        assert customers.get(later, "acme").crm == "C-1"
        assert journal_check.verify(later).problems == ()


def test_a_row_whose_change_was_undone_is_read_again(filled: Path, registry: Registry) -> None:
    """A row is read as it is, in this transaction and the next, not as an undone part left it."""
    assert filled.is_file()

    def fail(db: Writing) -> None:
        with db.part():
            customers.edit(db, customers.get(db, "acme"), crm="C-2")
            licenses.mark_sent(db, NEW, undo=True)
            db.record("test", customer="acme")
            licenses.current(db, customers.get(db, "acme"))
            raise KeyError

    for _ in range(2):
        with writing(registry) as db:
            with pytest.raises(KeyError):
                fail(db)
            assert customers.by_id(db, 2).crm is None
            assert licenses.get(db, NEW).sent_at == NOW
            assert len(licenses.current(db, customers.get(db, "acme"))) == 1


def test_a_merged_customer_is_as_recorded(filled: Path, registry: Registry) -> None:
    """Rows that a merger moved or deleted are as recorded."""
    assert filled.is_file()
    with registry.writing(now=NOW, actor=ACTOR) as db:
        gone, kept = customers.get(db, "acme"), customers.get(db, "globex")
        merging.merge(db, merging.decide(db, gone, kept, now=NOW))
        db.record("customer-merged", customer="globex")
    with registry.reading() as later:
        for slug in ("globex", "acme", "acne"):
            customer = customers.get(later, slug)
            assert (customer.slug, len(licenses.current(later, customer))) == ("globex", 1)
        assert journal_check.verify(later).problems == ()


@pytest.mark.parametrize("table", ["row_journal", "journal"])
def test_the_queries_of_a_check_use_an_index(filled: Path, table: str) -> None:
    """A check takes the same time in a registry of any size."""
    with Registry.open(filled) as registry, registry.reading() as db:
        plans: list[str] = []
        run = db.connection.run

        def explain(sql: str, params: tuple[object, ...] = ()) -> object:
            rows = run(f"EXPLAIN QUERY PLAN {sql}", params)  # type: ignore[arg-type]
            plans.extend(str(row[3]) for row in rows)
            return run(sql, params)  # type: ignore[arg-type]

        def first(sql: str, params: tuple[object, ...] = ()) -> object:
            explain(sql, params)
            return type(db.connection).first(db.connection, sql, params)  # type: ignore[arg-type]

        db.connection.run, db.connection.first = explain, first  # type: ignore[assignment,method-assign]
        try:
            licenses.current(db, customers.get(db, "acme"))
            keys.key_set(db)
        finally:
            del db.connection.run, db.connection.first
    assert any(table in plan for plan in plans)
    scans = [plan for plan in plans if plan.startswith("SCAN") and table in plan]
    assert all("USING" in plan and "INDEX journal_about_keys" in plan for plan in scans), scans


def test_an_edit_between_two_snapshots_is_found(filled: Path, registry: Registry) -> None:
    """Rows that were compared are compared again after another connection has written."""
    with registry.reading() as db:
        assert customers.get(db, "acme").slug == "acme"
    with closing(sqlite3.connect(filled)) as editor, editor:
        editor.execute("UPDATE customers SET name = 'Evil' WHERE slug = 'acme'")
    with pytest.raises(RegistryDamaged), registry.reading() as db:
        customers.get(db, "acme")


def test_rows_are_compared_once_without_another_writer(filled: Path) -> None:
    """The second snapshot of a command needs no query of the journal for the same rows."""
    with Registry.open(filled) as registry:
        with registry.reading() as db:
            licenses.current(db, customers.get(db, "acme"))
        with registry.reading() as db:
            queries: list[str] = []
            cast("SqliteConnection", db.connection)._sqlite.set_trace_callback(queries.append)
            licenses.current(db, customers.get(db, "acme"))
            cast("SqliteConnection", db.connection)._sqlite.set_trace_callback(None)
    assert queries
    assert not any("journal" in query for query in queries)


def queries_of(db: Reading, read: Callable[[Reading], object]) -> list[str]:
    """Return the SQL statements of a call."""
    queries: list[str] = []
    cast("SqliteConnection", db.connection)._sqlite.set_trace_callback(queries.append)
    try:
        read(db)
    finally:
        cast("SqliteConnection", db.connection)._sqlite.set_trace_callback(None)
    return queries


def test_rows_that_were_read_ahead_need_no_query(filled: Path, registry: Registry) -> None:
    """A license, its customer with the aliases, and its machine; a name is not a slug."""
    assert filled.is_file()
    with registry.reading() as db:
        licenses.read_ahead_of(db, ["acme", "globex", "Acme GmbH"])

        def read(db: Reading) -> None:
            record = licenses.get(db, NEW)
            assert licenses.get(db, OLD).replaced_by == NEW
            assert customers.by_id(db, record.customer_id).aliases == ("acne",)
            assert machines.by_id(db, record.machine_id or 0).label == "prod"

        assert queries_of(db, read) == []


def test_an_alias_that_was_read_ahead_may_change(filled: Path, registry: Registry) -> None:
    """Rows of the same transaction count, also after they were undone."""
    assert filled.is_file()
    with registry.writing(now=NOW, actor=ACTOR) as db:
        licenses.read_ahead(db, [NEW])
        acme = customers.get(db, "acme").id

        def fail() -> None:
            db.insert("aliases", slug="acma", customer_id=acme, created_at=db.at)
            assert customers.by_id(db, acme).aliases == ("acma", "acne")
            licenses.read_ahead(db, [NEW])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), db.part():
            fail()
        assert customers.by_id(db, acme).aliases == ("acne",)
        licenses.read_ahead(db, [NEW])
        db.insert("aliases", slug="acmo", customer_id=acme, created_at=db.at)
        db.record("test", customer="acme")
        assert customers.by_id(db, acme).aliases == ("acmo", "acne")


def test_a_license_that_an_edit_deleted_is_not_replaced(filled: Path, registry: Registry) -> None:
    """Ids are looked for in the journal together, and a recorded one is refused alone."""
    edit = f"DELETE FROM licenses WHERE id = '{NEW}'"  # noqa: S608  # our own
    change(filled, f"PRAGMA foreign_keys = OFF; {edit}")
    with registry.writing(now=NOW, actor=ACTOR) as db:
        acme, kid = customers.get(db, "acme"), keys.pinned(db, SPARE).kid
        licenses.read_ahead_new(db, [license_id(3), NEW])
        with db.part():
            queries = queries_of(db, lambda _: new_license(db, acme.id, kid, license_id(3)))
            assert not any("row_journal" in query for query in queries)
            db.record("test", customer="acme")
        with pytest.raises(RegistryDamaged, match=NEW), db.part():
            new_license(db, acme.id, kid, NEW)


def new_license(db: Writing, customer_id: int, kid: str, license_id: str) -> None:
    """Add a license without reading it back."""
    licenses.add(
        db,
        license_id=license_id,
        customer_id=customer_id,
        kid=kid,
        file=b"file",
        tier="enterprise",
        issued_at=NOW,
        expires_at=NOW + YEAR,
    )


def test_reading_ahead_drops_only_older_rows(
    filled: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk of licenses stays until it is used, though the rows of its customers follow."""
    assert filled.is_file()
    with registry.writing(now=NOW, actor=ACTOR) as db:
        kid = keys.pinned(db, SPARE).kid
        for number in range(10, 18):
            owner = customers.add(db, slug=f"c{number}", name=f"Customer {number}")
            add_license(db, number, owner, kid)
            db.record("test", customer=owner.slug)
    monkeypatch.setattr(row_check, "_MOST_KEPT", 8)
    first, second = ([*map(license_id, range(at, at + 4))] for at in (10, 14))
    with Registry.open(filled) as other, other.reading() as later:
        licenses.read_ahead(later, first)
        licenses.read_ahead(later, second)
        assert queries_of(later, lambda db: [licenses.get(db, each) for each in second]) == []
