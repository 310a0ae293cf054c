"""`polygent-issue demo`: a guided demo in a temporary home."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Desk

from polygent_issuer.errors import InputRefused


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Create the demo's folder in the test's folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield
    shutil.rmtree(tmp_path)


def test_every_step_has_the_expected_exit_code(empty_desk: Desk) -> None:
    """Each command of the demo ends with the expected exit code."""
    outcome = empty_desk.ok("demo", "--json")
    ends = [(step["command"][0], step["exit_code"]) for step in outcome.json["steps"]]
    assert ends == [
        ("init", 0),
        ("key", 0),
        ("machine-info", 0),
        ("sign", 0),
        ("verify", 0),
        ("verify", 10),
        ("renew", 0),
        ("journal", 0),
    ]
    folder = Path(outcome.json["folder"])
    assert {"acme.lic", "acme-next.lic", "tampered.lic"} <= {p.name for p in folder.iterdir()}
    assert not empty_desk.home.exists(), "nothing else is touched"


def test_it_shows_each_command_and_where_the_files_are(empty_desk: Desk) -> None:
    """Each command is shown as typed, then the change of a renewal; the folder is last."""
    text = empty_desk.ok("demo").text
    assert "$ polygent-issue sign --machine-info machine-info.json" in text
    assert "tampered.lic: not authentic: bad_signature" in text
    assert " → " in text
    assert text.splitlines()[-1].startswith("the files are in ")


def test_without_a_machine_id_the_document_is_invented(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a machine id the demo invents a document and reports that."""

    def none_here(**_given: object) -> bytes:
        raise InputRefused("no machine id", code="no_machine_id")

    monkeypatch.setattr("polygent_issuer.cli.commands.machine_info.describe", none_here)
    text = empty_desk.ok("demo").text
    assert "so the demo uses an invented document" in text
