"""Speed, as ratios within one run: `python tests/benchmarks/measure.py [--write]`.

Start-up is timed as whole processes against `python -c pass`, in turn, and the median of the ratios
is printed. In process, the verifier and the signer are timed against bare `cryptography` with the
same key and bytes. `--write` puts the table into the guide's topic *reliability*.
"""

import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.verifier import KeySet, License, Verifier, jws

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "keys.example"
BEGIN, END = "<!-- benchmarks: begin -->\n", "<!-- benchmarks: end -->\n"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A ratio and its goal."""

    what: str
    ratio: float
    wanted: str

    def row(self) -> str:
        """Return a row of the table."""
        return f"| {self.what} | {self.ratio:.2f} | {self.wanted} |"


def process_ratio(command: list[str], *, runs: int) -> float:
    """Return the median ratio of a process to `python -c pass`, each pair run in turn."""
    bare = [sys.executable, "-c", "pass"]
    ratios = []
    for _ in range(runs):
        base = _seconds(lambda: _run(bare))
        ratios.append(_seconds(lambda: _run(command)) / base)
    return statistics.median(ratios)


def rate_ratio(ours: Callable[[], object], bare: Callable[[], object], *, runs: int) -> float:
    """Return the median ratio of our rate to the bare one, each pair of 200 calls run in turn."""
    ratios = []
    for _ in range(runs):
        base = _seconds(lambda: _repeat(bare))
        ratios.append(base / _seconds(lambda: _repeat(ours)))
    return statistics.median(ratios)


def start_up(folder: Path) -> list[Figure]:
    """Measure `--version`, help, `verify` and TAB as whole processes."""
    tool = [str(Path(sysconfig.get_path("scripts")) / "polygent-issue")]
    made = make_license(tool, folder)
    example = str(EXAMPLES / "example.lic")
    public_key = ["--public-key", str(EXAMPLES / "public.pem")]
    return [
        Figure(what=name, ratio=process_ratio(command, runs=25), wanted=wanted)
        for name, command, wanted in (
            ("`--version`", [*tool, "--version"], "≤ 2"),
            ("`--help`", [*tool, "--help"], "≤ 8"),
            ("`verify --help`", [*tool, "verify", "--help"], "≤ 8"),
            ("`renew --help`", [*tool, "renew", "--help"], "≤ 8"),
            ("`sign --help`", [*tool, "sign", "--help"], "≤ 8"),
            ("`verify FILE --public-key KEY`", [*tool, "verify", example, *public_key], "≤ 11"),
            ("`verify FILE` with home and registry", [*tool, "verify", made], "≤ 11"),
            ("TAB after `customer show`", [*tab("customer show"), *tool], "≤ 11"),
            ("TAB after `renew`", [*tab("renew"), *tool], "≤ 16"),
        )
    ]


def tab(line: str) -> list[str]:
    """Return the environment in which Typer's bash script runs the tool for TAB after a line."""
    words = ["polygent-issue", *line.split(), ""]
    typed = ["COMP_WORDS=" + "\n".join(words), f"COMP_CWORD={len(words) - 1}"]
    return ["env", *typed, "_POLYGENT_ISSUE_COMPLETE=complete_bash"]


def make_license(tool: list[str], folder: Path) -> str:
    """Make a home, a key and one license in a folder; return the license's path."""
    passphrase, made = folder / "passphrase", str(folder / "x.lic")
    passphrase.write_text("a passphrase for measuring\n", encoding="ascii")
    passphrase.chmod(0o600)
    os.environ["POLYGENT_ISSUER_HOME"] = str(folder / "home")
    os.environ["POLYGENT_ISSUER_PASSPHRASE_FILE"] = str(passphrase)
    key = ["--store", f"file:{folder / 'main.key'}", "--no-backup"]
    _run([*tool, "key", "generate", "main", *key])
    _run([*tool, "sign", "--customer", "Acme", "--tier", "enterprise", "--output", made])
    return made


def in_process() -> list[Figure]:
    """Measure `Verifier.verify` and signing with its payload."""
    private_key = generate_private_key()
    signer = SoftwareSigner(private_key)
    payload = jws.parse((EXAMPLES / "example.lic").read_bytes()).payload
    held = License.from_payload(payload)
    signing_input = jws.signing_input(signer.kid, payload)
    signature = signer.sign(signing_input)
    file = jws.assemble(signing_input, signature)
    verifier = Verifier(KeySet.of(signer.public_key))
    der = encode_dss_signature(
        int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    )
    public_key = private_key.public_key()
    verification = ec.ECDSA(SHA256())
    deterministic = ec.ECDSA(SHA256(), deterministic_signing=True)

    def issue() -> bytes:
        to_sign = jws.signing_input(signer.kid, held.to_payload())
        return jws.assemble(to_sign, signer.sign(to_sign))

    verified = rate_ratio(
        lambda: verifier.verify(file, now=NOW, fingerprint=held.machine_fingerprint),
        lambda: public_key.verify(der, signing_input, verification),
        runs=41,
    )
    signed = rate_ratio(issue, lambda: private_key.sign(signing_input, deterministic), runs=41)
    return [
        Figure(
            what="`Verifier.verify` per second, to bare verifications",
            ratio=verified,
            wanted="≥ 0.55",
        ),
        Figure(
            what="signing with payload per second, to bare deterministic signatures",
            ratio=signed,
            wanted="≥ 0.55",
        ),
    ]


def table(figures: list[Figure]) -> str:
    """Return the table, with the machine by its kind alone."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    python = f"Python {platform.python_version()}"
    lines = [
        "",
        f"Ratios within one run ({machine}, {python}); processes are compared with",
        "`python -c pass`. `python tests/benchmarks/measure.py` measures again.",
        "",
        "| what | ratio | wanted |",
        "|---|---|---|",
        *(figure.row() for figure in figures),
        "",
    ]
    return "\n".join(lines) + "\n"


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _repeat(call: Callable[[], object]) -> None:
    for _ in range(200):
        call()


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Measure, print, and with `--write` put the table into the guide."""
    with tempfile.TemporaryDirectory() as home:
        figures = [*start_up(Path(home)), *in_process()]
    told = table(figures)
    sys.stdout.write(told)
    if "--write" in sys.argv[1:]:
        topic = ROOT / "polygent_issuer" / "guide" / "reliability.md"
        old = topic.read_text(encoding="utf-8")
        new = old[: old.index(BEGIN) + len(BEGIN)] + told + old[old.index(END) :]
        topic.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
