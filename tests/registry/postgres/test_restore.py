"""Restoring a backup into a database: in one transaction, with the owner and the grants."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.cli import Desk
from support.postgres import Cluster
from support.registries import ACTOR, NOW, REGISTRY_ID, add_license, fill, new_registry, writing
from support.waiting import eventually

from polygent_issuer.errors import HomeProblem, RegistryChanged
from polygent_issuer.findings import Consent, FindingCode
from polygent_issuer.home.settings_editing import set_value
from polygent_issuer.registry import Registry, customers, journal, journal_check, keys
from polygent_issuer.registry import restore as restoring
from polygent_issuer.registry.backup import CheckedBackup, back_up, open_backup
from polygent_issuer.registry.errors import Place
from polygent_issuer.registry.postgres import copying
from polygent_issuer.registry.postgres.connection import PostgresConnection

AGREED = Consent(accepted=frozenset({FindingCode.REGISTRY_ROLLBACK}), reason="a test")
KEPT = f"polygent_before_restore_{NOW:%Y%m%dt%H%M%Sz}"
ACLS = """SELECT relname, '', relacl::text FROM pg_class WHERE relnamespace = '{0}'::regnamespace
    AND relkind IN ('r', 'S') UNION ALL SELECT relname, attname, attacl::text FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = '{0}'::regnamespace
    AND attacl IS NOT NULL UNION ALL SELECT proname, '', proacl::text FROM pg_proc
    WHERE pronamespace = '{0}'::regnamespace UNION ALL SELECT '', '', nspacl::text
    FROM pg_namespace WHERE nspname = '{0}' ORDER BY 1, 2"""


@pytest.fixture
def name(postgres: Cluster) -> Iterator[str]:
    """A database with the registry of `fill`, of the role `restorer`."""
    postgres.execute("DROP ROLE IF EXISTS restorer", "CREATE ROLE restorer LOGIN")
    created = postgres.create()
    postgres.execute(f"GRANT CREATE ON DATABASE {created} TO restorer")
    with Registry.create(
        postgres.uri(created, "restorer"), now=NOW, actor=ACTOR, registry_id=REGISTRY_ID
    ) as registry:
        fill(registry)
    yield created
    postgres.execute(f"DROP DATABASE {created} WITH (FORCE)", "DROP ROLE restorer")


@pytest.fixture
def uri(postgres: Cluster, name: str) -> str:
    """The place of that registry, as its owner."""
    return postgres.uri(name, "restorer")


@pytest.fixture
def saved(uri: str, tmp_path: Path) -> Path:
    """A backup of it."""
    with Registry.open(uri) as registry:
        return back_up(registry, tmp_path / "b.db").path


def restore(backup: Path, place: Place, consent: Consent = AGREED) -> Path | str | None:
    """Restore a backup with consent to any loss; return what is kept."""
    with open_backup(backup, backup.parent) as found:
        present = restoring.compare_with_current(place, found)
        return restore_over(found, place, present, consent)


def restore_over(
    found: CheckedBackup, place: Place, present: Any, consent: Consent = AGREED
) -> Path | str | None:
    """Restore a backup over a registry as a preview showed it."""
    finding = restoring.rollback_finding(present)
    findings = (finding,) if finding else ()
    return restoring.restore(
        found, place, present, findings=findings, consent=consent, now=NOW, actor=ACTOR
    )


def grow(place: Place) -> None:
    """Issue a license that the backup lacks."""
    with Registry.open(place) as registry, writing(registry) as db:
        add_license(db, 100, customers.get(db, "acme"), keys.every(db)[0].kid)


def content(place: Place) -> dict[str, list[Any]]:
    """Return the rows of an intact registry by table."""
    with Registry.open(place) as registry, registry.reading() as db:
        assert journal_check.verify(db).problems == ()
        tables = copying.TABLES
        return {
            each: list(registry.connection.stream(copying.select(registry.connection, each)))
            for each in tables
        }


def events(place: Place) -> list[str]:
    """Return the events of the journal."""
    with Registry.open(place) as registry, registry.reading() as db:
        return [row.event for row in journal.rows(db)]


def test_a_backup_has_the_same_rows_from_either_engine(
    uri: str, saved: Path, tmp_path: Path
) -> None:
    """The file is a private registry with the same rows and the users of the server."""
    assert content(saved) == content(uri)
    assert saved.stat().st_mode & 0o777 == 0o600
    with new_registry(tmp_path) as registry:
        fill(registry)
        other = back_up(registry, tmp_path / "c.db").path
    rows = content(other)
    assert {**content(saved), "journal": ()} == {**rows, "journal": ()}
    assert [row[:-1] for row in content(saved)["journal"]] == [row[:-1] for row in rows["journal"]]


def test_a_backup_is_restored_into_a_database(
    postgres: Cluster, name: str, uri: str, saved: Path
) -> None:
    """The journal continues; the old tables are kept in another schema."""
    before = content(uri)
    grow(uri)
    assert restore(saved, uri) == KEPT
    after = content(uri)
    assert [row[:-1] for row in after["journal"][:-1]] == [row[:-1] for row in before["journal"]]
    assert events(uri) == ["registry-created", "test", "test", "registry-restored"]
    assert len(after["licenses"]) == 2
    assert postgres.rows(f"SELECT count(*) FROM {KEPT}.licenses", name) == [(3,)]  # noqa: S608
    grow(uri)  # the numbers of rows continue
    assert restore(saved, uri) == f"{KEPT}_2"


def test_the_server_records_who_restored(uri: str, saved: Path) -> None:
    """The users of earlier rows stay as they were."""
    restore(saved, uri)
    assert [row[-1] for row in content(uri)["journal"]] == ["restorer"] * 4


def test_a_backup_is_restored_into_the_other_engine(
    postgres: Cluster, uri: str, saved: Path, tmp_path: Path
) -> None:
    """That of a database into a file, and that of a file into a blank database."""
    file, blank = tmp_path / "registry.db", postgres.uri(postgres.create())
    assert restore(saved, file) is None
    assert content(file)["licenses"] == content(uri)["licenses"]
    with Registry.open(file) as registry:
        copy = back_up(registry, tmp_path / "c.db").path
    assert restore(copy, blank) is None
    assert events(blank)[-2:] == ["registry-restored", "registry-restored"]


def test_the_owner_and_the_grants_are_carried_over(
    postgres: Cluster, name: str, uri: str, saved: Path
) -> None:
    """Roles have the same rights as before on each schema, table, column, sequence and function.

    Only the owner can use the schema that is kept.
    """
    postgres.execute(
        "DROP ROLE IF EXISTS issuer",
        "CREATE ROLE issuer",
        "GRANT USAGE ON SCHEMA polygent TO issuer WITH GRANT OPTION",
        "GRANT SELECT, INSERT ON polygent.licenses TO issuer",
        "GRANT UPDATE (sent_at, note) ON polygent.licenses TO issuer",
        "GRANT INSERT (seq, previous, bytes, hash) ON polygent.journal TO issuer",
        "GRANT SELECT ON polygent.about TO PUBLIC",
        "GRANT USAGE ON SEQUENCE polygent.customers_id_seq TO issuer",
        "REVOKE EXECUTE ON FUNCTION polygent.member(bytea, text) FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION polygent.member(bytea, text) TO issuer",
        database=name,
    )
    before = postgres.rows(ACLS.format("polygent"), name)
    restore(saved, postgres.uri(name))  # by the superuser
    assert postgres.rows(ACLS.format("polygent"), name) == before
    for user, may in (("issuer", False), ("restorer", True)):
        allowed = f"SELECT has_schema_privilege('{user}', '{KEPT}', 'USAGE')"
        assert postgres.rows(allowed, name) == [(may,)]
    owners = """SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class
        WHERE relnamespace = 'polygent'::regnamespace"""
    assert postgres.rows(owners, name) == [("restorer",)]
    restore(saved, uri)
    postgres.execute("DROP OWNED BY issuer", "DROP ROLE issuer", database=name)


def test_only_the_owner_restores(postgres: Cluster, name: str, uri: str, saved: Path) -> None:
    """For another role nothing is changed."""
    postgres.execute(
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN",
        "GRANT USAGE ON SCHEMA polygent TO reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA polygent TO reader",
        database=name,
    )
    grow(uri)
    before = content(uri)
    with pytest.raises(HomeProblem) as caught:
        restore(saved, postgres.uri(name, "reader"))
    assert caught.value.code == "registry_role"
    assert content(uri) == before
    postgres.execute("DROP OWNED BY reader", "DROP ROLE reader", database=name)


def test_a_write_after_the_preview_stops_it(uri: str, saved: Path) -> None:
    """The operator consented to another loss."""
    with open_backup(saved, saved.parent) as found:
        present = restoring.compare_with_current(uri, found)
        grow(uri)
        with pytest.raises(RegistryChanged, match="nothing was restored"):
            restore_over(found, uri, present)
    assert "registry-restored" not in events(uri)


@pytest.mark.parametrize("sql", ["DROP TABLE polygent.row_journal", "DROP TABLE polygent.tables"])
def test_a_damaged_database_is_replaced(
    postgres: Cluster, name: str, uri: str, saved: Path, sql: str
) -> None:
    """The tables that cannot be read are kept, too."""
    postgres.execute(sql, database=name)
    assert restore(saved, uri) == KEPT
    assert events(uri)[-1] == "registry-restored"


def test_a_waiting_writer_writes_into_the_restored_registry(uri: str, saved: Path) -> None:
    """Its connection finds the new tables."""
    with Registry.open(uri) as other:
        with other.reading() as db:
            assert len(list(db.execute("SELECT id FROM licenses"))) == 2
        grow(uri)
        restore(saved, uri)
        with writing(other) as db:
            assert len(list(db.execute("SELECT id FROM licenses"))) == 2
    assert events(uri)[-2:] == ["registry-restored", "test"]


def test_readers_see_the_old_rows_or_the_new_ones(
    postgres: Cluster, name: str, uri: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot from before ends first; a reader that comes before the COMMIT waits for it."""
    grow(uri)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    seen: list[int] = []

    def count(registry: Registry) -> int:
        with registry.reading(checked=False) as db:
            return len(list(db.execute("SELECT id FROM licenses")))

    def waits(number: int) -> bool:
        return eventually(lambda: postgres.rows(waiting, name) == [(number,)])

    late = Registry.open(uri)
    reader = Thread(target=lambda: seen.append(count(late)))
    commit = PostgresConnection.commit

    def commit_late(self: PostgresConnection, head: tuple[int, bytes] | None) -> None:
        reader.start()
        assert waits(1)
        commit(self, head)

    with closing(late), Registry.open(uri) as early:
        monkeypatch.setattr(PostgresConnection, "commit", commit_late)
        restorer = Thread(target=lambda: restore(saved, uri))
        with early.reading(checked=False) as db:
            assert db.head()[0] == 4
            restorer.start()
            assert waits(1)
            assert len(list(db.execute("SELECT id FROM licenses"))) == 3
        restorer.join()
        reader.join()
    assert seen == [2]


