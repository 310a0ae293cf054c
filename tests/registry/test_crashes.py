"""Killed, failing and simultaneous processes: acknowledged rows stay, all others are undone."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from support.registries import NOW, writing
from support.tools import require_tool, unmeasured

from polygent_issuer.registry import Registry, journal_check, schema
from polygent_issuer.registry.errors import RegistryMissing

pytestmark = pytest.mark.slow  # real processes, several for each test

TESTS = Path(__file__).parents[1]


def writer(*arguments: str) -> list[str]:
    """Return the command line of a process that writes."""
    return [sys.executable, "-m", "support.registry_writer", *arguments]


def environ() -> dict[str, str]:
    """Return the environment with the test support on the path, without coverage measurement."""
    return {**unmeasured(), "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}


def run(command: Sequence[str]) -> list[str]:
    """Run the writer; return its output, line by line, however it ended."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environ(), timeout=60
    )
    return done.stdout.split()


def rows(path: Path) -> int:
    """Return the number of journal rows of a registry, which must be intact."""
    with Registry.open(path) as registry, registry.reading() as db:
        found = journal_check.verify(db)
        assert found.problems == ()
        assert next(iter(db.execute("PRAGMA integrity_check"))) == ("ok",)
        return found.size


def test_a_writer_killed_within_a_transaction_leaves_nothing(
    registry: Registry, path: Path
) -> None:
    """The next process undoes the transaction of a killed writer, whose pages are in the file."""
    registry.close()
    with subprocess.Popen(
        writer("hold", str(path), "2"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ(),
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(3)]
        size = path.stat().st_size
        process.kill()
    assert said == ["done", "done", "holding"]
    assert Path(f"{path}-journal").stat().st_size > 0
    assert rows(path) == 3
    assert path.stat().st_size < size
    assert not Path(f"{path}-journal").exists()


def test_simultaneous_writers_lose_nothing(registry: Registry, path: Path) -> None:
    """Four processes write one chain with each acknowledged row exactly once."""
    registry.close()
    processes = [
        subprocess.Popen(
            writer("write", str(path), "15", f"writer-{number}"),
            stdout=subprocess.PIPE,
            text=True,
            env=environ(),
        )
        for number in range(4)
    ]
    said = [process.communicate(timeout=100)[0].split() for process in processes]
    assert said == [["done"] * 15] * 4
    assert rows(path) == 1 + 4 * 15
    with Registry.open(path) as opened, opened.reading() as db:
        (found,) = db.execute("SELECT count(DISTINCT name) FROM about WHERE name LIKE 'writer-%'")
    assert found == (60,)


def test_simultaneous_creations_make_one_registry(path: Path) -> None:
    """One process creates the registry; the others get an error that it exists."""
    processes = [
        subprocess.Popen(
            writer("create", str(path), "0"), stdout=subprocess.PIPE, text=True, env=environ()
        )
        for _ in range(4)
    ]
    said = sorted(process.communicate(timeout=100)[0].strip() for process in processes)
    assert said == ["done", "registry_exists", "registry_exists", "registry_exists"]
    assert rows(path) == 1


def test_simultaneous_openers_migrate_once(path: Path) -> None:
    """A process that waited for another one's migration does not apply it again."""
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.commit()
    processes = [
        subprocess.Popen(
            writer("write", str(path), "1", f"writer-{number}"),
            stdout=subprocess.PIPE,
            text=True,
            env=environ(),
        )
        for number in range(4)
    ]
    assert [process.communicate(timeout=100)[0] for process in processes] == ["done\n"] * 4
    assert rows(path) == 4


def test_an_interrupt_ends_the_wait_for_a_lock(registry: Registry, path: Path) -> None:
    """Ctrl-C ends the wait long before the busy timeout of 30 seconds."""
    with (
        writing(registry),
        subprocess.Popen(
            writer("wait", str(path), "1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environ(),
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(10) != 0
            assert process.stdout.read() == ""
        finally:
            process.kill()
    assert rows(path) == 2


def injected(call: str, fault: str, number: int, *arguments: str) -> list[str]:
    """Run a writer whose N-th system call of a kind meets a fault."""
    strace = require_tool("strace", "strace")
    options = ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    return [strace, *options, "-e", f"inject={call}:{fault}:when={number}", *writer(*arguments)]


# The least number of calls that one transaction makes; every one meets the fault in its turn.
CALLS = [("pwrite64", 20), ("fdatasync", 4), ("unlink", 1)]


def turns(call: str) -> Iterator[int]:
    """Yield the numbers of the calls that fail: all in the deep profile, else some."""
    deep = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
    return count(1, 5 if call == "pwrite64" and not deep else 1)


@pytest.mark.parametrize(("call", "least"), CALLS)
@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO", "error=ENOSPC"])
def test_a_fault_at_each_call_of_a_write_is_survived(
    registry: Registry, path: Path, call: str, least: int, fault: str
) -> None:
    """After a kill or an error at any call, acknowledged rows are there, and the file is intact."""
    registry.close()
    before, met = rows(path), 0
    for number in turns(call):
        said = run(injected(call, fault, number, "write", str(path), "1", f"{number}"))
        after = rows(path)
        if said == ["done"]:
            assert after == before + 1
            if number > least:
                break
        else:
            met += 1
            assert said == ([] if fault == "signal=KILL" else ["registry_failed"])
            assert after in (before, before + 1)
        before = after
    assert met


@pytest.mark.parametrize(("call", "least"), CALLS)
def test_a_killed_creation_can_be_repeated(tmp_path: Path, call: str, least: int) -> None:
    """After a kill at any call the registry is complete, or the next creation makes it."""
    for number in turns(call):
        path = tmp_path / f"{number}.db"
        said = run(injected(call, "signal=KILL", number, "create", str(path), "0"))
        assert said in ([], ["done"])
        if not path.exists() or not is_made(path):
            assert said == []
            assert run(writer("create", str(path), "0")) == ["done"]
        assert rows(path) == 1
        if said == ["done"]:
            assert number > least
            return


def is_made(path: Path) -> bool:
    """Return whether a creation was completed."""
    try:
        return rows(path) == 1
    except RegistryMissing:
        return False


def test_a_failed_creation_can_be_repeated(path: Path) -> None:
    """A creation that fails at a file size limit can be repeated."""
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *writer("create", str(path), "0")]
    assert run(limited) == ["registry_failed"]
    with pytest.raises(RegistryMissing):
        rows(path)
    assert run(writer("create", str(path), "0")) == ["done"]
    assert rows(path) == 1


def test_a_file_size_limit_is_an_error_and_leaves_nothing(registry: Registry, path: Path) -> None:
    """A write that fails at a file size limit leaves nothing; the next write works."""
    registry.close()
    blocks = path.stat().st_size // 1024 + 8
    command = ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash"]
    said = run([*command, *writer("hold", str(path), "1")])
    assert said == ["done", "registry_failed"]
    assert rows(path) == 2
    with Registry.open(path) as opened, writing(opened, now=NOW) as db:
        db.insert("about", name="later", value="x")
    assert rows(path) == 3
