"""This project agrees with each vector, and the script makes the files."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vectors import judge, make, times
from vectors.server_judge import Judge

from polygent_issuer.enforcement import HostKind, Level, State
from polygent_issuer.guide import ENFORCEMENT
from polygent_issuer.verifier import CheckCode, KeySet, License, Verifier

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HERE / name).read_bytes())
    return document


def test_script_finds_nothing_wrong() -> None:
    """The script makes the files on disk, byte for byte."""
    ran = subprocess.run(
        [sys.executable, str(HERE / "make.py")], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_script_notices_a_changed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A golden file that differs in one byte fails the check."""
    monkeypatch.setattr(make, "HERE", tmp_path / "tests" / "vectors")
    monkeypatch.setattr(make, "ROOT", tmp_path)
    monkeypatch.setattr(judge, "problems", lambda _: [])
    (tmp_path / "tests" / "vectors").mkdir(parents=True)
    assert make.main(["--write"]) == 0
    assert make.main([]) == 0
    golden = tmp_path / "tests" / "vectors" / "golden" / "standard.lic"
    golden.write_bytes(golden.read_bytes() + b"\n")
    assert make.main([]) == 1


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("licenses.json", judge.licenses),
        ("domains.json", judge.domains),
        ("fingerprints.json", judge.fingerprints),
        ("names.json", judge.names),
        ("keys.json", judge.keys),
        ("clocks.json", judge.clocks),
        ("seals.json", judge.seals),
    ],
)
def test_verdicts(name: str, check: Any) -> None:
    """The verifier gives the verdict that each vector on disk expects."""
    assert list(check(_read(name))) == []


def test_a_wrong_verdict_is_reported() -> None:
    """A vector with another expectation is reported as a problem."""
    document = _read("licenses.json")
    for vector in document["vectors"]:
        vector["expected"] = "expired" if vector["expected"] == "ok" else "ok"
    assert len(list(judge.licenses(document))) == len(document["vectors"])


NOT_OPEN = {"license_store_failed", "license_not_open"}
"""Codes of a server whose store cannot be used."""
SERVERS = sorted(path.name for path in (HERE / "enforcement").glob("*.json"))
SERVERS.remove("licenses.json")


@pytest.fixture(scope="session")
def servers() -> Judge:
    """The licenses of the vectors of a whole server."""
    return Judge(_read("enforcement/licenses.json"))


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_answers_as_expected(servers: Judge, name: str) -> None:
    """Enforcement gives the expected answer at each step on disk."""
    assert list(servers.problems(_read(f"enforcement/{name}"))) == []


@pytest.mark.parametrize("name", ["limits.json", "clocks.json", "alerts.json"])
def test_a_wrong_answer_is_reported(servers: Judge, name: str) -> None:
    """A step with another expectation is reported."""
    document = _read(f"enforcement/{name}")
    steps = [step for vector in document["vectors"][-9:] for step in vector["steps"]]
    document["vectors"] = document["vectors"][-9:]
    changed = [step for step in steps if "expected" in step]
    for step in changed:
        step["expected"] = {"state": "?", "allowed": "?"}
    assert changed
    assert len(list(servers.problems(document))) == len(changed)


def test_every_answer_of_a_server_has_vectors() -> None:
    """Each state, kind of route and code of ENFORCEMENT.md is in a vector."""
    text = "".join((HERE / "enforcement" / name).read_text("utf-8") for name in SERVERS)
    rules = " ".join(ENFORCEMENT.read_text(encoding="utf-8").split())
    codes = set(re.findall(r"\b[45]\d\d `(\w+)`", rules)) - NOT_OPEN
    assert len(codes) == 11
    for word in (*codes, *State, "superseded", "health", "page", *HostKind, *Level):
        assert f'"{word}"' in text, word


def test_every_code_has_vectors() -> None:
    """At least three vectors expect each code of FORMAT §5, and acceptance."""
    expected = [vector["expected"] for vector in _read("licenses.json")["vectors"]]
    for code in ("ok", *CheckCode):
        assert expected.count(code) >= 3, code


def test_names_of_vectors_are_unique() -> None:
    """The name of a vector identifies it when it fails elsewhere."""
    for file in ("licenses.json", "seals.json", *(f"enforcement/{name}" for name in SERVERS)):
        names = [vector["name"] for vector in _read(file)["vectors"]]
        assert len(set(names)) == len(names), file


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.json")), ids=lambda path: path.name)
def test_every_time_is_also_an_integer(path: Path) -> None:
    """Each instant in a JSON file is followed by the same instant in microseconds."""
    assert list(times.problems(json.loads(path.read_bytes()))) == []


def test_a_missing_or_wrong_integer_is_reported() -> None:
    """A time without its integer is reported, and one with another integer."""
    document = {"a": [{"now": "1970-01-01T00:00:00Z"}], "guard": {"lastSeen": None}}
    complete = times.with_microseconds(document)
    assert complete["a"] == [{"now": "1970-01-01T00:00:00Z", "nowMicroseconds": 0}]
    assert complete["guard"] == {"lastSeen": None, "lastSeenMicroseconds": None}
    complete["a"][0]["nowMicroseconds"] = 1
    del complete["guard"]["lastSeenMicroseconds"]
    assert list(times.problems(complete)) == [
        ".a[0].nowMicroseconds should be 0",
        ".guard.lastSeenMicroseconds should be None",
    ]


@pytest.mark.parametrize(
    ("text", "integer"),
    [
        ("2026-06-01T12:00:00Z", 1_780_315_200_000_000),
        ("2026-06-01T12:00:00.000001Z", 1_780_315_200_000_001),
        ("2026-06-01T17:45:00+05:45", 1_780_315_200_000_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000_000),
        ("9999-12-31T23:59:59.999999-14:00", 253_402_351_199_999_999),
    ],
)
def test_microseconds(text: str, integer: int) -> None:
    """The integers are exact, before 1970 and beyond the years that Python can represent."""
    assert times.microseconds(text) == integer


@pytest.mark.parametrize("entry", _read("golden/golden.json")["golden"], ids=lambda e: e["file"])
def test_golden_files_verify(entry: dict[str, Any]) -> None:
    """A golden license verifies and has the claims in `golden.json`."""
    keys = KeySet.from_jwks(
        (HERE.parents[1] / "keys.example/jwks.json").read_bytes(), allow_example=True
    )
    data = (GOLDEN / entry["file"]).read_bytes()
    license_ = Verifier(keys).verify(
        data, now=times.instant(entry["now"]), fingerprint=entry["fingerprint"]
    )
    assert license_.to_claims() == entry["claims"]
    assert license_ == License.from_claims(entry["claims"])
