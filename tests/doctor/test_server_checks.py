"""Checks of the server of a team's registry, on a real one."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.cli import PASSPHRASE, Desk
from support.doctor_rows import SERVER_ROWS as ROWS
from support.doctor_rows import look, row
from support.postgres import Cluster, cluster
from support.waiting import eventually

from polygent_issuer.doctor import server_checks
from polygent_issuer.home.settings_editing import set_value
from polygent_issuer.registry import Registry
from polygent_issuer.registry.postgres.roles import sql
from polygent_issuer.registry.postgres.server import LOCK

DURABLE = ("max_connections=30",)


def desk_at(folder: Path, uri: str) -> Desk:
    """Return a desk whose registry is in a database."""
    folder.mkdir(exist_ok=True)
    desk = Desk(folder, now=datetime.now(UTC), environ={"DBUS_SESSION_BUS_ADDRESS": ""})
    desk.ok("init", "--issuer", "Polygent Ltd", "--upload-window", "7d", "--registry", uri)
    return desk


def as_role(server: Cluster, database: str, folder: Path, user: str) -> Desk:
    """Return a desk that uses a new registry as a user with a role."""
    server.share(database)
    desk = desk_at(folder, server.uri(database, "owner"))
    server.execute(sql(), database=database)
    set_value(desk.home, "registry", server.uri(database, user))
    return desk


@pytest.fixture
def database(postgres: Cluster) -> str:
    """The name of an empty database."""
    return postgres.create()


@pytest.fixture
def team(tmp_path: Path, postgres: Cluster, database: str) -> Desk:
    """A desk with an empty registry in `database`."""
    return desk_at(tmp_path, postgres.uri(database))


@pytest.mark.sqlite
def test_a_registry_in_a_file_has_no_rows_of_a_server(desk: Desk) -> None:
    """Neither has one whose file is missing."""
    names = {each["name"] for each in desk.run("doctor", "--json").json["rows"]}
    assert not names & set(ROWS)
    (desk.home / "registry.db").unlink()
    names = {each["name"] for each in desk.run("doctor", "--json").json["rows"]}
    assert not names & set(ROWS)


def test_a_good_server_is_ok(tmp_path: Path) -> None:
    """With the settings of a new server and a user who has roles, no row warns."""
    with cluster(DURABLE) as server:
        desk = as_role(server, server.create(), tmp_path, "issuer")
        outcome = desk.ok("doctor", "--json")
        for name in ROWS:
            assert row(outcome, name)["state"] == "ok", name
        assert row(outcome, "server")["message"].startswith("PostgreSQL 1")
        assert row(outcome, "tls")["message"] == "local socket"
        assert row(outcome, "connections")["message"] == "26 of 27 connections are free"
        assert row(outcome, "integrity")["message"] == "the server checks its pages and references"


def test_an_older_server_is_a_warning(team: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row names the versions that are tested."""
    monkeypatch.setattr(server_checks, "OLDEST_SERVER", 990000)
    result = look(team, "server")
    assert result["state"] == "warn"
    assert result["message"].endswith(" is not supported: 99 or newer is")


def test_a_server_that_does_not_answer_is_one_failure(
    team: Desk, postgres: Cluster, database: str
) -> None:
    """The row *registry* has the reason; rows of the server and of shared settings refer to it."""
    postgres.execute(f"ALTER DATABASE {database} RENAME TO {database}_away")
    outcome = team.run("doctor", "--json")
    assert outcome.code == 7
    assert row(outcome, "registry")["state"] == "fail"
    for name in ROWS:
        assert row(outcome, name)["message"] == "not checked: the registry cannot be opened", name
    for name in ("issuer", "upload-window"):
        assert row(outcome, name)["message"] == "not checked: the registry cannot be read"


def test_settings_that_lose_commits_are_a_failure(
    team: Desk, postgres: Cluster, database: str
) -> None:
    """The settings of the session count, also if they are those of a database or a user."""
    assert look(team, "durability")["state"] == "ok"
    postgres.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    outcome = team.run("doctor", "--json")
    assert outcome.code == 7
    result = row(outcome, "durability")
    assert result["message"] == (
        "synchronous_commit=off: a crash of the server loses or damages issued licenses"
    )


@pytest.mark.slow
def test_a_server_that_does_not_flush_is_a_failure(tmp_path: Path) -> None:
    """Each setting that loses or damages data in a crash is named."""
    with cluster(("fsync=off", "full_page_writes=off")) as server:
        desk = desk_at(tmp_path, server.uri(server.create()))
        result = look(desk, "durability")
    assert result["state"] == "fail"
    assert result["message"].startswith("fsync=off, full_page_writes=off: a crash")


