"""Transactions: all or nothing, one snapshot, and no change without a journal row."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, fill, new_key, writing

from polygent_issuer.errors import ExitCode, InputRefused
from polygent_issuer.registry import Registry, customers, journal, journal_check, keys
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse, Taken
from polygent_issuer.registry.records import as_bytes, text


class BoomError(Exception):
    """Something of the caller's that goes wrong."""


def counts(registry: Registry) -> tuple[int, int]:
    """How many customers and journal rows there are."""
    with registry.reading() as db:
        return len(list(customers.every(db))), journal.head(db)[0]


@pytest.mark.parametrize("kind", [BoomError, KeyboardInterrupt])
def test_an_exception_leaves_nothing(registry: Registry, kind: type[BaseException]) -> None:
    """Neither the row nor its journal row stays when the block does not end well."""
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
def test_a_part_that_fails_leaves_the_rest(registry: Registry, kind: type[BaseException]) -> None:
    """Its rows and journal rows are gone, whether they were journalled or not; the others stand."""
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


def test_a_part_begins_with_nothing_open(registry: Registry) -> None:
    """What no journal row tells of yet could be forgotten with it."""

    def write() -> None:
        with writing(registry) as db:
            customers.add(db, slug="acme", name="Acme")
            with db.part():
                pass

    with pytest.raises(RegistryMisuse, match="customers"):
        write()


def test_a_forgotten_record_is_an_error_and_leaves_nothing(registry: Registry) -> None:
    """No row changes without a journal row: whoever forgets it is told at once."""
    before = counts(registry)
    with (
        pytest.raises(RegistryMisuse, match="customers") as caught,
        registry.writing(now=NOW, actor=ACTOR) as db,
    ):
        customers.add(db, slug="acme", name="Acme")
    assert caught.value.exit_code is ExitCode.BUG
    assert counts(registry) == before


def test_what_is_written_after_the_last_record_is_forgotten_too(registry: Registry) -> None:
    """A record covers what came before it, not what follows."""

    def write() -> None:
        with registry.writing(now=NOW, actor=ACTOR) as db:
            acme = customers.add(db, slug="acme", name="Acme")
            db.record("customer-added", customer="acme")
            customers.edit(db, acme, crm="42")

    with pytest.raises(RegistryMisuse):
        write()


def test_a_transaction_that_ended_reads_no_more(registry: Registry) -> None:
    """A block's `db` is of no use outside it."""
    with registry.reading() as db:
        pass
    with pytest.raises(RegistryMisuse):
        db.execute("SELECT 1")


def test_a_reading_writes_nothing(registry: Registry) -> None:
    """The snapshot is for reading; a write in it is refused."""
    before = counts(registry)
    with registry.reading() as db, pytest.raises(Exception, match="cannot read or write"):
        db.execute("DELETE FROM about")
    assert counts(registry) == before
    fill(registry)


def test_a_reading_is_one_snapshot(registry: Registry, path: Path) -> None:
    """What others try to commit meanwhile is not seen, not even between two statements."""
    with Registry.open(path, busy_timeout=timedelta(milliseconds=30)) as other:
        with registry.reading() as db:
            with pytest.raises(Exception, match="locked"), writing(other) as written:
                customers.add(written, slug="acme", name="Acme")
            assert list(customers.every(db)) == []
        with writing(other) as written:
            customers.add(written, slug="acme", name="Acme")
    assert counts(registry)[0] == 1


def test_unique_means_once(registry: Registry) -> None:
    """The database itself refuses a second of what must be one, in our words."""
    with writing(registry) as db:
        db.insert("about", name="colour", value="blue")
        with pytest.raises(Taken, match=r"already contains the same about\.name"):
            db.insert("about", name="colour", value="red")


def test_text_that_is_not_unicode_is_refused(registry: Registry) -> None:
    """A lone surrogate, as a mistyped argument holds it, is input, not a crash."""
    with registry.reading() as db, pytest.raises(InputRefused):
        customers.find(db, "\udcff")


def test_a_number_beyond_sqlite_is_refused(registry: Registry) -> None:
    """An integer of more than 64 bits is input, not a crash."""
    with registry.reading() as db, pytest.raises(InputRefused):
        db.execute("SELECT ?", (1 << 70,))


def test_a_row_of_the_wrong_type_is_damage(registry: Registry) -> None:
    """What cannot be read as its record is reported as damage."""
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
    """The message names table and key, the hint both ways on; no value is quoted."""
    with registry.reading() as db, pytest.raises(RegistryDamaged, match=f"{named}$") as caught:
        list(db.values(as_bytes, sql))
    assert caught.value.hint == (
        "list all damage with polygent-issue journal verify; then restore your last "
        "backup: polygent-issue registry restore BACKUP"
    )


def test_one_journal_row_tells_of_all_rows_touched_since_the_last(registry: Registry) -> None:
    """The digests stand in the row that was recorded after the writes, each once."""
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


def test_a_naive_instant_is_the_callers_bug(registry: Registry) -> None:
    """`now` without a time zone never reaches a row."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the point
    with (
        pytest.raises(ValueError, match="timezone-aware"),
        registry.writing(now=naive, actor=ACTOR) as db,
    ):
        db.record("test")


def test_keys_are_read_once_until_one_changes(registry: Registry) -> None:
    """A row of another table changes nothing; one of their own does."""
    with writing(registry) as db:
        assert keys.every(db) == ()
        key = keys.add(db, key=new_key(), label="main")
        assert keys.every(db) == (key,)
        customers.add(db, slug="acme", name="Acme")
        assert keys.every(db) is keys.every(db)
        keys.note_backup(db, key.kid)
        assert keys.every(db)[0].backed_up_at == NOW


def test_the_newest_row_is_known_at_once(registry: Registry) -> None:
    """Whoever asks after a record sees it, though the answer before it is remembered."""
    later = NOW + timedelta(days=1)
    with writing(registry):
        pass
    with registry.writing(now=later, actor=ACTOR) as db:
        assert journal.newest_at(db) == NOW
        db.record("test")
        assert journal.newest_at(db) == later
