"""A registry in PostgreSQL to one in a file: `python tests/benchmarks/engines.py [ITEMS [RUNS]]`.

The server is on a local socket of the same machine, and both engines sync every commit. Each pair
is measured in turn, and the median of the ratios is printed: of a whole process that renews one
license, of one that lists ten, and, in one process, of the renewal of many licenses with files and
of reading all of them.
"""

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batches import make, renew  # type: ignore[import-not-found]
from support import postgres

from polygent_issuer.registry import REGISTRY_FILE, Registry, journal_check, licenses
from polygent_issuer.registry.errors import Place

TOOL: Final = str(Path(sysconfig.get_path("scripts")) / "polygent-issue")
PROCESSES: Final = 10


@dataclass(frozen=True, kw_only=True)
class Home:
    """A home with a key in a file, and a license that is due of each of ten customers."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *registry: str) -> "Home":
        """Create it in a folder, with the options of `init` for its registry."""
        home = cls(folder=folder)
        (folder / "out").mkdir(parents=True)
        (folder / "passphrase").write_text("a passphrase for measuring\n", encoding="ascii")
        (folder / "passphrase").chmod(0o600)
        store = f"file:{folder / 'main.key'}"
        home.run("init", *registry, "--operator", "Ada", "--output", str(folder / "out"))
        home.run("key", "generate", "main", "--store", store, "--no-backup")
        for number in range(PROCESSES):
            terms = ("--tier", "enterprise", "--term", "60d")
            home.run("sign", "--customer", f"Customer {number}", *terms)
        return home

    def run(self, *argv: str) -> None:
        """Run a command in a process."""
        environ = {
            **os.environ,
            "POLYGENT_ISSUER_HOME": str(self.folder / "home"),
            "POLYGENT_ISSUER_PASSPHRASE_FILE": str(self.folder / "passphrase"),
        }
        subprocess.run([TOOL, *argv], check=True, capture_output=True, env=environ)


def read_all(place: Place) -> None:
    """List all licenses, and check the journal and all rows."""
    with Registry.open(place) as registry, registry.reading() as db:
        assert sum(1 for _ in licenses.select(db)) > 0
        assert journal_check.verify(db).problems == ()


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def report(what: str, wanted: str, pairs: Iterable[tuple[float, float]]) -> None:
    """Print the medians of pairs of seconds, in a file and at a server, and of their ratio."""
    files, servers = zip(*pairs, strict=True)
    ratios = [server / file for file, server in zip(files, servers, strict=True)]
    sys.stdout.write(
        f"{what}: {statistics.median(ratios):.2f} ({wanted}); {statistics.median(files):.3f} s in "
        f"a file, {statistics.median(servers):.3f} s at a server\n"
    )
    sys.stdout.flush()


def batch(folder: Path, items: int, uri: str | None) -> tuple[float, float]:
    """Renew many licenses with files, then read everything; return the seconds of both."""
    (folder / "out").mkdir(parents=True)
    make(folder, items, uri)
    place = uri or folder / REGISTRY_FILE
    renewing = seconds(lambda: renew(place, folder / "out"))
    return renewing, seconds(lambda: read_all(place))


def main() -> None:
    """Measure, and print the ratios."""
    items, runs = (int(word) for word in (*sys.argv[1:], *("10000", "3")[len(sys.argv) - 1 :]))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres.cluster(settings=(), in_memory=False))
        homes = (
            Home.make(folder / "file"),
            Home.make(folder / "server", "--registry", server.uri(server.create())),
        )
        for what, wanted, commands in (
            ("`license list`", "<= 2.5", [["license", "list"]] * PROCESSES),
            (
                "`renew ONE`",
                "<= 2",
                [["renew", f"customer-{n}", "--yes"] for n in range(PROCESSES)],
            ),
        ):
            pairs = [
                (seconds(lambda: homes[0].run(*argv)), seconds(lambda: homes[1].run(*argv)))  # noqa: B023
                for argv in commands
            ]
            report(what, wanted, pairs)
        several = [
            (
                batch(folder / f"file-{run}", items, None),
                batch(folder / f"server-{run}", items, server.uri(server.create())),
            )
            for run in range(runs)
        ]
        report(f"{items} renewals", "<= 2", ((file[0], there[0]) for file, there in several))
        report(f"reading {2 * items}", "", ((file[1], there[1]) for file, there in several))


if __name__ == "__main__":
    main()