def test_the_roles_of_the_user_are_named(tmp_path: Path, postgres: Cluster) -> None:
    """An auditor has one; who can change the journal, the owner for example, is a warning."""
    database = postgres.create()
    desk = as_role(postgres, database, tmp_path, "auditor")
    result = look(desk, "roles")
    message = "auditor has auditor; not issuer, key-admin, manager"
    assert (result["state"], result["message"]) == ("ok", message)
    assert look(desk, "key")["message"] == "not needed by your roles in the registry"
    for user, end in (("owner", "is the owner"), ("postgres", "is a superuser")):
        with set_aside(desk, postgres.uri(database, user)):
            result = look(desk, "roles")
            assert result["state"] == "warn"
            assert result["message"] == f"{user} {end}, who can change the journal"
    postgres.execute("GRANT UPDATE ON polygent.journal TO auditor", database=database)
    result = look(desk, "roles")
    assert (result["state"], result["message"]) == (
        "warn",
        f"{message}; but the user can change the journal",
    )


def test_clocks_that_differ_are_a_warning(team: Desk) -> None:
    """A difference of 5 minutes is accepted; a larger one is not, in either direction."""
    assert look(team, "server-clock")["state"] == "ok"
    start = team.now
    for minutes in (6, -6):
        team.now = start + timedelta(minutes=minutes)
        result = look(team, "server-clock")
        assert result["state"] == "warn"
        assert team.now.strftime("but %Y-%m-%dT%H:%M:%SZ at this machine") in result["message"]


def test_another_encoding_is_a_failure(tmp_path: Path, postgres: Cluster) -> None:
    """A database that cannot store every name is reported."""
    postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    result = look(desk_at(tmp_path, postgres.uri("latin")), "encoding")
    assert result["state"] == "fail"
    assert "is LATIN1" in result["message"]


def test_another_collation_is_a_failure(team: Desk, postgres: Cluster, database: str) -> None:
    """A column that is not compared byte by byte is named."""
    change = 'ALTER TABLE polygent.outbox ALTER COLUMN name TYPE text COLLATE "ucs_basic"'
    postgres.execute(change, database=database)
    outcome = team.run("doctor", "--json")
    assert row(outcome, "encoding")["state"] == "fail"
    assert "of outbox.name is not C" in row(outcome, "encoding")["message"]
    tables = row(outcome, "tables")
    assert tables["message"] == "the column outbox.name is not as this tool creates it"
    assert tables["mend"].startswith("let the owner undo the change, or restore the last good")


def test_few_free_connections_are_a_warning(team: Desk, postgres: Cluster, database: str) -> None:
    """The limit of the database counts, too."""
    postgres.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 6")
    with psycopg.connect(postgres.uri(database)):
        result = look(team, "connections")
    assert result["state"] == "warn"
    assert result["message"].startswith("4 of ")


def test_a_session_that_keeps_the_lock_of_writers_is_named(
    tmp_path: Path, postgres: Cluster
) -> None:
    """Any user can take the lock, so the row has the command that ends the session."""
    database = postgres.create()
    desk = as_role(postgres, database, tmp_path, "issuer")
    assert look(desk, "writer")["message"].startswith("no session holds the lock")
    with psycopg.connect(postgres.uri(database, "stranger"), application_name="report") as session:
        session.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        pid = session.info.backend_pid
        result = look(desk, "writer")
    assert result["state"] == "warn"
    assert result["message"] == (
        f"the user stranger (report) in the server's process {pid} holds the lock of the commands "
        "that write, so they wait"
    )
    assert result["mend"].endswith(f"can end it: SELECT pg_terminate_backend({pid})")


@pytest.mark.parametrize(("waited", "state"), [(0.0, "ok"), (9.0, "ok"), (11.0, "warn")])
@pytest.mark.usefixtures("team")
def test_a_command_of_this_tool_may_hold_the_lock_for_a_while(
    postgres: Cluster, database: str, waited: float, state: str
) -> None:
    """A group of a batch takes a quarter of a second; only a longer one is a warning."""
    with Registry.open(postgres.uri(database)) as registry:
        registry.connection.begin_writing()
        facts = registry.connection.facts()
        registry.connection.roll_back()
    assert facts is not None
    assert facts.writer is not None
    facts = facts._replace(writer=facts.writer._replace(waited=waited))
    assert server_checks.writer(facts).state == state


def test_fixes_are_within_the_roles_of_the_user(tmp_path: Path, postgres: Cluster) -> None:
    """An issuer names the store of a key that the registry has; a key admin creates one."""
    database = postgres.create()
    desk = as_role(postgres, database, tmp_path, "issuer")
    create = look(desk, "active-key")["mend"]
    assert create.startswith("let a user with the role key-admin do it: polygent-issue key gen")
    desk.passphrase_file.write_text(PASSPHRASE)
    desk.passphrase_file.chmod(0o600)
    with set_aside(desk, postgres.uri(database, "key_admin")):
        desk.ok("key", "generate", "main", "--store", f"file:{tmp_path}/main.key", "--no-backup")
        assert look(desk, "key-backup")["mend"] == "polygent-issue key backup main FILE"
        kid = desk.ok("key", "list", "--json").json["keys"][0]["kid"]
        desk.ok("config", "set", f"stores.{kid}", f"file:{tmp_path}/lost.key")
        assert "polygent-issue key import BACKUP" in look(desk, "key")["mend"]
    desk.ok("config", "set", f"stores.{kid}", f"file:{tmp_path}/main.key")
    assert look(desk, "key-backup")["mend"].startswith("let a user with the role key-admin do it")
    desk.ok("config", "set", f"stores.{kid}", f"file:{tmp_path}/lost.key")
    named = f"name the place of your private key: polygent-issue config set stores.{kid} URI"
    assert look(desk, "key")["mend"] == named
    assert look(desk, "key-backup")["mend"].startswith("make the private key available first")


