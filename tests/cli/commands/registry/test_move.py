"""`polygent-issue registry move`: both ways, at every interruption, and what is refused."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import Desk
from support.postgres import Cluster
from support.registries import fill, writing

from polygent_issuer.errors import ExitCode, HomeProblem
from polygent_issuer.files import publication
from polygent_issuer.files.publication import Prepared
from polygent_issuer.home import folder, settings_editing
from polygent_issuer.home.settings_editing import set_value
from polygent_issuer.registry import Registry, change, journal, journal_check
from polygent_issuer.registry.errors import Place, RegistryMissing, RegistryMoved
from polygent_issuer.registry.postgres import copying
from polygent_issuer.registry.postgres.connection import PostgresConnection
from polygent_issuer.registry.sqlite import SqliteConnection

pytestmark = pytest.mark.sqlite("moves both ways itself")

OF_MOVE = ["registry-closed", "registry-moved"]


@pytest.fixture
def filled(empty_desk: Desk) -> Desk:
    """A desk whose registry has a row in each table."""
    empty_desk.output.mkdir()
    empty_desk.ok("init", "--output", str(empty_desk.output))
    with Registry.open(file_of(empty_desk)) as registry:
        new = fill(registry)
        with writing(registry) as db:
            db.insert("team_settings", name="issuer", value='"Polygent Ltd"')
            db.insert(
                "outbox", license_id=new.id, folder="/nowhere", name="a.lic", at=db.at, home="x"
            )
    return empty_desk


def file_of(desk: Desk) -> Path:
    """Return the file of the home's registry."""
    return desk.home / "registry.db"


def content(place: Place, *, closed: bool = False) -> dict[str, list[Any]]:
    """Return all rows of an intact registry by table, in the columns that both engines store."""
    with Registry.open(place, closed=closed) as registry, registry.reading() as db:
        assert journal_check.verify(db).problems == ()
        connection = registry.connection
        return {
            table: list(connection.stream(copying.select(connection, table)))
            for table in copying.TABLES
        }


def events(place: Place, *, closed: bool = False) -> list[str]:
    """Return the events of a journal."""
    with Registry.open(place, closed=closed) as registry, registry.reading() as db:
        return [row.event for row in journal.rows(db)]


