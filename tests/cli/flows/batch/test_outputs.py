"""The outputs of a batch: checked before the first license; a report is complete or absent."""

import csv
import json
from pathlib import Path

import pytest
from support.cli import Desk
from support.desk_state import read_state
from support.many_customers import add_customers_at

from polygent_issuer.batch.items import Decision, Failed, Job, Kept
from polygent_issuer.cli.flows.batch.outputs import COLUMNS, ReportFile
from polygent_issuer.cli.flows.batch.result import outcome_json
from polygent_issuer.errors import NotFound, OutputExists, OutputProblem, UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings

JOB = Job(place="c1", subject="c1", decide=lambda _: Decision(), consent=Consent())
KEPT = Kept(job=JOB, decision=Decision(note="not due"))
FAILED = Failed(job=JOB, error=NotFound("no such customer", hint="look again"))


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_all_problems_are_named_at_once(desk: Desk, dry_run: tuple[str, ...]) -> None:
    """Folder, drafts, report and key each have their line and hint; nothing is issued."""
    add_customers_at(desk, range(1, 3))
    (desk.folder / "main.key").unlink()
    (desk.folder / "r.csv").touch()
    missing = desk.folder / "missing"
    outputs = ("--output", f"{missing}/", "--eml", str(missing), "--report", "r.csv")
    report = ("--report", str(desk.folder / "r.csv"))
    argv = ("renew", "--due-within", "30d", *outputs[:4], *report, *dry_run)
    outcome = desk.run(*argv)
    assert (outcome.code, outcome.out) == (8, b"")
    assert outcome.err.splitlines() == [
        "error: 4 problems, and nothing was done",
        f"  output_failed: the folder {missing} does not exist",
        f"    hint: mkdir -p {missing}",
        f"  output_exists: {report[1]} already exists; files are never overwritten",
        "    hint: choose another file with --report",
        f"  output_failed: the folder {missing} does not exist",
        f"  no_such_key: the key main is not in its key store, file:{desk.folder}/main.key",
        "    hint: check it: polygent-issue doctor",
    ]
    error = desk.run(*argv, "--json").json["error"]
    codes = [each["code"] for each in error["problems"]]
    assert codes == ["output_failed", "output_exists", "output_failed", "no_such_key"]
    assert (error["code"], error["exit_code"]) == ("output_failed", 8)
    assert len(read_state(desk).files) == 2


def test_a_dry_run_finds_a_missing_key_and_an_existing_archive(desk: Desk) -> None:
    """They follow the preview, since they only matter if there is something to sign."""
    add_customers_at(desk, range(1, 3))
    archive = desk.folder / "all.zip"
    archive.write_bytes(b"mine")
    Path(desk.folder / "main.key").unlink()
    argv = ("renew", "c1", "c2", "--bundle", str(archive), "--dry-run")
    outcome = desk.run(*argv)
    assert outcome.code == 6
    assert "renew 2" in outcome.text
    assert "  no_such_key: the key main is not in" in outcome.err
    assert f"  output_exists: {archive} already exists" in outcome.err
    *items, summary, error = [
        json.loads(line) for line in desk.run(*argv, "--json").out.splitlines()
    ]
    assert [each["decision"] for each in items] == ["renew", "renew"]
    assert summary["summary"]["renew"] == 2
    assert len(error["error"]["problems"]) == 2
    assert desk.ok("renew", "--due-within", "1d", "--bundle", str(archive), "--dry-run").err == ""
    assert desk.ok("renew", "--due-within", "1d").text == "nothing to do\n"


def test_without_a_terminal_a_missing_key_is_one_error(desk: Desk) -> None:
    """A single problem is an error of its own, as before."""
    add_customers_at(desk, range(1, 3))
    (desk.folder / "main.key").unlink()
    outcome = desk.run("renew", "c1", "c2")
    assert outcome.code == 6
    assert "problems" not in outcome.err
    assert len(read_state(desk).files) == 2


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
