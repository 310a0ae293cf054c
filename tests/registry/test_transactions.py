"""Transactions: atomic, one snapshot, no change without a journal row."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, fill, new_key, writing

from polygent_issuer.errors import ExitCode, InputRefused, IssuerError
from polygent_issuer.registry import Registry, Writing, customers, journal, journal_check, keys
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse, Taken
from polygent_issuer.registry.records import as_bytes, text

pytestmark = pytest.mark.both


class BoomError(Exception):
    """An error of the caller."""


def counts(registry: Registry) -> tuple[int, int]:
    """Return the numbers of customers and journal rows."""
    with registry.reading() as db:
        return len(list(customers.every(db))), journal.head(db)[0]


@pytest.mark.parametrize("kind", [BoomError, KeyboardInterrupt])
def test_an_exception_leaves_nothing(registry: Registry, kind: type[BaseException]) -> None:
    """After an exception neither the row nor its journal row stays."""
    before = counts(registry)

    def write() -> None:
        with writing(registry) as db:
            customers.add(db, slug="acme", name="Acme")
            db.record("customer-added")
            raise kind

    with pytest.raises(kind):
        write()
    assert counts(registry) == before


@pytest.mark.parametrize("kind", [BoomError, KeyboardInterrupt])
def test_a_failed_part_is_undone(registry: Registry, kind: type[BaseException]) -> None:
    """Only the rows and journal rows of the part are undone."""
    with writing(registry) as db:
        customers.add(db, slug="acme", name="Acme")
        db.record("customer-added", customer="acme")

        def fail() -> None:
            with db.part():
                customers.add(db, slug="globex", name="Globex")
                db.record("customer-added", customer="globex")
                customers.add(db, slug="initech", name="Initech")
                raise kind

        with pytest.raises(kind):
            fail()
        with db.part():
            customers.add(db, slug="umbrella", name="Umbrella")
            db.record("customer-added", customer="umbrella")
    with registry.reading() as reading:
        assert [each.slug for each in customers.every(reading)] == ["acme", "umbrella"]
        assert journal_check.verify(reading).problems == ()


def test_a_part_needs_recorded_rows(registry: Registry) -> None:
    """Before a part all written rows must have a journal row."""

    def write() -> None:
        with writing(registry) as db:
            customers.add(db, slug="acme", name="Acme")
            with db.part():
                pass

    with pytest.raises(RegistryMisuse, match="customers"):
        write()


def test_a_missing_journal_row_is_misuse(registry: Registry) -> None:
    """A change without a journal row is an error, and is undone."""
    before = counts(registry)
    with (
        pytest.raises(RegistryMisuse, match="customers") as caught,
        registry.writing(now=NOW, actor=ACTOR) as db,
    ):
        customers.add(db, slug="acme", name="Acme")
    assert caught.value.exit_code is ExitCode.BUG
    assert counts(registry) == before


def test_a_write_after_the_last_journal_row_is_misuse(registry: Registry) -> None:
    """A journal row records only the writes before it."""

    def write() -> None:
        with registry.writing(now=NOW, actor=ACTOR) as db:
            acme = customers.add(db, slug="acme", name="Acme")
            db.record("customer-added", customer="acme")
            customers.edit(db, acme, crm="42")

    with pytest.raises(RegistryMisuse):
        write()


def test_an_ended_transaction_cannot_be_read(registry: Registry) -> None:
    """Reading after the end of a transaction is `registry_misuse`."""
    with registry.reading() as db:
        pass
    with pytest.raises(RegistryMisuse):
        db.execute("SELECT 1")


def test_a_read_transaction_refuses_writes(registry: Registry) -> None:
    """A write within a read transaction is refused."""
    before = counts(registry)
    refused = "cannot (use|read or write) the registry"
    with registry.reading() as db, pytest.raises(IssuerError, match=refused):
        db.execute("DELETE FROM about")
    assert counts(registry) == before
    fill(registry)


def test_a_read_transaction_is_one_snapshot(registry: Registry, path: Path) -> None:
    """Commits of other connections are not visible between two statements."""
    with Registry.open(path, busy_timeout=timedelta(milliseconds=30)) as other:
        with registry.reading() as db:
            with pytest.raises(Exception, match="locked"), writing(other) as written:
                customers.add(written, slug="acme", name="Acme")
            assert list(customers.every(db)) == []
        with writing(other) as written:
            customers.add(written, slug="acme", name="Acme")
    assert counts(registry)[0] == 1


def test_a_duplicate_is_taken(registry: Registry) -> None:
    """A UNIQUE constraint of the database is the error `taken`."""
    with writing(registry) as db:
        db.insert("about", name="colour", value="blue")
        db.record("test")
        taken = r"already contains the same about\.name"
        with pytest.raises(Taken, match=taken), db.part():
            db.insert("about", name="colour", value="red")


def test_text_that_is_not_unicode_is_refused(registry: Registry) -> None:
    """A lone surrogate, as in a mistyped argument, is `input_refused`."""
    with registry.reading() as db, pytest.raises(InputRefused):
        customers.find(db, "\udcff")


def test_a_number_of_more_than_64_bits_is_refused(registry: Registry) -> None:
    """An integer of more than 64 bits is `input_refused`."""
    with writing(registry) as db, pytest.raises(InputRefused), db.part():
        db.insert("aliases", slug="acme", customer_id=1 << 70, created_at=db.at)


def test_a_row_of_the_wrong_type_is_damage(registry: Registry) -> None:
    """A row that cannot be read as its record is damage."""
    with registry.reading() as db, pytest.raises(RegistryDamaged, match=r"cannot be read$"):
        db.value(text, "SELECT 1")


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT name, (SELECT 1 FROM keys) FROM about", "read: about/registry_id"),
        ("SELECT value, name FROM about", "read in the table about"),
        ("SELECT seq, bytes FROM journal WHERE seq = 1", "read: journal/1"),
    ],
)
def test_a_damaged_row_is_named(registry: Registry, sql: str, named: str) -> None:
    """The message has the table and the key, the hint the next commands; no value is quoted."""
    with registry.reading() as db, pytest.raises(RegistryDamaged, match=f"{named}$") as caught:
        list(db.values(as_bytes, sql))
    assert caught.value.hint == (
        "list all damage with polygent-issue journal verify; then restore your last "
        "backup: polygent-issue registry restore BACKUP"
    )


def test_a_journal_row_records_all_rows_since_the_last_one(registry: Registry) -> None:
    """Each row written since then has its digest once."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        acme = customers.add(db, slug="acme", name="Acme")
        customers.edit(db, acme, crm="42")
        db.insert("about", name="colour", value="blue")
        db.record("first")
        db.record("second")
    with registry.reading() as db:
        *_, first, second = journal.rows(db)
    assert set(first.body["rows"]) == {"about/colour", f"customers/{acme.id}"}
    assert second.body["rows"] == {}
    assert second.previous == first.hash