@contextmanager
def standby_of(server: Cluster, folder: Path) -> Iterator[Cluster]:
    """Run a standby of a server."""
    standby = Cluster(folder, server.settings)
    options = ("-h", server.folder, "-U", "postgres", "-D", standby.data, "-R", "-c", "fast")
    server.run("pg_basebackup", *options, "--no-sync")
    standby.start()
    try:
        yield standby
    finally:
        standby.stop("immediate")


def wait_for(server: Cluster, condition: str) -> None:
    """Wait until a condition on the only standby is true; without a standby it is NULL."""
    check = f"SELECT {condition} FROM (SELECT 1) AS one LEFT JOIN pg_stat_replication ON TRUE"  # noqa: S608
    assert eventually(lambda: server.rows(check, "postgres") == [(True,)])


@pytest.mark.slow
def test_standbys_are_reported(tmp_path: Path) -> None:
    """Their state is for members of pg_monitor; a synchronous one that is missing is a failure."""
    with cluster(DURABLE) as server:
        database = server.create()
        uri = server.uri(database)
        desk = desk_at(tmp_path, uri)
        assert look(desk, "replication")["message"].startswith("no standby")
        with standby_of(server, server.folder / "standby") as standby:
            wait_for(server, "state = 'streaming' AND flush_lsn = pg_current_wal_lsn()")
            name = "walreceiver"
            assert look(desk, "replication")["message"] == f"{name} asynchronous, 0 KiB behind"
            server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            server.execute("SELECT pg_reload_conf()")
            wait_for(server, "sync_state = 'sync'")
            assert look(desk, "replication")["message"] == f"{name} synchronous, 0 KiB behind"
            server.execute(
                "CREATE ROLE reader LOGIN",
                "GRANT USAGE ON SCHEMA polygent TO reader",
                "GRANT SELECT ON ALL TABLES IN SCHEMA polygent TO reader",
                database=database,
            )
            with set_aside(desk, server.uri(database, "reader")):
                result = look(desk, "replication")
                assert result["state"] == "not_checked"
                assert result["message"].endswith("state of standbys (connected: 1)")
            with set_aside(desk, standby.uri(database)):
                result = look(desk, "replication")
                assert (result["state"], "is a standby" in result["message"]) == ("fail", True)
        wait_for(server, "pid IS NULL")
        result = look(desk, "replication")
        assert (result["state"], "none is connected" in result["message"]) == ("fail", True)


@contextmanager
def set_aside(desk: Desk, uri: str) -> Iterator[None]:
    """Use another registry for the block."""
    settings = desk.home / "settings.toml"
    text = settings.read_text()
    set_value(desk.home, "registry", uri)
    yield
    settings.write_text(text)


def certificate(folder: Path) -> Path:
    """Write a certificate of `localhost`, and its key in `server.key`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=9))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    builder = builder.add_extension(names, critical=False)
    path = folder / "server.crt"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.key").write_bytes(pem)
    (folder / "server.key").chmod(0o600)
    return path


@pytest.mark.slow
def test_a_network_connection_has_tls(tmp_path: Path) -> None:
    """The row has its version; a server whose certificate is not trusted is not used."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with cluster(DURABLE) as server:
        trusted = certificate(server.folder)
        status = server.data.stat()
        os.chown(server.folder / "server.key", status.st_uid, status.st_gid)
        server.stop()
        server.settings = (
            *DURABLE,
            "listen_addresses=localhost",
            f"port={port}",
            "ssl=on",
            f"ssl_cert_file={trusted}",
            f"ssl_key_file={server.folder}/server.key",
        )
        server.start()
        uri = f"postgresql://postgres@localhost:{port}/postgres?sslrootcert={trusted}"
        desk = desk_at(tmp_path / "desk", uri)
        result = look(desk, "tls")
        assert result["state"] == "ok"
        assert result["message"] == "TLSv1.3; the server's certificate was verified"
        other = certificate(tmp_path)
        set_value(desk.home, "registry", uri.replace(str(trusted), str(other)))
        outcome = desk.run("doctor", "--json")
        assert outcome.code == 7
        assert row(outcome, "registry")["state"] == "fail"
