"""This project agrees with each vector, and the script makes the files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vectors import judge, make

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


@pytest.mark.parametrize("entry", _read("golden/golden.json")["golden"], ids=lambda e: e["file"])
def test_golden_files_verify(entry: dict[str, Any]) -> None:
    """A golden license verifies and has the claims in `golden.json`."""
    keys = KeySet.from_jwks(
        (HERE.parents[1] / "keys.example/jwks.json").read_bytes(), allow_example=True
    )
    data = (GOLDEN / entry["file"]).read_bytes()
    license_ = Verifier(keys).verify(
        data, now=judge.instant(entry["now"]), fingerprint=entry["fingerprint"]
    )
    assert license_.to_claims() == entry["claims"]
    assert license_ == License.from_claims(entry["claims"])
