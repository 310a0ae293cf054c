"""Faults of a PostgreSQL server and of the connection to it, at each statement of a command.

Afterwards no acknowledged license is lost, none is issued twice, the journal is intact, the next
command works, and every license is delivered.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest
from support import team_desk
from support.batch_items import due
from support.cli import Desk
from support.fault_sweep import FULL
from support.postgres import Cluster, cluster
from support.postgres_proxy import Act, Fault, Proxy, Session, proxy
from support.waiting import eventually

from polygent_issuer.errors import ExitCode

pytestmark = pytest.mark.slow

DURABLE = ()
"""No setting: the server syncs every commit."""
RENEW = ("renew", "acme-gmbh", "--accept", "not-due", "--reason", "asked for")


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server that syncs."""
    with cluster(DURABLE) as running:
        yield running


@pytest.fixture(scope="module")
def between(server: Cluster) -> Iterator[Proxy]:
    """A proxy in front of it."""
    with proxy(server) as running:
        yield running


@dataclass
class Place:
    """Desks on copies of one database.

    Attributes:
        argv: the command at each desk.
    """

    server: Cluster
    between: Proxy
    folder: Path
    desk: Desk
    template: str
    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        """Number the copies."""
        self._numbers = count()

    def copy(self) -> tuple[Desk, str]:
        """Return another desk, through the proxy, and the direct URI of its registry."""
        name = self.server.create(self.template)
        folder = self.folder / str(next(self._numbers))
        return team_desk.at(self.desk, folder, self.between.uri(name)), self.server.uri(name)

    def statements(self) -> list[str]:
        """Return the statements of the command without a fault."""
        desk, _ = self.copy()
        self.between.arm()
        desk.ok(*self.argv)
        self.between.settle()
        return self.between.statements

    def broken_by(self, fault: Fault) -> list[str]:
        """Run the command with a fault; return what is wrong afterwards."""
        desk, uri = self.copy()
        before = team_desk.read(uri)
        self.between.arm(fault)
        outcome = desk.run(*self.argv)
        self.between.settle()
        self.between.arm()
        wait_for(self.server)
        if fault.text == "COMMIT":
            assert outcome.code == (0 if fault.answered else ExitCode.REGISTRY), outcome
        return [
            f"{fault} ({outcome}): {each}"
            for each in team_desk.problems(desk, uri, before, outcome)
        ]


def wait_for(server: Cluster) -> None:
    """Wait until the server accepts connections again."""
    for _ in range(600):
        with suppress(psycopg.OperationalError):
            server.execute("SELECT 1")
            return
        time.sleep(0.1)
    pytest.fail("the server did not come back")


def _sign(desk: Desk) -> tuple[str, ...]:
    return ("sign", "--machine-info", desk.machine_info())


def _renew(desk: Desk) -> tuple[str, ...]:
    desk.ok(*_sign(desk))
    return RENEW


COMMANDS: dict[str, Callable[[Desk], tuple[str, ...]]] = {
    "sign": _sign,
    "renew": _renew,
    "batch": due,
}


@pytest.fixture(scope="module", params=COMMANDS)
def place(
    request: pytest.FixtureRequest,
    server: Cluster,
    between: Proxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    """A command on a database."""
    folder = tmp_path_factory.mktemp("team")
    name = server.create()
    desk = team_desk.open_on(Desk(folder / "first"), server.uri(name))
    return Place(server, between, folder, desk, name, COMMANDS[request.param](desk))


def cut(_: Session) -> None:
    """Cut the connection alone."""


def kill_backend(session: Session) -> None:
    """Kill the process of this connection; the server then restarts all its processes."""
    os.kill(session.pid, signal.SIGKILL)
    # Until the server has noticed it, it still accepts connections, which it then ends.
    assert eventually(lambda: not Path(f"/proc/{session.pid}").exists())


def crash(session: Session) -> None:
    """Kill the server, and start it again."""
    server = session.server
    server.crash()
    session.cut()
    server.start()


ACTS: tuple[Act, ...] = (cut, kill_backend, crash)


def faults(statements: list[str], act: Act, *, answered: bool) -> Iterator[Fault]:
    """Yield a fault at the first COMMIT, and at each other statement, or at some in a sample."""
    yield Fault(text="COMMIT", act=act, answered=answered)
    commit = statements.index("COMMIT") + 1
    some = [commit // 2, commit - 2] if act is cut else []
    for number in range(1, len(statements) + 1) if FULL else some:
        yield Fault(number=number, act=act, answered=answered)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_each_statement(place: Place, act: Act, *, answered: bool) -> None:
    """The server or the connection ends before a statement, or before its answer arrives."""
    broken = []
    for fault in faults(place.statements(), act, answered=answered):
        broken += place.broken_by(fault)
    assert broken == []
