"""A private PostgreSQL server with databases for tests, on a local socket alone."""

import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

from polygent_issuer.registry.postgres.roles import GROUPS, sql
from support.disks import disk_in_memory, mounted

# Debian keeps the programs of each version in a folder of its own.
_INITDB = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path("/usr/bin/initdb"))
PROGRAMS = _INITDB.parent
# Large buffers make new databases slow, and a vacuum opens each of dozens of small ones in turn.
_FAST = ("max_wal_size=128MB", "shared_buffers=16MB", "autovacuum=off")
_GONE = 30.0
"""The most seconds that a killed process takes to end."""


@dataclass
class Cluster:
    """A server whose superuser is `postgres`; the socket is in `folder`."""

    folder: Path
    settings: Sequence[str] = _FAST
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def data(self) -> Path:
        """The folder of the data."""
        return self.folder / "data"

    def uri(self, database: str, user: str = "postgres") -> str:
        """Return the URI of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def create(self, template: str = "template1") -> str:
        """Create a database, a copy of another one that has no connection; return its name."""
        name = f"t{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Execute statements as the superuser."""
        with psycopg.connect(self.uri(database), autocommit=True) as connection:
            for each in statements:
                connection.execute(each.encode())

    def share(self, database: str) -> None:
        """Make `owner` the owner of a database, and create a user for each role.

        The users are `auditor`, `issuer`, `key_admin` and `manager`; `stranger` has no role.
        """
        for group in GROUPS:
            self._create_role(group.group, "NOLOGIN")
            self._create_role(group.group.removeprefix("polygent_"), f"LOGIN IN ROLE {group.group}")
        self._create_role("stranger", "LOGIN")
        self._create_role("owner", "LOGIN CREATEROLE")
        self.execute(f"ALTER DATABASE {database} OWNER TO owner")

    def _create_role(self, name: str, attributes: str) -> None:
        with suppress(psycopg.errors.DuplicateObject):  # the roles are those of the server
            self.execute(f"CREATE ROLE {name} {attributes}")

    def grant(self, database: str) -> None:
        """Grant the roles of the registry in a database, as its owner."""
        with psycopg.connect(self.uri(database, "owner"), autocommit=True) as connection:
            connection.execute(sql().encode())

    def rows(self, sql: str, database: str) -> list[tuple[object, ...]]:
        """Return the rows of a query as the superuser."""
        with psycopg.connect(self.uri(database)) as connection:
            return connection.execute(sql.encode()).fetchall()

    def start(self) -> None:
        """Start the server."""
        options = [f"-k {self.folder}", "-c listen_addresses="]
        options += [f"-c {setting}" for setting in self.settings]
        log = self.folder / "log"
        self.run("pg_ctl", "-D", self.data, "-l", log, "-o", " ".join(options), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` is as a crash."""
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()")

    def stop_if_running(self) -> None:
        """Stop the server, as in a crash."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")

    def crash(self) -> None:
        """Kill the server (-9) with all its processes, and wait until they are gone.

        A new server refuses to start while one of them still has the old shared memory.
        """
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGSTOP)  # it starts no more processes
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        with ExitStack() as closing:
            ends = []
            for each in (pid, *map(int, children)):
                with suppress(ProcessLookupError):
                    ends.append(os.pidfd_open(each))
                    closing.callback(os.close, ends[-1])
                    os.kill(each, signal.SIGKILL)
            for end in ends:
                assert select.select([end], [], [], _GONE)[0], "a process of the server is not gone"
        (self.data / "postmaster.pid").unlink()
        (self.folder / ".s.PGSQL.5432.lock").unlink()

    def run(self, program: str, *argv: str | Path) -> None:
        """Run a program of the server as its user: it refuses to run as root."""
        command: list[str | Path] = [PROGRAMS / program, *argv]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=120)


@contextmanager
def cluster(
    settings: Sequence[str] = _FAST, *, disk: str | None = None, in_memory: bool = True
) -> Iterator[Cluster]:
    """Create a server for the block; it takes a second.

    Args:
        settings: of the server.
        disk: the size of a disk for its data alone (`90m`); by default it shares the system's.
        in_memory: keep the data in memory, if there is enough; a benchmark needs a real disk.
    """
    # The path of a socket has at most 107 bytes.
    # A server with the settings of a real one is fast there.
    memory = disk_in_memory() if in_memory else None
    parent = memory or Path("/tmp")  # noqa: S108  # a folder of its own is made in it
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = Cluster(folder, settings)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if disk is not None:
            stack.enter_context(mounted(server.data, size=disk))
            shutil.chown(server.data, "postgres")
        server.run(
            *("initdb", "-D", server.data, "-U", "postgres", "-A", "trust"),
            *("--no-sync", "--locale=C.UTF-8", "-E", "UTF8", "--wal-segsize=1"),
        )
        server.start()
        stack.callback(server.stop_if_running)
        yield server


@contextmanager
def standby(primary: Cluster) -> Iterator[Cluster]:
    """Run a synchronous standby of a server for the block; each COMMIT then waits for it."""
    server = Cluster(Path(f"{primary.folder}-2"), ("cluster_name=second",))
    server.folder.mkdir(mode=0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, server.folder, ignore_errors=True)
        if os.geteuid() == 0:
            shutil.chown(server.folder, "postgres")
        source = ("-h", primary.folder, "-U", "postgres", "-c", "fast", "-R")
        primary.run("pg_basebackup", "-D", server.data, *source)
        server.start()
        stack.callback(server.stop_if_running)
        primary.set("synchronous_standby_names", "second")
        yield server
