"""The tables of a registry in PostgreSQL: those of a file, and what is found changed."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.databases import Databases
from support.registries import fill, new_registry, writing

from polygent_issuer.registry import Registry, journal_check
from polygent_issuer.registry.schema import JOURNALED, KEYS

_COLUMNS = """SELECT c.relname::text, a.attname::text, a.attnotnull, a.attgenerated <> ''
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'polygent'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    ORDER BY c.relname, a.attnum"""


@pytest.fixture
def team(tmp_path: Path, databases: Databases) -> Iterator[Registry]:
    """A registry in a database."""
    with new_registry(tmp_path, databases=databases) as registry:
        yield registry
    databases.take_back_all()


def test_both_engines_have_the_same_columns(team: Registry, tmp_path: Path) -> None:
    """Each table has the same columns in the same order, and the same ones may be NULL."""
    tables = [*KEYS, "journal"]
    with team.reading() as db:
        columns: dict[str, list[tuple[object, ...]]] = {table: [] for table in [*tables, "tables"]}
        for table, *column in db.execute(_COLUMNS):
            columns[str(table)].append(tuple(column))
        assert columns.pop("tables"), "the version, which a file has in its header"
    with new_registry(tmp_path) as file, file.reading() as db:
        assert set(columns) == {
            str(name)
            for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        for table in tables:
            assert columns[table] == [
                (name, bool(required or key), hidden == 2)
                for _, name, _, required, _, key, hidden in db.execute(
                    f"PRAGMA table_xinfo({table})"
                )
            ], table


def test_rows_have_the_same_digests(team: Registry, tmp_path: Path) -> None:
    """The same writes have the same journal bytes on both engines."""
    with new_registry(tmp_path) as file:
        journals = []
        for registry in (team, file):
            fill(registry)
            with registry.reading() as db:
                rows = db.execute(
                    "SELECT seq, bytes, hash, at, event, operator FROM journal ORDER BY seq"
                )
                journals.append(list(rows))
                assert journal_check.verify(db).problems == ()
    assert journals[0] == journals[1]


class Undo(Exception):
    """The change of the schema is not committed."""


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("DROP TRIGGER journal_rows_stay_as_they_are ON journal", "trigger journal.journal_rows"),
        ("ALTER TABLE journal DISABLE TRIGGER journal_stays", "trigger journal.journal_stays"),
        (
            "CREATE TRIGGER more BEFORE INSERT ON keys EXECUTE FUNCTION slug_is_no_alias()",
            "trigger keys.more",
        ),
        ("ALTER TABLE licenses ADD COLUMN more text", "column licenses.more"),
        ("ALTER TABLE licenses DROP COLUMN note", "column licenses.note"),
        ("ALTER TABLE licenses ALTER COLUMN tier DROP NOT NULL", "column licenses.tier"),
        ("ALTER TABLE journal ALTER COLUMN server_user DROP DEFAULT", "column journal.server_user"),
        (
            "ALTER TABLE journal ALTER COLUMN server_user SET DEFAULT 'ada'",
            "column journal.server_user",
        ),
        ("ALTER TABLE licenses DROP CONSTRAINT licenses_kid_fkey", "constraint licenses.licenses_"),
        ("DROP INDEX keys_one_active", "index keys_one_active"),
        ("CREATE RULE more AS ON INSERT TO seals DO INSTEAD NOTHING", "rule seals.more"),
        (
            """CREATE OR REPLACE FUNCTION journal_is_append_only() RETURNS trigger
                LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$""",
            "function journal_is_append_only",
        ),
        ("ALTER FUNCTION member SECURITY DEFINER", "function member"),
        ("ALTER FUNCTION member RESET search_path", "function member"),
        ("CREATE TABLE more (id bigint)", "table more"),
    ],
    ids=lambda text: text.split(" ON ")[0].replace(" ", "-")[:40],
)
def test_a_changed_schema_is_found(team: Registry, sql: str, problem: str) -> None:
    """Each change is named, by `journal verify` and `doctor`."""
    with team.reading() as db:
        assert db.connection.schema_problems() == ()
    with suppress(Undo), writing(team) as written:
        written.execute(sql)
        problems, verified = (
            written.connection.schema_problems(),
            journal_check.verify(written).problems,
        )
        raise Undo
    assert any(problem in line for line in problems), problems
    assert set(problems) <= set(verified)


def test_every_recorded_table_has_its_key(team: Registry) -> None:
    """A digest belongs to exactly one row."""
    sql = """SELECT r.relname::text, a.attname::text FROM pg_index AS x
        JOIN pg_class AS r ON r.oid = x.indrelid JOIN pg_attribute AS a
        ON a.attrelid = r.oid AND a.attnum = ANY (x.indkey)
        WHERE x.indisprimary AND r.relnamespace = 'polygent'::regnamespace"""
    with team.reading() as db:
        keys = list(db.execute(sql))
    assert {table: key for table, key in keys if table in JOURNALED} == JOURNALED
    assert len({table for table, _ in keys}) == len(keys)
