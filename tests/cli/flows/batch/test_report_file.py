"""Reports of a batch: whole or absent, and nothing left behind."""

import csv
import json
from pathlib import Path

import pytest

from polygent_issuer.batch.outcomes import Decision, Failed, Job, Kept
from polygent_issuer.cli.flows.batch.reporter import COLUMNS, ReportFile, outcome_json
from polygent_issuer.errors import NotFound, OutputExists, OutputProblem, UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings

JOB = Job(place="c1", subject="c1", decide=lambda _: Decision(), consent=Consent())
KEPT = Kept(job=JOB, decision=Decision(note="not due"))
FAILED = Failed(job=JOB, error=NotFound("there is none", hint="look again"))


def test_rows_of_what_has_no_license(tmp_path: Path) -> None:
    """A row for each item, with what was said of it."""
    report = ReportFile(tmp_path / "r.csv")
    report.add(outcome_json(KEPT, Settings(), {}))
    report.add(outcome_json(FAILED, Settings(), {}))
    assert report.finish() == tmp_path / "r.csv"
    assert (tmp_path / "r.csv").read_bytes().startswith(b'\xef\xbb\xbf"item"')
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as stream:
        header, kept, failed = csv.reader(stream)
    assert tuple(header) == COLUMNS
    told = dict(zip(COLUMNS, kept, strict=True))
    assert (told["outcome"], told["why"], told["license"]) == ("kept", "not due", "")
    told = dict(zip(COLUMNS, failed, strict=True))
    assert (told["code"], told["why"], told["hint"]) == ("not_found", "there is none", "look again")


def test_a_report_of_nothing_is_one(tmp_path: Path) -> None:
    """A program need not ask whether it is there."""
    for name in ("r.json", "r.csv"):
        ReportFile(tmp_path / name).finish()
    assert json.loads((tmp_path / "r.json").read_text()) == []
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 1


def test_what_was_not_finished_is_absent(tmp_path: Path) -> None:
    """Nothing half, and no temporary file."""
    report = ReportFile(tmp_path / "r.json")
    report.add(outcome_json(KEPT, Settings(), {}))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_was_taken_meanwhile(tmp_path: Path) -> None:
    """It is not overwritten."""
    report = ReportFile(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("mine")
    with pytest.raises(OutputExists):
        report.finish()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("r.txt", UsageProblem),
        ("r", UsageProblem),
        ("none/r.csv", OutputProblem),
        ("taken.csv", OutputExists),
        ("link.csv", OutputExists),
        (f"{'x' * 300}.csv", OutputProblem),
    ],
)
def test_what_cannot_be_is_told_before(tmp_path: Path, name: str, error: type[Exception]) -> None:
    """When a report is begun, nothing was issued yet."""
    (tmp_path / "taken.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to("nowhere")
    with pytest.raises(error):
        ReportFile(tmp_path / name)
