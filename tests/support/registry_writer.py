"""A process of its own that writes to a registry, to be killed or refused by the system.

    python -m support.registry_writer create|write|wait|waiting|hold PATH COUNT [NAME]

Each acknowledged write prints `done`; an error of ours prints its code; `hold` stops in the
middle of a transaction that has already changed the file, `waiting` tries to write as soon as a
line comes in, and says so once the registry has refused it for the first time.
"""

import sqlite3
import sys
from pathlib import Path

from polygent_issuer.errors import IssuerError
from polygent_issuer.registry import Registry, connection, errors
from support.registries import ACTOR, NOW, REGISTRY_ID


def say(word: str) -> None:
    """Tell the test at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def write(registry: Registry, name: str) -> None:
    """Add one row in one transaction, and acknowledge it."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        db.insert("about", name=name, value="x")
        db.record("written")
    say("done")


def hold(registry: Registry) -> None:
    """Spill a transaction into the file, then wait to be killed."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        db.execute("PRAGMA cache_size = 1")
        for number in range(500):
            db.insert("about", name=f"held-{number}", value="x" * 500)
        db.record("held")
        say("holding")
        sys.stdin.read()


def write_when_told(registry: Registry) -> None:
    """Wait for a word, then for the lock, and write."""
    sys.stdin.readline()

    def is_busy(error: sqlite3.Error) -> bool:
        found = errors.is_busy(error)
        if found and not refused:
            refused.append(error)
            say("waiting")
        return found

    refused: list[sqlite3.Error] = []
    vars(connection)["is_busy"] = is_busy
    write(registry, "late")


def main(act: str, path: Path, count: int) -> None:
    """Do what the arguments say."""
    try:
        if act == "create":
            Registry.create(path, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID).close()
            say("done")
            return
        with Registry.open(path) as registry:
            if act in ("wait", "waiting"):
                say("open")
            if act == "waiting":
                write_when_told(registry)
            for number in range(count):
                write(registry, f"{sys.argv[4] if len(sys.argv) > 4 else 'row'}-{number}")
            if act == "hold":
                hold(registry)
    except IssuerError as error:
        say(error.code)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
