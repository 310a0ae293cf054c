"""`verify DIR` of many files, as a ratio: `python tests/benchmarks/verifying.py [FILES [RUNS]]`.

The floor is the least possible work: reading the files and one bare verification of `cryptography`
for each, in one bare process for each core, started before the clock: two cores of one machine are
seldom twice as fast as one. Floor and command are measured in turn, the command as a whole process
with its start and its workers. The median ratios are printed: of the time that passes, and of the
processors' time, which depends less on what else the machine does.
"""

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from polygent_issuer.home import folder as home_folder
from polygent_issuer.home.settings import settings_path
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.processes import cores
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
from polygent_issuer.verifier import License, Limits, Tier, jws

TOOL = str(Path(sysconfig.get_path("scripts")) / "polygent-issue")
PER_CUSTOMER = 10


@dataclass(frozen=True, kw_only=True)
class Folder:
    """License files of a registry, and the input of a bare verification of each."""

    home: Path
    files: tuple[str, ...]
    path: Path
    public_key: ec.EllipticCurvePublicKey

    def command(self, *options: str) -> list[str]:
        """The measured command."""
        return [TOOL, "--home", str(self.home), "verify", str(self.path), *options]

    def floor(self) -> "Seconds":
        """Measure reading all files, and the bare verifications on all cores."""
        begun, used = time.perf_counter(), time.process_time()
        read = [_read(name) for name in self.files]
        passed, used = time.perf_counter() - begun, time.process_time() - used
        bare = Bare(public_key=self.public_key, signed=[_signed(data) for data in read])
        _BARE.append(bare)  # a fork has it without pickling
        with get_context("fork").Pool(cores()) as pool:
            pool.map(len, ["started"] * cores(), chunksize=1)
            begun = time.perf_counter()
            shares = pool.map(_verify_share, range(cores()), chunksize=1)
            passed += time.perf_counter() - begun
        return Seconds(passed=passed, used=used + sum(shares))


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """The seconds that passed, and those of all processors."""

    passed: float
    used: float


@dataclass(frozen=True, kw_only=True)
class Bare:
    """Return the input of bare verifications: signatures in DER, with the signed bytes."""

    public_key: ec.EllipticCurvePublicKey
    signed: Sequence[tuple[bytes, bytes]]


_BARE: deque[Bare] = deque(maxlen=1)


def _verify_share(first: int) -> float:
    """Verify the files of one process; return the seconds of its processor."""
    [bare] = _BARE
    es256 = ec.ECDSA(SHA256())
    begun = time.process_time()
    for der, signing_input in bare.signed[first :: cores()]:
        bare.public_key.verify(der, signing_input, es256)
    return time.process_time() - begun


def make(folder: Path, count: int) -> Folder:
    """Make a home whose registry has `count` machine licenses, and their files."""
    private_key = generate_private_key()
    made, files = folder / "home", folder / "files"
    home_folder.create(made)
    files.mkdir()
    settings_path(made).write_text(default_text(issuer="P", operator="A", output=str(files)))
    now, actor = datetime.now(UTC), Actor(operator="A", os_user="a", uid=None, host="desk")
    path = made / REGISTRY_FILE
    with (
        Registry.create(path, now=now, actor=actor, registry_id=str(uuid.uuid4())) as registry,
        registry.writing(now=now, actor=actor) as db,
    ):
        signer = SoftwareSigner(private_key)
        keys.add(db, key=signer.public_key, label="main")
        db.record("key-generated", kid=signer.kid)
        for first in range(0, count, PER_CUSTOMER):
            _issue(db, signer, files, range(first, min(first + PER_CUSTOMER, count)))
    named = tuple(sorted(str(file) for file in files.iterdir()))
    return Folder(home=made, files=named, path=files, public_key=private_key.public_key())


def measure(made: Folder, *, runs: int, options: tuple[str, ...] = ()) -> tuple[float, float]:
    """Return the median ratios of the command to the floor, each pair run in turn."""
    passed, used = [], []
    for _ in range(runs):
        floor = made.floor()
        took = _run(made.command(*options))
        passed.append(took.passed / floor.passed)
        used.append(took.used / floor.used)
        sys.stdout.write(f"{took} to a floor of {floor}: {passed[-1]:.2f}, {used[-1]:.2f}\n")
    return statistics.median(passed), statistics.median(used)


def _issue(db: Writing, signer: SoftwareSigner, folder: Path, numbers: range) -> None:
    """Record one customer's licenses and write their files."""
    slug = f"customer-{numbers.start}"
    customer = customers.add(db, slug=slug, name=f"Customer {numbers.start}")
    for number in numbers:
        machine = machines.add(
            db,
            customer,
            label=f"node-{number}",
            fingerprint=f"sha256:{number:064x}",
            hostname=None,
            components={},
            document_id=None,
        )
        issued = License(
            iss="Polygent Ltd",
            sub=slug,
            jti=str(uuid.uuid4()),
            iat=int(db.now.timestamp()),
            exp=int((db.now + timedelta(days=365)).timestamp()),
            customer=customer.name,
            tier=Tier.STANDARD,
            features=("automations", "insights", "planner", "workflows"),
            limits=Limits(users=25, session_hosts=2, deploy_hosts=1),
            machine_fingerprint=machine.fingerprint,
        )
        signing_input = jws.signing_input(signer.kid, issued.to_payload())
        file = jws.assemble(signing_input, signer.sign(signing_input))
        licenses.add(
            db,
            license_id=issued.jti,
            customer_id=customer.id,
            machine_id=machine.id,
            kid=signer.kid,
            file=file,
            tier=str(issued.tier),
            issued_at=issued.issued_at,
            expires_at=issued.expires_at,
            term="1y",
            plan=None,
            document_id=None,
        )
        db.record("license-signed", customer=slug, license=issued.jti, kid=signer.kid)
        (folder / f"{slug}-{issued.jti[:8]}.lic").write_bytes(file)


def _read(name: str) -> bytes:
    with open(name, "rb") as stream:  # noqa: PTH123 - the bare call is the floor
        return stream.read()


def _signed(data: bytes) -> tuple[bytes, bytes]:
    token = jws.parse(data)
    halves = (token.signature[:32], token.signature[32:])
    r, s = (int.from_bytes(half, "big") for half in halves)
    return encode_dss_signature(r, s), token.signing_input


def _run(command: list[str]) -> Seconds:
    begun, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    passed, after = time.perf_counter() - begun, os.times()
    user = after.children_user - before.children_user
    return Seconds(passed=passed, used=user + after.children_system - before.children_system)


def main() -> None:
    """Measure text and JSON, and print both ratios."""
    given = [int(argument) for argument in sys.argv[1:3]]
    count, runs = (*given, *(10_000, 9)[len(given) :])
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), count)
        for options in ((), ("--json",)):
            passed, used = measure(made, runs=runs, options=options)
            told = " ".join(("verify DIR", *options))
            sys.stdout.write(
                f"{told}, {count} files, {cores()} cores: {passed:.2f} x the floor, "
                f"{used:.2f} x the time of its processors\n"
            )


if __name__ == "__main__":
    main()
