"""A later migration of a registry in PostgreSQL, planted as one entry of each list."""

from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors
from support.postgres import Cluster
from support.registries import ACTOR, NOW, REGISTRY_ID, writing

from polygent_issuer.errors import HomeProblem
from polygent_issuer.registry import Registry, customers, schema
from polygent_issuer.registry.errors import RegistryDamaged, RegistryLocked
from polygent_issuer.registry.postgres import tables
from polygent_issuer.registry.postgres.connection import open_database

OLD = len(schema.MIGRATIONS)
TABLE = 'CREATE TABLE polygent.extra (name text COLLATE "C" PRIMARY KEY)'
COLUMN = "ALTER TABLE polygent.customers ADD COLUMN extra text"


@dataclass
class Older:
    """A registry of the present version, and this tool with one migration more."""

    server: Cluster
    database: str

    @property
    def uri(self) -> str:
        return self.server.uri(self.database, "owner")

    def state(self) -> list[tuple[object, ...]]:
        """Return the recorded version, and the owner of the new table if it exists."""
        return self.server.rows(
            """SELECT version, (SELECT tableowner FROM pg_tables WHERE tablename = 'extra')
            FROM polygent.tables""",
            self.database,
        )


@pytest.fixture
def older(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Older:
    """A registry whose tables are one version older than this tool's."""
    database = postgres.create()
    postgres.share(database)
    uri = postgres.uri(database, "owner")
    with (
        Registry.create(uri, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID) as registry,
        writing(registry) as db,
    ):
        customers.add(db, slug="acme", name="Acme")
    postgres.grant(database)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ()))
    monkeypatch.setattr(tables, "CHANGES", (*tables.CHANGES, (TABLE, COLUMN)))
    return Older(postgres, database)


def test_each_migration_has_a_change_for_postgresql() -> None:
    """The version of the tables is the same for both engines."""
    assert tables.FIRST + len(tables.CHANGES) == len(schema.MIGRATIONS)


def test_commands_refuse_older_tables(older: Older) -> None:
    """No command changes the tables on its way."""
    with pytest.raises(HomeProblem) as caught:
        Registry.open(older.uri)
    assert caught.value.code == "registry_older"
    assert "registry upgrade" in str(caught.value.hint)
    assert older.state() == [(OLD, None)]


@pytest.mark.parametrize("user", ["owner", "postgres"])
def test_the_owner_upgrades(older: Older, user: str) -> None:
    """The tables are those of a new registry and belong to the owner; the rows stay."""
    with Registry.open(older.server.uri(older.database, user), migrate=False) as registry:
        assert (registry.connection.upgrade(), registry.tables) == (OLD, OLD + 1)
        assert registry.connection.upgrade() == OLD + 1
    assert older.state() == [(OLD + 1, "owner")]
    with Registry.open(older.uri) as registry:
        with writing(registry) as db:
            customers.add(db, slug="globex", name="Globex")
        with registry.reading() as db:
            assert [each.slug for each in customers.every(db)] == ["acme", "globex"]
            assert db.connection.schema_problems() == ()


@pytest.mark.parametrize("user", ["manager", "key_admin"])
def test_only_the_owner_upgrades(older: Older, user: str) -> None:
    """Another role is refused before and by the server, and nothing changes."""
    with Registry.open(older.server.uri(older.database, user), migrate=False) as registry:
        for attempt in (lambda: registry.require_role("owner"), registry.connection.upgrade):
            with pytest.raises(HomeProblem) as caught:
                attempt()
            assert caught.value.code == "registry_role"
    assert older.state() == [(OLD, None)]


def test_a_failed_upgrade_changes_nothing(older: Older, monkeypatch: pytest.MonkeyPatch) -> None:
    """All statements are in one transaction."""
    monkeypatch.setattr(tables, "CHANGES", (*tables.CHANGES[:-1], (TABLE, TABLE)))
    with Registry.open(older.uri, migrate=False) as registry, pytest.raises(RegistryDamaged):
        registry.connection.upgrade()
    assert older.state() == [(OLD, None)]


def test_changed_tables_are_not_upgraded(older: Older) -> None:
    """An upgrade would record a change by hand as this tool's own."""
    older.server.execute("DROP TRIGGER journal_stays ON polygent.journal", database=older.database)
    with (
        Registry.open(older.uri, migrate=False) as registry,
        pytest.raises(RegistryDamaged, match="journal_stays"),
    ):
        registry.connection.upgrade()
    assert older.state() == [(OLD, None)]


def test_an_upgrade_waits_for_commands_that_write(older: Older) -> None:
    """It takes the lock of all writers."""
    writer = open_database(older.uri, busy_timeout=timedelta(seconds=5), migrate=False)
    writer.begin_writing()
    brief = timedelta(milliseconds=1)
    with (
        Registry.open(older.uri, migrate=False, busy_timeout=brief) as registry,
        pytest.raises(RegistryLocked),
    ):
        registry.connection.upgrade()
    writer.close()
    assert older.state() == [(OLD, None)]


def test_a_new_registry_has_the_newest_tables(older: Older) -> None:
    """The creation makes every change, and records the same objects as an upgrade."""
    fresh = older.server.create()
    older.server.share(fresh)
    uri = older.server.uri(fresh, "owner")
    Registry.create(uri, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID).close()
    with Registry.open(older.uri, migrate=False) as registry:
        registry.connection.upgrade()
    recorded = "SELECT version, objects FROM polygent.tables"
    assert older.server.rows(recorded, fresh) == older.server.rows(recorded, older.database)


def _append(server: Cluster, database: str, digest: str) -> None:
    """Append a row with a hash to the journal, as plain SQL of an issuer."""
    with psycopg.connect(server.uri(database, "issuer"), options="-c search_path=polygent") as one:
        sql = f"SELECT seq + 1, hash, bytes, {digest} FROM journal ORDER BY seq DESC LIMIT 1"  # noqa: S608
        one.execute(f"INSERT INTO journal (seq, previous, bytes, hash) {sql}".encode())
        one.rollback()


def test_from_version_7_the_server_computes_each_hash(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row with another hash, which would end the chain for everyone, is refused."""
    database = postgres.create()
    postgres.share(database)
    uri = postgres.uri(database, "owner")
    with monkeypatch.context() as version_6:
        version_6.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:6])
        version_6.setattr(tables, "CHANGES", ())
        Registry.create(uri, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID).close()
    postgres.grant(database)
    _append(postgres, database, "hash")
    with Registry.open(uri, migrate=False) as old:
        assert old.connection.upgrade() == 6
    _append(postgres, database, "sha256(hash || bytes)")
    with pytest.raises(errors.RaiseException, match="the hash of a journal row"):
        _append(postgres, database, "hash")
    with Registry.open(uri) as registry:
        assert registry.is_up_to_date
        with registry.reading() as db:
            assert db.connection.schema_problems() == ()
