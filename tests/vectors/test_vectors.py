"""This project agrees with each vector, and the script makes the files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vectors import judge, make, times

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


def test_every_code_has_vectors() -> None:
    """At least three vectors expect each code of FORMAT §5, and acceptance."""
    expected = [vector["expected"] for vector in _read("licenses.json")["vectors"]]
    for code in ("ok", *CheckCode):
        assert expected.count(code) >= 3, code


def test_names_of_vectors_are_unique() -> None:
    """The name of a vector identifies it when it fails elsewhere."""
    names = [vector["name"] for vector in _read("licenses.json")["vectors"]]
    assert len(set(names)) == len(names)


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
