"""Batches, as ratios within one run: `python tests/benchmarks/batches.py [ITEMS [RUNS]]`.

The floor is the least possible work for the same items, each part measured alone: a deterministic
signature and a verification of `cryptography` for each item, the bare SQLite rows in as many
commits, and bare files with one sync for each commit. The measured command renews the same number
of due licenses, in process, from the registry to the files or the archive, with a line of JSON for
each.

Each ratio is that of the elapsed time, and that of the processor's time. The second one leaves out
the disk and other programs. The floor has neither the verification of the old license's file, nor
an archive.

With `--memory ITEMS` it renews this number of licenses and prints the peak memory of the process in
KiB.
"""

import ctypes
import gc
import json
import os
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.items import Done
from polygent_issuer.batch.renewals import Renewals
from polygent_issuer.batch.run import MAX_GROUP_SIZE, BatchRunner
from polygent_issuer.cli.flows.batch.result import outcome_json
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.registry import (
    REGISTRY_FILE,
    Actor,
    Registry,
    Writing,
    customers,
    keys,
    licenses,
    machines,
)
from polygent_issuer.registry.errors import Place
from polygent_issuer.terms.parsing import Changes
from polygent_issuer.verifier import License, Limits, Tier, jws

NOW: Final = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
WINDOW: Final = timedelta(days=7)
ADA: Final = Actor(operator="Ada", os_user="ada", uid=1000, host="desk")
SIGNER: Final = SoftwareSigner(ec.derive_private_key(0x5EED, ec.SECP256R1()))
_TOGETHER: Final = 5_000
_BYTES: Final = 800
"""Sizes of a license file and of a journal row, in bytes."""


@dataclass(frozen=True)
class Seconds:
    """Elapsed seconds, and seconds of the processor."""

    elapsed: float
    processor: float

    @classmethod
    def now(cls) -> Self:
        """Return the present state of the clocks."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Seconds") -> "Seconds":
        """Add both."""
        return Seconds(self.elapsed + other.elapsed, self.processor + other.processor)

    def since(self, begun: "Seconds") -> "Seconds":
        """Return the seconds since an earlier state of the clocks."""
        return Seconds(self.elapsed - begun.elapsed, self.processor - begun.processor)

    def ratio(self, floor: "Seconds") -> tuple[float, float]:
        """Return both ratios."""
        return self.elapsed / floor.elapsed, self.processor / floor.processor

    def __str__(self) -> str:
        """Format both."""
        return f"{self.elapsed:.2f} s ({self.processor:.2f} s of the processor)"


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Seconds of each part, measured alone."""

    signing: Seconds
    verifying: Seconds
    rows: Seconds
    files: Seconds

    @property
    def with_files(self) -> Seconds:
        """Seconds of all parts."""
        return self.without_files + self.files

    @property
    def without_files(self) -> Seconds:
        """Seconds of all parts but the files."""
        return self.signing + self.verifying + self.rows

    def __str__(self) -> str:
        """Name each part."""
        return (
            f"signing {self.signing}, verifying {self.verifying}, rows {self.rows}, "
            f"files {self.files}"
        )


def make(folder: Path, count: int, uri: str | None = None) -> None:
    """Make a registry in which each of `count` customers has a license that expires in 14 days.

    It is in a folder, or in the database with a URI.
    """
    issued = NOW - timedelta(days=350)
    place = uri or folder / REGISTRY_FILE
    with Registry.create(place, now=issued, actor=ADA, registry_id=str(uuid.uuid4())) as registry:
        with registry.writing(now=issued, actor=ADA) as db:
            keys.add(db, key=SIGNER.public_key, label="main")
            db.record("key-generated", kid=SIGNER.kid)
        for first in range(0, count, _TOGETHER):
            with registry.writing(now=issued, actor=ADA) as db:
                for number in range(first, min(count, first + _TOGETHER)):
                    _sell(db, number, issued)


def _sell(db: Writing, number: int, issued: datetime) -> None:
    customer = customers.add(db, slug=f"customer-{number:06}", name=f"Customer {number} Ltd")
    fingerprint = f"sha256:{number:064x}"
    machine = machines.add(
        db,
        customer,
        label="prod",
        fingerprint=fingerprint,
        hostname="prod",
        components={},
        document_id=None,
    )
    held = License(
        iss="Polygent Ltd",
        sub=customer.slug,
        jti=f"{number:08x}-0000-4000-8000-000000000000",
        iat=int(issued.timestamp()),
        exp=int((NOW + timedelta(days=14)).timestamp()),
        customer=customer.name,
        tier=Tier.STANDARD,
        features=("planner", "workflows"),
        limits=Limits(users=25, session_hosts=5, deploy_hosts=5),
        machine_fingerprint=fingerprint,
    )
    signing_input = jws.signing_input(SIGNER.kid, held.to_payload())
    licenses.add(
        db,
        license_id=held.jti,
        customer_id=customer.id,
        machine_id=machine.id,
        kid=SIGNER.kid,
        file=jws.assemble(signing_input, SIGNER.sign(signing_input)),
        tier="standard",
        issued_at=held.issued_at,
        expires_at=held.expires_at,
        term="1y",
        plan="standard-annual",
        document_id=None,
    )
    db.record("license-signed", customer=customer.slug, license=held.jti, kid=SIGNER.kid)


