"""Reports of a batch: complete or absent."""

import csv
import json
from pathlib import Path

import pytest

from polygent_issuer.batch.items import Decision, Failed, Job, Kept
from polygent_issuer.cli.flows.batch.outputs import COLUMNS, ReportFile, outcome_json
from polygent_issuer.errors import NotFound, OutputExists, OutputProblem, UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings

JOB = Job(place="c1", subject="c1", decide=lambda _: Decision(), consent=Consent())
KEPT = Kept(job=JOB, decision=Decision(note="not due"))
FAILED = Failed(job=JOB, error=NotFound("no such customer", hint="look again"))


def test_an_item_without_licenses_has_a_row(tmp_path: Path) -> None:
    """The row has the reason."""
    report = ReportFile(tmp_path / "r.csv")
    report.add(outcome_json(KEPT, Settings(), {}))
    report.add(outcome_json(FAILED, Settings(), {}))
    assert report.finish() == tmp_path / "r.csv"
    assert (tmp_path / "r.csv").read_bytes().startswith(b'\xef\xbb\xbf"item"')
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as stream:
        header, kept, failed = csv.reader(stream)
    assert tuple(header) == COLUMNS
    row = dict(zip(COLUMNS, kept, strict=True))
    assert (row["outcome"], row["why"], row["license"]) == ("kept", "not due", "")
    row = dict(zip(COLUMNS, failed, strict=True))
    assert (row["code"], row["why"], row["hint"]) == ("not_found", "no such customer", "look again")


def test_a_report_without_items_is_written(tmp_path: Path) -> None:
    """A program does not have to check whether the file exists."""
    for name in ("r.json", "r.csv"):
        ReportFile(tmp_path / name).finish()
    assert json.loads((tmp_path / "r.json").read_text()) == []
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 1


def test_a_failed_report_is_absent(tmp_path: Path) -> None:
    """Neither a partial nor a temporary file is left."""
    report = ReportFile(tmp_path / "r.json")
    report.add(outcome_json(KEPT, Settings(), {}))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
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
def test_an_invalid_report_is_refused_first(
    tmp_path: Path, name: str, error: type[Exception]
) -> None:
    """The report is checked before anything is issued."""
    (tmp_path / "taken.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to("nowhere")
    with pytest.raises(error):
        ReportFile(tmp_path / name)
