"""Time and memory with many licenses: `python tests/benchmarks/scale.py [--small]`.

Commands for one customer are timed as whole processes with a thousand and with a hundred thousand
licenses in the registry, in turn; the median of the ratios is printed. Commands that walk through
the whole registry run once with ten thousand and once with a hundred thousand licenses, each of
another customer, and their peak memory is printed. `journal verify` is timed in its own process,
with a license for each row, and so is bare reading and hashing of the same rows. On the same
journal a seal is made, as at the end of each command that signs, and checked.

Only the standard library is imported: on Linux a child's peak memory is at least that of its parent
at the start.
"""

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
TOOL = str(Path(sysconfig.get_path("scripts")) / "polygent-issue")
ONE = "due-049"
PER_CUSTOMER = 10
KIB = 1 if sys.platform.startswith("linux") else 1024

# In process, so that neither start-up nor a migration counts; in seconds of the processor. Of two
# processes the busier one counts, which on two free cores is the time that passes. Bare is reading
# the same rows, and hashing as many bytes, with nothing compared.
_VERIFY = """
import gc, os, sqlite3, sys, time
from hashlib import sha256
from pathlib import Path
from polygent_issuer.registry import Registry, journal_check
gc.set_threshold(100_000)  # as the command does
with Registry.open(Path(sys.argv[1])) as registry:
    begun = time.process_time()
    check = journal_check.verify_registry(registry)
    times = os.times()
    ours = max(time.process_time() - begun, times.children_user + times.children_system)
    assert not check.problems
    with registry.reading(checked=False) as db:
        begun = time.process_time()
        journal_check.verify(db)
        alone = time.process_time() - begun
begun = time.process_time()
bare = sqlite3.connect(sys.argv[1])
for _, previous, body, _ in bare.execute("SELECT seq, previous, bytes, hash FROM journal"):
    sha256(previous + body).digest()
for row in bare.execute("SELECT * FROM licenses"):
    sha256(row[4]).hexdigest()
    sha256(body).hexdigest()
print(check.size / ours, check.size / alone, check.size / (time.process_time() - begun))
"""

# In milliseconds of the processor, without the imports, which the first seal makes.
_SEAL = """
import statistics, sys, time
from datetime import UTC, datetime
from pathlib import Path
from polygent_issuer.issuing.signing import seal_journal
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import Actor, Registry, keys, seals
signer = SoftwareSigner(generate_private_key())
now, actor = datetime.now(UTC), Actor(operator="Ada", os_user="ada", uid=None, host="desk")
sealing, checking = [], []
with Registry.open(Path(sys.argv[1])) as registry:
    with registry.writing(now=now, actor=actor) as db:
        keys.add(db, key=signer.public_key, label="seals")
        db.record("key-generated", kid=signer.kid)
    for _ in range(25):
        begun = time.process_time()
        assert seal_journal(registry, signer.kid, lambda: signer, now=now, actor=actor)
        sealing.append(time.process_time() - begun)
        with registry.reading(checked=False) as db:
            begun = time.process_time()
            assert not any(each.problem for each in seals.check(db))
            checking.append(time.process_time() - begun)
        with registry.writing(now=now, actor=actor) as db:
            db.record("head-noted")  # something to seal
print(*(1000 * statistics.median(seconds) for seconds in (sealing, checking)))
"""


@dataclass(frozen=True, kw_only=True)
class Size:
    """The sizes of the registries, and the number of runs of each pair."""

    few: int
    many: int
    fewer_customers: int
    more_customers: int
    runs: int


FULL = Size(few=1_000, many=100_000, fewer_customers=10_000, more_customers=100_000, runs=15)
SMALL = Size(few=1_000, many=20_000, fewer_customers=2_000, more_customers=20_000, runs=3)