def test_the_closed_file_of_a_moved_registry_can_be_restored(
    empty_desk: Desk, postgres: Cluster
) -> None:
    """If the new database is lost, the kept file is the registry again."""
    empty_desk.ok("init")
    moved = empty_desk.ok("registry", "move", "--to", postgres.uri(postgres.create()), "--json")
    set_value(empty_desk.home, "registry", "")
    empty_desk.ok("registry", "restore", moved.json["kept"])
    assert empty_desk.ok("journal", "verify").text.startswith("journal and registry are intact")
    assert events(empty_desk.home / "registry.db")[-1] == "registry-restored"


def test_settings_of_a_backup_are_restored_from_a_database(
    empty_desk: Desk, postgres: Cluster
) -> None:
    """The settings in it, and those of the team, survive the move and the restore."""
    uri, saved = postgres.uri(postgres.create()), str(empty_desk.folder / "b.db")
    empty_desk.ok("init", "--registry", uri, "--issuer", "Polygent Ltd")
    rows = content(uri)["team_settings"]
    empty_desk.ok("registry", "backup", saved)
    empty_desk.ok("config", "set", "issuer", "Other")
    empty_desk.ok("config", "set", "mail_from", "ops@polygent.example")
    accept = ("--accept", "registry-rollback", "--reason", "a test", "--settings", "restore")
    members = empty_desk.ok("registry", "restore", saved, *accept, "--json").json
    assert "mail_from" in members["settings_differences"]
    assert members["kept"].startswith("polygent_before_restore_")
    assert content(uri)["team_settings"] == rows
    shown = empty_desk.ok("config", "show").text
    assert "Polygent Ltd" in shown
    assert "ops@polygent.example" not in shown
