"""The statements of a session on a PostgreSQL server, and their round trips."""

import logging
from contextlib import closing
from io import StringIO
from threading import Event

import psycopg
import pytest
from support.postgres import Cluster
from support.postgres_proxy import Fault, proxy
from support.waiting import eventually

from polygent_issuer.registry.postgres.session import Statements


def _statements(uri: str) -> Statements:
    return Statements(lambda: psycopg.connect(uri, autocommit=True))


def test_the_end_of_a_snapshot_is_not_waited_for(postgres: Cluster) -> None:
    """Its answer arrives after the command has gone on, and before the next statement."""
    went_on, in_time = Event(), list[bool]()

    def answer_late(_: object) -> None:
        in_time.append(went_on.wait(10))

    with proxy(postgres) as between, closing(_statements(between.uri("postgres"))) as statements:
        statements.begin(("BEGIN", "SELECT 1"))
        between.arm(Fault(text="ROLLBACK", answered=True, act=answer_late, cut=False))
        statements.end()
        assert statements.is_idle
        went_on.set()
        assert statements.execute("SELECT 2").fetchone() == (2,)
    assert in_time == [True]


def test_no_transaction_stays_open_after_a_snapshot(postgres: Cluster) -> None:
    """The server ends it while a person reads or a key signs, which can take minutes."""
    with closing(_statements(postgres.uri("postgres"))) as statements:
        statements.begin(("BEGIN", "SELECT 1"))
        state = f"SELECT state FROM pg_stat_activity WHERE pid = {statements.pg.info.backend_pid}"  # noqa: S608  # a number
        assert postgres.rows(state, "postgres") == [("idle in transaction",)]
        statements.end()
        assert eventually(lambda: postgres.rows(state, "postgres") == [("idle",)])


@pytest.mark.parametrize("number", [1, 1000])
def test_the_first_error_of_several_statements(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is raised at the COMMIT, which the server then skips; the library prints no log."""
    lines = StringIO()
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(lines))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a command
    with closing(_statements(postgres.uri(postgres.create()))) as statements:
        statements.execute("CREATE TABLE numbers (number int PRIMARY KEY, text text)").close()
        statements.begin(("BEGIN", "SELECT 1"))
        for _ in range(number + 1):
            statements.queue("INSERT INTO numbers VALUES (1, ?)", ("x" * 1000,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            statements.commit()
        statements.roll_back()
        assert statements.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    assert lines.getvalue() == ""


def test_a_commit_takes_one_round_trip_with_the_statements_before_it(postgres: Cluster) -> None:
    """Other writers wait for its transaction."""
    with proxy(postgres) as between, closing(_statements(between.uri("postgres"))) as statements:
        between.arm()
        statements.begin(("BEGIN", "SELECT 1"))
        statements.queue("SELECT ?", (1,))
        statements.queue("SELECT ?", (2,))
        assert statements.commit() == "COMMIT"
        assert between.statements == ["BEGIN; SELECT 1", "COMMIT"]


def test_queries_are_executed_ahead_in_one_round_trip(postgres: Cluster) -> None:
    """Their rows are those of the transaction, as often as they are needed, until a write."""
    numbers, none = (
        ("SELECT number FROM numbers WHERE number > ?", (0,)),
        ("SELECT 1 LIMIT ?", (0,)),
    )
    with (
        proxy(postgres) as between,
        closing(_statements(between.uri(postgres.create()))) as statements,
    ):
        statements.execute("CREATE TABLE numbers (number int PRIMARY KEY)").close()
        statements.execute("INSERT INTO numbers VALUES (1)").close()
        between.arm()
        statements.read_ahead((numbers,))
        assert between.statements == []
        statements.begin(("BEGIN", "SELECT 1"))
        statements.read_ahead((numbers, none))
        assert len(between.statements) == 2
        for _ in range(2):
            assert list(statements.select(*numbers)) == [(1,)]
            assert statements.select(*none).fetchone() is None
        assert len(between.statements) == 2
        statements.queue("INSERT INTO numbers VALUES (?)", (2,))
        assert list(statements.select(*numbers)) == [(1,), (2,)]
        assert statements.commit() == "COMMIT"
        statements.begin(("BEGIN", "SELECT 1"))
        assert len(between.statements) == 5


def test_a_statement_that_an_error_skipped_works_later(postgres: Cluster) -> None:
    """The library prepares the sixth; the server skips that, and it counts as prepared."""
    with closing(_statements(postgres.uri(postgres.create()))) as statements:
        statements.execute("CREATE TABLE numbers (number int PRIMARY KEY)").close()
        insert, select = "INSERT INTO numbers VALUES (?)", "SELECT number FROM numbers WHERE 1 = ?"
        statements.execute(insert, (1,)).close()
        for _ in range(5):
            statements.execute(select, (1,)).close()
        statements.begin(("BEGIN", "SELECT 1"))
        statements.queue(insert, (1,))
        statements.queue(select, (1,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            statements.commit()
        statements.end()
        assert statements.execute(select, (1,)).fetchone() == (1,)