def test_a_naive_now_is_a_value_error(registry: Registry) -> None:
    """`now` without a time zone raises ValueError."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the point
    with (
        pytest.raises(ValueError, match="timezone-aware"),
        registry.writing(now=naive, actor=ACTOR) as db,
    ):
        db.record("test")


def test_keys_are_read_once_until_one_changes(registry: Registry) -> None:
    """A change of a key makes the keys be read again; other changes do not."""
    with writing(registry) as db:
        assert keys.every(db) == ()
        key = keys.add(db, key=new_key(), label="main")
        assert keys.every(db) == (key,)
        customers.add(db, slug="acme", name="Acme")
        assert keys.every(db) is keys.every(db)
        keys.note_backup(db, key.kid)
        assert keys.every(db)[0].backed_up_at == NOW


def test_the_newest_row_is_read_after_a_record(registry: Registry) -> None:
    """After a journal row was added, the newest row is the new one."""
    later = NOW + timedelta(days=1)
    with writing(registry):
        pass
    with registry.writing(now=later, actor=ACTOR) as db:
        assert db.newest_at() == NOW
        db.record("test")
        assert db.newest_at() == later


def test_an_undone_part_leaves_the_head(registry: Registry) -> None:
    """After a part was undone, the head is that of the rows before it."""
    with writing(registry) as db:
        db.record("test")
        before = db.head(), db.newest_at()
        with pytest.raises(ZeroDivisionError), db.part():
            _record_and_fail(db)
        assert (db.head(), db.newest_at()) == before
        db.record("test")


def _record_and_fail(db: Writing) -> None:
    db.record("undone")
    raise ZeroDivisionError
