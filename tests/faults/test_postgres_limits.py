"""Limits of a PostgreSQL server: locks, connections, its disk, Ctrl-C, a standby, and pools."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support import team_desk
from support.cli import Desk
from support.postgres import Cluster, cluster
from support.postgres_proxy import Fault, Session, proxy
from support.tools import require_tool
from support.waiting import eventually

from polygent_issuer.errors import ExitCode
from polygent_issuer.registry import (
    Actor,
    Registry,
    change,
    customers,
    journal,
)
from polygent_issuer.registry.errors import RegistryFailed, RegistryLocked
from polygent_issuer.registry.postgres import transactions
from polygent_issuer.registry.postgres.server import LOCK

pytestmark = pytest.mark.slow

ADA = Actor(operator="Ada", os_user="ada", uid=1000, host="desk")
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{}'"


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server with few connections, and a user who gets none of the superuser's."""
    with cluster(("max_connections=8", "superuser_reserved_connections=4")) as running:
        yield running


@pytest.fixture
def desk(empty_desk: Desk, server: Cluster) -> Desk:
    """A desk with a registry on the server."""
    return team_desk.open_on(empty_desk, server.uri(server.create()))


def sign(desk: Desk) -> tuple[str, ...]:
    """Return the command that signs a license."""
    return ("sign", "--machine-info", desk.machine_info())


def uri_of(desk: Desk) -> str:
    """Return the URI of the desk's registry."""
    return str(desk.ok("config", "show", "--json").json["settings"]["registry"]["value"])


@contextmanager
def lock_held(uri: str) -> Iterator[None]:
    """Hold the lock of all writers."""
    with psycopg.connect(uri) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({LOCK})".encode())
        yield


def test_a_lock_that_is_held_for_too_long(desk: Desk) -> None:
    """A writer gives up after the time limit; who only clears the outbox does not wait."""
    uri = uri_of(desk)
    with lock_held(uri), Registry.open(uri, busy_timeout=timedelta(milliseconds=50)) as registry:
        with pytest.raises(RegistryLocked), registry.writing(now=desk.now, actor=ADA):
            pass
        change.clear_delivered(registry, ["none"], now=desk.now, actor=ADA)
    desk.ok(*sign(desk))