def renew(place: Place, into: Path) -> int:
    """Renew all due licenses of a registry into a folder or an archive; return their number."""
    with Registry.open(place) as registry, Path(os.devnull).open("w") as told:
        renewals = Renewals(
            settings=Settings(),
            now=NOW,
            within=timedelta(days=30),
            changes=Changes(),
            key=None,
            consent=Consent(),
            new_id=lambda: str(uuid.uuid4()),
        )
        run = BatchRunner(
            registry,
            unlock=lambda: {SIGNER.kid: SIGNER},
            destination=Destination(folder=into),
            now=NOW,
            actor=ADA,
        )
        archive = into if into.suffix == ".zip" else None
        count, bundle = 0, Bundle(into, window=WINDOW)
        for outcome in run.outcomes(
            renewals.of_licenses(registry, expires_before=NOW + timedelta(days=30))
        ):
            if not isinstance(outcome, Done):
                raise SystemExit(f"not renewed: {outcome}")
            told.write(json.dumps(outcome_json(outcome, Settings(), {}, archive)) + "\n")
            count += 1
            bundle.note(outcome)
        if archive is not None:
            bundle.finish(registry, now=NOW, actor=ADA)
        return count


def floor(folder: Path, count: int) -> Floor:
    """Measure each part alone."""
    bodies = [os.urandom(_BYTES) for _ in range(count)]
    private, public = SIGNER.private_key, SIGNER.private_key.public_key()
    deterministic = ec.ECDSA(SHA256(), deterministic_signing=True)
    verification = ec.ECDSA(SHA256())
    with _clock() as signing:
        signatures = [private.sign(body, deterministic) for body in bodies]
    with _clock() as verifying:
        for signature, body in zip(signatures, bodies, strict=True):
            public.verify(signature, body, verification)
    with _clock() as rows:
        _bare_rows(folder / "floor.db", bodies)
    out = folder / "floor"
    out.mkdir()
    with _clock() as files:
        _bare_files(out, bodies)
    return Floor(signing=signing[0], verifying=verifying[0], rows=rows[0], files=files[0])


def _bare_rows(path: Path, bodies: list[bytes]) -> None:
    """Write the rows of an issue: license, replaced license, journal row, outbox row."""
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("CREATE TABLE licenses (id TEXT PRIMARY KEY, file BLOB, next TEXT)")
        db.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, bytes BLOB)")
        db.execute("CREATE TABLE outbox (id TEXT PRIMARY KEY, name TEXT)")
        for first in range(0, len(bodies), MAX_GROUP_SIZE):
            db.execute("BEGIN IMMEDIATE")
            for number, body in enumerate(bodies[first : first + MAX_GROUP_SIZE], first):
                name = f"{number:036}"
                db.execute("INSERT INTO licenses VALUES (?, ?, NULL)", (name, body))
                db.execute("UPDATE licenses SET next = ? WHERE id = ?", (name, name))
                db.execute("INSERT INTO journal VALUES (NULL, ?)", (body,))
                db.execute("INSERT INTO outbox VALUES (?, ?)", (name, name))
            db.execute("COMMIT")


def _bare_files(out: Path, bodies: list[bytes]) -> None:
    """Write a file for each item, and sync the file system once for each group."""
    syncfs = ctypes.CDLL(None).syncfs
    folder = os.open(out, os.O_RDONLY)
    for first in range(0, len(bodies), MAX_GROUP_SIZE):
        for number, body in enumerate(bodies[first : first + MAX_GROUP_SIZE], first):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
            file = os.open(f"{out}/customer-{number:06}-prod-2027-12-14.lic", flags, 0o644)
            os.write(file, body)
            os.close(file)
        syncfs(folder)
    os.close(folder)


@contextmanager
def _clock() -> Iterator[list[Seconds]]:
    seconds: list[Seconds] = []
    begun = Seconds.now()
    yield seconds
    seconds.append(Seconds.now().since(begun))


def ratios(made: Path, count: int) -> tuple[float, ...]:
    """Return both ratios to the floor with files, and both with an archive, in one run."""
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        folder = Path(name)
        least = floor(folder, count)
        seconds = []
        for into in ("out", "all.zip"):
            shutil.copy(made / REGISTRY_FILE, folder / REGISTRY_FILE)
            if into == "out":
                (folder / into).mkdir()
            with _clock() as clock:
                renew(folder / REGISTRY_FILE, folder / into)
            seconds += clock
        files, archive = seconds
        sys.stdout.write(f"floor: {least}\nours: {files} with files, {archive} in an archive\n")
        return *files.ratio(least.with_files), *archive.ratio(least.without_files)


def main() -> None:
    """Measure, and print the ratios."""
    gc.set_threshold(100_000)  # as the command does
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        made.mkdir()
        if "--memory" in sys.argv[1:]:
            count = int(sys.argv[2])
            make(made, count)
            if os.fork() == 0:
                (made / "out").mkdir()
                renew(made / REGISTRY_FILE, made / "out")
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                sys.stdout.write(f"{count} renewals: {peak} KiB\n")
                sys.stdout.flush()
                os._exit(0)
            os.wait()
            return
        count, runs = (int(word) for word in (*sys.argv[1:], *("10000", "3")[len(sys.argv) - 1 :]))
        make(made, count)
        pairs = [ratios(made, count) for _ in range(runs)]
        files, files_cpu, archive, archive_cpu = map(statistics.median, zip(*pairs, strict=True))
        sys.stdout.write(
            f"{count} renewals with files: {files:.2f} x floor, of the processor "
            f"{files_cpu:.2f} (wanted: <= 2.5)\n{count} renewals in an archive: {archive:.2f} x "
            f"floor without files, of the processor {archive_cpu:.2f} (<= 4.0)\n"
        )


if __name__ == "__main__":
    main()
