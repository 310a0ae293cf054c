"""A separate process that writes to a registry, for tests that kill it or make it fail.

    python -m support.registry_writer create|write|wait|waiting|hold PATH COUNT [NAME]

Each acknowledged write prints `done`, and an error of the tool prints its code. `hold` stops in the
middle of a transaction that has already changed the file. `waiting` writes after a line on stdin,
and prints `waiting` when the registry is locked for the first time.
"""

import sqlite3
import sys
from pathlib import Path

from polygent_issuer.errors import IssuerError
from polygent_issuer.registry import Registry, errors, sqlite
from support.registries import ACTOR, NOW, REGISTRY_ID


def report(word: str) -> None:
    """Print a word for the test at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def write(registry: Registry, name: str) -> None:
    """Add one row in one transaction, and report it."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        db.insert("about", name=name, value="x")
        db.record("written")
    report("done")


def hold(registry: Registry) -> None:
    """Write a transaction into the file without a COMMIT, then wait to be killed."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        db.execute("PRAGMA cache_size = 1")
        for number in range(500):
            db.insert("about", name=f"held-{number}", value="x" * 500)
        db.record("held")
        report("holding")
        sys.stdin.read()


def write_after_line(registry: Registry) -> None:
    """Wait for a line on stdin, then for the lock, and write."""
    sys.stdin.readline()

    def is_busy(error: sqlite3.Error) -> bool:
        busy = errors.is_busy(error)
        if busy and not refused:
            refused.append(error)
            report("waiting")
        return busy

    refused: list[sqlite3.Error] = []
    vars(sqlite)["is_busy"] = is_busy
    write(registry, "late")


def main(act: str, path: Path, count: int) -> None:
    """Execute the command of the arguments."""
    try:
        if act == "create":
            Registry.create(path, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID).close()
            report("done")
            return
        with Registry.open(path) as registry:
            if act in ("wait", "waiting"):
                report("open")
            if act == "waiting":
                write_after_line(registry)
            for number in range(count):
                write(registry, f"{sys.argv[4] if len(sys.argv) > 4 else 'row'}-{number}")
            if act == "hold":
                hold(registry)
    except IssuerError as error:
        report(error.code)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