def test_a_writer_that_stops(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends its transaction before the others give up."""
    uri = uri_of(desk)
    soon = tuple(each.replace("5min", "50ms") for each in transactions.BEGIN)
    monkeypatch.setattr(transactions, "BEGIN", soon)

    def write(registry: Registry) -> None:
        with registry.writing(now=desk.now, actor=ADA) as db:
            with Registry.open(uri) as other, other.writing(now=desk.now, actor=ADA):
                pass
            customers.add(db, slug="acme", name="Acme")

    with (
        Registry.open(uri) as stopped,
        pytest.raises(RegistryFailed, match="stopped for too long in a transaction"),
    ):
        write(stopped)
    with Registry.open(uri) as registry, registry.reading() as read:
        assert list(customers.every(read)) == []


def test_a_connection_that_is_lost_while_the_operator_reads(desk: Desk, server: Cluster) -> None:
    """The decision is compared on a new connection, and written."""
    with Registry.open(uri_of(desk)) as registry:
        decided = change.decide(registry, journal.head, now=desk.now, actor=ADA)
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )

        def write(db: Any) -> None:
            customers.add(db, slug="acme", name="Acme")
            db.record("customer-added", customer="acme")

        change.carry_out(decided, write)
        with registry.reading() as read:
            assert [each.slug for each in customers.every(read)] == ["acme"]


def test_no_free_connection(desk: Desk, server: Cluster) -> None:
    """The message gives the server's reason, and nothing is written."""
    server.execute("CREATE ROLE grace LOGIN")
    uri = uri_of(desk).replace("postgres@", "grace@")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGUSER", "grace")
        taken = []
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(psycopg.connect(uri))
        with pytest.raises(RegistryFailed, match="connection slots are reserved") as raised:
            Registry.open(uri)
        for each in taken:
            each.close()
    assert "wait for others" in str(raised.value.hint)
    desk.ok(*sign(desk))


@pytest.mark.parametrize(
    ("part", "other", "message", "hint"),
    [
        ("@/t", "@/missing", "database .* does not exist", "check the name"),
        ("postgres@", "stranger@", "role .* does not exist", "administrator"),
        ("pg-", "not-", "No such file", "check the network"),
    ],
)
def test_a_server_that_refuses(desk: Desk, part: str, other: str, message: str, hint: str) -> None:
    """The message gives the reason that the server gives, and what to do."""
    with pytest.raises(RegistryFailed, match=message) as raised:
        Registry.open(uri_of(desk).replace(part, other))
    assert hint in str(raised.value.hint)


@pytest.mark.parametrize("ignored", ["", "ignore_startup_parameters = options"])
def test_a_pool_in_transaction_mode(desk: Desk, server: Cluster, ignored: str) -> None:
    """PgBouncer refuses the settings of a session, or drops them: it is named as unsupported."""
    with pgbouncer(server, ignored) as port, pytest.raises(RegistryFailed) as raised:
        Registry.open(f"{uri_of(desk)}&port={port}")
    assert "PgBouncer" in f"{raised.value.message} {raised.value.hint}"


@contextmanager
def pgbouncer(server: Cluster, setting: str) -> Iterator[int]:
    """Run PgBouncer in front of the server; yield the port, which names its socket."""
    port, file = 6432, server.folder / "pgbouncer.ini"
    file.write_text(
        f"[databases]\n* = host={server.folder}\n[pgbouncer]\nlisten_addr =\n"
        f"unix_socket_dir = {server.folder}\nlisten_port = {port}\nauth_type = trust\n"
        f"auth_file = {server.folder}/users\npool_mode = transaction\n{setting}\n"
    )
    (server.folder / "users").write_text('"postgres" ""\n')
    program = require_tool("pgbouncer", "pgbouncer")
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with subprocess.Popen([*user, program, "-q", file], cwd="/", stderr=subprocess.DEVNULL) as run:
        try:
            assert eventually((server.folder / f".s.PGSQL.{port}").exists)
            yield port
        finally:
            run.terminate()


def interrupt_when(server: Cluster, waits_for: str) -> threading.Thread:
    """Press Ctrl-C in this process when a session waits for something; return the thread."""

    def work() -> None:
        sql = WAITING.format(waits_for)
        assert eventually(lambda: server.rows(sql, "postgres") != [(0,)])
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_ctrl_c_while_waiting_for_the_lock(desk: Desk, server: Cluster) -> None:
    """Nothing is written, and the next command works."""
    uri = uri_of(desk)
    before = team_desk.read(uri)
    with lock_held(uri):
        thread = interrupt_when(server, "advisory")
        outcome = desk.run(*sign(desk))
        thread.join()
    assert outcome.code == ExitCode.INTERRUPTED
    assert team_desk.problems(desk, uri, before, outcome) == []


def test_ctrl_c_at_the_commit(desk: Desk, server: Cluster, tmp_path: Path) -> None:
    """The COMMIT ends; the next command delivers."""
    uri = uri_of(desk)
    with proxy(server) as between:
        there = team_desk.at(
            desk, tmp_path / "there", uri.replace(str(server.folder), str(between.folder))
        )
        for answered in (False, True):
            before = team_desk.read(uri)
            name, fingerprint = f"Customer {int(answered)}", f"sha256:{int(answered) + 1:064x}"
            info = there.machine_info(customer=name, fingerprint=fingerprint)
            fault = Fault(text="COMMIT", act=press_ctrl_c, cut=False, answered=answered)
            between.arm(fault)
            outcome = there.run("sign", "--machine-info", info)
            assert outcome.code == ExitCode.INTERRUPTED, outcome
            assert team_desk.problems(there, uri, before, outcome) == []


def press_ctrl_c(_: Session) -> None:
    """Press Ctrl-C in this process."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