@dataclass(frozen=True, kw_only=True)
class Home:
    """A folder made by `support.large_registries`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *words: object) -> "Home":
        """Make it in a process of its own, so that its memory is released."""
        command = [sys.executable, "-m", "support.large_registries", str(folder)]
        environ = {**os.environ, "PYTHONPATH": str(TESTS)}
        subprocess.run([*command, *map(str, words)], check=True, env=environ)
        return cls(folder=folder)

    @property
    def registry(self) -> str:
        """The registry file."""
        return str(self.folder / "home" / "registry.db")

    def start(self, *argv: str, **streams: int) -> "subprocess.Popen[bytes]":
        """Start a command of the tool with this home."""
        passphrase = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(self.folder / "passphrase")}
        home = {"POLYGENT_ISSUER_HOME": str(self.folder / "home")}
        given = {"stdout": subprocess.DEVNULL, **streams}
        environ = {**os.environ, **passphrase, **home}
        return subprocess.Popen([TOOL, *argv], env=environ, **given)  # type: ignore[call-overload,no-any-return]

    def seconds(self, *argv: str) -> float:
        """Return the seconds that a command takes, which must succeed."""
        begun = time.perf_counter()
        assert self.start(*argv, stderr=subprocess.DEVNULL).wait() == 0, argv
        return time.perf_counter() - begun

    def license_of(self, customer: str) -> str:
        """Return the ID of the only license of a customer."""
        listing = ("license", "list", "--customer", customer, "--json")
        with self.start(*listing, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            return str(json.load(process.stdout)["licenses"][0]["id"])

    def first_line(self, *argv: str) -> float:
        """Return the seconds until the reader of a command has one line and leaves."""
        begun = time.perf_counter()
        with self.start(*argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            process.stdout.readline()
            taken = time.perf_counter() - begun
            process.stdout.close()
        return taken

    def peak(self, *argv: str) -> int:
        """Return the peak memory of a command, in KiB."""
        process = self.start(*argv, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, argv
        return used.ru_maxrss // KIB

    def run(self, program: str) -> list[float]:
        """Run a program with the registry; return the figures that it prints."""
        command = [sys.executable, "-c", program, self.registry]
        figures = subprocess.run(command, check=True, capture_output=True).stdout.split()
        return list(map(float, figures))


Timed = Callable[[Home, int], float]


def of_one(license_id: str) -> dict[str, tuple[str, Timed]]:
    """Return the commands for one customer or few rows, by name, with their goals.

    Each run renews another customer who is due.
    """

    def command(*argv: str) -> Timed:
        return lambda home, _: home.seconds(*argv)

    def renew(home: Home, run: int) -> float:
        return home.seconds("renew", f"due-{run:03}", "--output", "-")

    def first_line(home: Home, _: int) -> float:
        return home.first_line("customer", "list", "--csv")

    return {
        "`renew ONE`": ("≤ 1.5", renew),
        "`renew ONE --dry-run`": ("≤ 1.5", command("renew", ONE, "--dry-run")),
        "`license list --customer ONE`": ("≤ 1.5", command("license", "list", "--customer", ONE)),
        "`license show ID`": ("", command("license", "show", license_id)),
        "`customer show ONE`": ("", command("customer", "show", ONE)),
        "`expiring`": ("", command("expiring")),
        "`doctor --quick`": ("", command("doctor", "--quick")),
        "`customer list --csv`, a customer": ("", first_line),
    }


def everything(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the commands that walk through the whole registry."""
    return {
        "`license list`": ("license", "list"),
        "`license list --json`": ("license", "list", "--json"),
        "`license list --csv`": ("license", "list", "--csv"),
        "`customer list`": ("customer", "list"),
        "`customer list --json`": ("customer", "list", "--json"),
        "`expiring --within 2y`": ("expiring", "--within", "2y"),
        "`report`": ("report",),
        "`report --format html`": ("report", "--format", "html"),
        "`journal show --csv`": ("journal", "show", "--csv"),
        "`journal show --json`": ("journal", "show", "--json"),
        "`journal verify`": ("journal", "verify"),
        "`registry export`": ("registry", "export"),
        "`registry export --json`": ("registry", "export", "--json"),
        "`registry backup`": ("registry", "backup", str(folder)),
        "`apply`, nothing to do": ("apply", str(folder / "licenses.toml")),
        "`apply` for more users, into an archive with a report": (
            *("apply", str(folder / "more-users.toml")),
            *("--bundle", str(folder / "all.zip"), "--report", str(folder / "report.json")),
        ),
    }


def print_row(name: str, values: list[float], wanted: str, unit: str = "") -> None:
    """Print a row of the table: the median, and the ratio of each run."""
    runs = " ".join(f"{value:.2f}" for value in sorted(values)) if len(values) > 1 else unit
    sys.stdout.write(f"| {name} | {statistics.median(values):.2f} | {wanted} | {runs} |\n")
    sys.stdout.flush()


def time_one(folder: Path, size: Size) -> None:
    """Print the ratios of seconds, many licenses to few."""
    few = Home.make(folder / "few", size.few, PER_CUSTOMER)
    many = Home.make(folder / "many", size.many, PER_CUSTOMER)
    for name, (wanted, timed) in of_one(few.license_of(ONE)).items():
        ratios, seconds = [], []
        for run in range(size.runs):
            base = timed(few, run)
            seconds.append(timed(many, run))
            ratios.append(seconds[-1] / base)
        print_row(f"{name} (median {statistics.median(seconds):.2f} s)", ratios, wanted)


def weigh_all(folder: Path, size: Size) -> None:
    """Print the peak memory with fewer and with more licenses."""
    for count, wanted in ((size.fewer_customers, "≤ 250"), (size.more_customers, "≤ 1,000")):
        place = folder / str(count)
        home = Home.make(place, count, 1, "signed")
        rows = place / "licenses.toml"
        home.peak("registry", "export", "--output", str(rows))
        more_users = rows.read_text().replace("users = 25", "users = 30")
        (place / "more-users.toml").write_text(more_users)
        for name, argv in everything(place).items():
            print_row(f"{name}, {count:,} licenses", [home.peak(*argv) / 1024], wanted, "MiB")


def verify_rows(folder: Path, size: Size) -> None:
    """Print the rate of verified journal rows, with a license for each, and the time of a seal."""
    home = Home.make(folder / "one", size.more_customers, size.more_customers)
    rates = [home.run(_VERIFY) for _ in range(size.runs)]
    print_row("`journal verify`, thousands of rows a second", [r[0] / 1000 for r in rates], "≥ 150")
    print_row("the same in one process", [r[1] / 1000 for r in rates], "")
    print_row("the same, bare", [r[2] / 1000 for r in rates], "")
    print_row("bare seconds to those of one process", [r[1] / r[2] for r in rates], "")
    sealing, checking = home.run(_SEAL)
    print_row("sealing the journal", [sealing], "", "ms")
    print_row("checking its seal", [checking], "", "ms")


def main() -> None:
    """Measure and print, and remove the registries."""
    size = SMALL if "--small" in sys.argv[1:] else FULL
    for measure in (verify_rows, weigh_all, time_one):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), size)


if __name__ == "__main__":
    main()