def unmoved(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows without the two journal rows of a move, and what refers to them."""
    journal_rows = rows["journal"][:-2]
    newest = [row for row in rows["row_journal"] if row[0] != "about/moved_to"]
    return {**rows, "journal": journal_rows, "row_journal": newest}


def is_blank(server: Cluster, database: str) -> bool:
    """Return whether a database has no registry."""
    return server.rows("SELECT to_regnamespace('polygent')::text", database) == [(None,)]


def error_of(desk: Desk, *argv: str) -> tuple[int, str]:
    """Return the exit code and the error code of a command."""
    outcome = desk.run(*argv, "--json")
    return outcome.code, outcome.json["error"]["code"]


def test_a_registry_moves_to_a_database_and_back(filled: Desk, postgres: Cluster) -> None:
    """No row and no digest changes; the journal continues, and sequences do, too."""
    uri, file = postgres.uri(postgres.create()), file_of(filled)
    before = content(file)
    filled.ok("registry", "move", "--to", uri)
    assert unmoved(content(uri)) == before
    assert events(uri)[-2:] == OF_MOVE
    filled.ok("customer", "add", "Initech")
    added = content(uri)
    filled.ok("registry", "move", "--to", "sqlite:")
    assert unmoved(content(file)) == {**unmoved(added), "journal": added["journal"]}
    assert (events(file)[-3], events(file)[-2:]) == ("customer-added", OF_MOVE)
    filled.ok("customer", "show", "initech")


def test_an_undelivered_file_of_no_home_becomes_one_of_the_home_that_moves(
    filled: Desk, postgres: Cluster
) -> None:
    """An earlier version noted no home; another home of the team must not deliver the file."""
    uri = postgres.uri(postgres.create())
    with closing(sqlite3.connect(file_of(filled))) as raw, raw:
        raw.execute("UPDATE outbox SET home = NULL")
    filled.ok("registry", "move", "--to", uri)
    with Registry.open(uri) as registry, registry.reading() as db:
        assert [row.home for row in change.pending(db)] == [folder.id_of(filled.home)]


def test_the_settings_of_the_home_become_those_of_the_team(
    empty_desk: Desk, postgres: Cluster, tmp_path: Path
) -> None:
    """A home that joins signs with the issuer of the home whose registry was moved."""
    uri, other = postgres.uri(postgres.create()), Desk(tmp_path / "other")
    other.folder.mkdir()
    empty_desk.ok("init", "--issuer", "Polygent GmbH")
    empty_desk.ok("registry", "move", "--to", uri)
    other.ok("init", "--registry", uri)
    assert "Polygent GmbH" in other.ok("config", "show").text


def test_the_users_of_the_server_are_kept(filled: Desk, postgres: Cluster) -> None:
    """A file and another database keep who wrote a row at the first server."""
    postgres.execute("DROP ROLE IF EXISTS grace", "CREATE ROLE grace LOGIN SUPERUSER")
    filled.ok("registry", "move", "--to", postgres.uri(postgres.create(), "grace"))
    for place in ("sqlite:", postgres.uri(postgres.create())):
        filled.ok("registry", "move", "--to", place)
        where = file_of(filled) if place == "sqlite:" else place
        users = [row[-1] for row in content(where)["journal"]]
        assert users[: users.index("grace")] == [None] * 5
        assert users.count("grace") == 2


def test_the_old_file_is_closed_and_kept(filled: Desk, postgres: Cluster) -> None:
    """Each command that uses it stops with the new place, also in another home or over a link."""
    uri, file = postgres.uri(postgres.create()), file_of(filled)
    outcome = filled.ok("registry", "move", "--to", uri, "--json")
    kept = Path(outcome.json["kept"])
    assert (kept.parent, file.exists()) == (filled.home, False)
    assert kept.name.startswith("registry.db.moved-")
    file.symlink_to(kept)
    set_value(filled.home, "registry", "")
    for argv in (
        ("license", "list"),
        ("journal", "show"),
        ("registry", "backup", str(filled.folder / "b.db")),
        ("customer", "add", "Initech"),
        ("init",),
    ):
        assert error_of(filled, *argv) == (ExitCode.REGISTRY, "registry_moved")
    err = filled.run("license", "list").err
    assert f"is closed: {os.environ.get('USER', 'root')} moved it to {uri}" in err
    assert f"hint: let this home use it there: polygent-issue registry move --to '{uri}'" in err
    filled.ok("registry", "move", "--to", uri)
    filled.ok("license", "list")


def test_another_home_is_led_to_the_new_database(
    filled: Desk, postgres: Cluster, tmp_path: Path
) -> None:
    """A home whose database was moved stops, and joins with the command that the error names."""
    old, new = postgres.uri(postgres.create()), postgres.uri(postgres.create())
    other = Desk(tmp_path / "other")
    other.folder.mkdir()
    filled.ok("registry", "move", "--to", old)
    other.ok("init", "--registry", old)
    filled.ok("registry", "move", "--to", new)
    assert error_of(other, "customer", "list") == (ExitCode.REGISTRY, "registry_moved")
    other.ok("registry", "move", "--to", new)
    assert other.ok("customer", "list").text == filled.ok("customer", "list").text


@pytest.mark.parametrize("old", ["file", "database"])
def test_a_command_that_was_open_cannot_write(filled: Desk, postgres: Cluster, old: str) -> None:
    """A command that waits during the move writes nothing into the old registry."""
    place: Place = file_of(filled)
    first, second = postgres.uri(postgres.create()), postgres.uri(postgres.create())
    if old == "database":
        filled.ok("registry", "move", "--to", first)
        place = first
    with Registry.open(place) as registry:
        filled.ok("registry", "move", "--to", second)
        with pytest.raises(HomeProblem) as caught, writing(registry):
            pytest.fail("it writes")
    assert caught.value.code == ("registry_changed" if old == "file" else "registry_moved")


def test_no_delivered_file_is_cleared_during_a_move(
    filled: Desk, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes no lock of writers, and the copy would differ."""
    uri, real = postgres.uri(postgres.create()), copying.write_file
    filled.ok("registry", "move", "--to", uri)

    def clearing(*args: Any, **named: Any) -> None:
        with (
            psycopg.connect(uri, options="-c lock_timeout=50") as other,
            pytest.raises(psycopg.errors.LockNotAvailable),
        ):
            other.execute("DELETE FROM polygent.outbox")
        real(*args, **named)

    monkeypatch.setattr(copying, "write_file", clearing)
    filled.ok("registry", "move", "--to", "sqlite:")


def test_a_dry_run_changes_nothing(filled: Desk, postgres: Cluster) -> None:
    """It prints what would be moved, and where."""
    name, before = postgres.create(), file_of(filled).read_bytes()
    uri = postgres.uri(name)
    members = filled.ok("registry", "move", "--to", uri, "--dry-run", "--json").json
    assert (members["done"], members["licenses"], members["to"]) == (False, 2, uri)
    assert file_of(filled).read_bytes() == before
    assert is_blank(postgres, name)


def test_the_same_place_changes_nothing(filled: Desk) -> None:
    """The registry is there already."""
    outcome = filled.ok("registry", "move", "--to", "sqlite:")
    assert outcome.text == f"the registry is already in sqlite:{file_of(filled)}\n"


@pytest.mark.parametrize("place", ["sqlite:/elsewhere/registry.db", "mysql://db/x", "registry.db"])
def test_another_place_is_refused(filled: Desk, place: str) -> None:
    """A registry is in the home's file or in PostgreSQL."""
    assert error_of(filled, "registry", "move", "--to", place) == (3, "input_refused")


def test_another_registry_is_never_overwritten(
    filled: Desk, postgres: Cluster, tmp_path: Path
) -> None:
    """A database and a file that have a registry stay as they are, even a closed one."""
    uri, other = postgres.uri(postgres.create()), Desk(tmp_path / "other")
    other.folder.mkdir()
    other.ok("init", "--registry", uri)
    assert error_of(filled, "registry", "move", "--to", uri) == (7, "registry_exists")
    assert events(uri) == ["registry-created"]
    before = file_of(filled).read_bytes()
    (other.home / "registry.db").write_bytes(before)
    assert error_of(other, "registry", "move", "--to", "sqlite:") == (7, "registry_exists")
    assert file_of(other).read_bytes() == before
    free = postgres.uri(postgres.create())
    filled.ok("registry", "move", "--to", free)
    filled.ok("registry", "move", "--to", "sqlite:")
    assert error_of(filled, "registry", "move", "--to", free) == (7, "registry_exists")
    refused = filled.run("registry", "move", "--to", free).err
    assert f"contains a closed registry, which was moved to sqlite:{file_of(filled)};" in refused
    rename = "psql --command 'ALTER SCHEMA polygent RENAME TO polygent_old'"
    assert f"let the owner of that one run: {rename} '{free}'" in refused
    assert len(content(file_of(filled))["licenses"]) == 2


def test_a_changed_registry_is_not_moved(filled: Desk, postgres: Cluster) -> None:
    """The journal and all rows are verified before the old registry is closed."""
    uri = postgres.uri(name := postgres.create())
    with closing(sqlite3.connect(file_of(filled))) as raw:
        raw.execute("UPDATE customers SET name = 'Evil'")
        raw.commit()
    assert error_of(filled, "registry", "move", "--to", uri) == (7, "registry_damaged")
    assert is_blank(postgres, name)


def test_a_copy_that_differs_is_not_used(
    filled: Desk, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that arrives changed stops the move, and the old registry stays in use."""
    uri, real = postgres.uri(name := postgres.create()), PostgresConnection.run_many

    def changed(self: PostgresConnection, sql: str, several: Any) -> None:
        real(self, sql, several)
        if sql.startswith("INSERT INTO outbox"):
            self.change("UPDATE outbox SET name = 'b.lic'", ())

    monkeypatch.setattr(PostgresConnection, "run_many", changed)
    outcome = filled.run("registry", "move", "--to", uri)
    assert outcome.code == 7
    assert "differs in the table outbox" in outcome.err
    filled.ok("customer", "list")
    assert is_blank(postgres, name)


def test_without_rights_nothing_is_moved(filled: Desk, postgres: Cluster) -> None:
    """A role that may not create a schema is named by an error."""
    postgres.execute("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    uri = postgres.uri(postgres.create(), "guest")
    assert error_of(filled, "registry", "move", "--to", uri) == (7, "registry_role")
    filled.ok("customer", "list")


def test_without_a_server_nothing_is_moved(filled: Desk, tmp_path: Path) -> None:
    """The old registry stays in use."""
    uri = f"postgresql://ada@/polygent?host={tmp_path}"
    assert error_of(filled, "registry", "move", "--to", uri) == (7, "registry_failed")
    filled.ok("customer", "list")


def test_a_full_disk_leaves_the_database_in_use(filled: Desk, postgres: Cluster) -> None:
    """The file would be larger than the system allows; nothing of it is left."""
    filled.ok("registry", "move", "--to", postgres.uri(postgres.create()))
    before = sorted(filled.home.iterdir())

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        os._exit(filled.run("registry", "move", "--to", "sqlite:").code)

    assert in_child(limited) == ExitCode.OUTPUT
    assert sorted(filled.home.iterdir()) == before
    filled.ok("customer", "list")


def in_child(work: Callable[[], object]) -> int:
    """Run in a forked process; return its exit code, or the negative number of a signal."""
    process = os.fork()
    if process == 0:
        try:
            work()
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Kill this process before or after the N-th step that another process can notice."""
    left = iter(range(number, -1, -1))

    def stepping(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **named)
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return step

    for owner, name in (
        (SqliteConnection, "commit"),
        (PostgresConnection, "commit"),
        (Prepared, "publish"),
        (Path, "rename"),
        (settings_editing, "set_value"),
        (publication, "replace"),
        (copying, "fill_database"),
        (copying, "write_file"),
    ):
        patch.setattr(owner, name, stepping(getattr(owner, name)))


def in_use(place: Place) -> bool:
    """Return whether a registry accepts writes."""
    try:
        with Registry.open(place) as registry, writing(registry):
            return True
    except (RegistryMoved, RegistryMissing):
        return False


@pytest.mark.slow
@pytest.mark.parametrize("back", [False, True], ids=["to a database", "to a file"])
def test_a_killed_move_is_finished_by_the_same_command(
    filled: Desk, postgres: Cluster, *, back: bool
) -> None:
    """At every point at most one registry accepts writes, and nothing is lost or written twice."""
    number = 0
    stages: set[tuple[bool, bool]] = set()
    while True:
        desk = filled.copy_to(filled.folder.with_name(f"desk-{number}"))
        uri = postgres.uri(postgres.create())
        old: Place = file_of(desk)
        new: Place = uri
        to = uri
        if back:
            desk.ok("registry", "move", "--to", uri)
            old, new, to = new, old, "sqlite:"

        def killed(desk: Desk = desk, to: str = to, number: int = number) -> None:
            with pytest.MonkeyPatch.context() as patch:
                kill_at(number, patch)
                os._exit(desk.run("registry", "move", "--to", to).code)

        code = in_child(killed)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        used = in_use(old), in_use(new)
        assert used != (True, True)
        stages.add(used)
        desk.ok("registry", "move", "--to", to)
        assert (in_use(old), in_use(new)) == (False, True)
        rows = content(new)
        assert [len(rows[table]) for table in ("licenses", "customers", "outbox")] == [2, 2, 1]
        assert events(new).count("registry-moved") == (2 if back else 1)
        assert desk.ok("customer", "list", "--json").json
        assert [each.name for each in desk.home.glob(".polygent-move-*")] == []
        number += 1
    assert stages == {(True, False), (False, False), (False, True)}
