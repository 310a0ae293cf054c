"""`polygent-issue renew` as a batch, without a terminal."""

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Desk, Outcome, lines
from support.desk_state import litter_in, read_state
from support.disks import mounted
from support.many_customers import add_customers_at


def files(desk: Desk) -> list[Path]:
    """Return the license files."""
    assert litter_in(desk.output) == []
    return sorted(desk.output.iterdir())


def assert_only_first_seal(outcome: Outcome) -> None:
    """Check that the only warning is about the first seal, since the earlier rows have none."""
    (line,) = outcome.err.splitlines()
    assert "signed licenses before, but the journal had no seal of it" in line


def test_every_due_license_is_renewed(desk: Desk) -> None:
    """Each license has a line, then a summary; running it again does nothing."""
    add_customers_at(desk, range(1, 4))
    add_customers_at(desk, range(4, 5), ends_in=200)
    outcome = desk.ok("renew", "--due-within", "30d")
    result = outcome.text.splitlines()
    assert result[0] == "renewed c1, prod-1: 2026-12-19 → 2027-12-20"
    assert result[1].startswith(f"  file: {desk.output}/c1-prod-1-2027-12-20-")
    assumed = "(assumed); to set the window: polygent-issue config set upload_window 7d"
    assert result[6:] == [
        "renewed 3",
        f"upload before 2026-12-07T09:30:00Z {assumed}",
        "next: list unsent licenses with polygent-issue license list --unsent",
        "after sending them: polygent-issue license sent --all",
    ]
    assert_only_first_seal(outcome)
    assert len(files(desk)) == 3
    assert desk.ok("renew", "--due-within", "30d").text == "nothing to do\n"
    assert read_state(desk).problems == ()


def test_json_has_a_line_for_each_item(desk: Desk) -> None:
    """Each item has a line as soon as it is done; the last line is the summary."""
    add_customers_at(desk, range(1, 4))
    outcome = desk.run("renew", "c1", "unknown", "c2", "--json")
    assert outcome.code == 20
    first, second, third, last = lines(outcome)
    assert (first["outcome"], first["item"]) == ("done", "c1")
    [issued] = first["licenses"]
    assert Path(issued["file"]).is_file()
    assert (issued["action"], issued["customer"], issued["accepted"]) == ("renew", "c1", [])
    assert (second["outcome"], second["licenses"]) == ("failed", [])
    assert second["error"]["code"] == "not_found"
    assert third["outcome"] == "done"
    assert last == {
        "summary": {
            "dry_run": False,
            "complete": True,
            "issued": 0,
            "renewed": 2,
            "reissued": 0,
            "kept": 0,
            "skipped": 0,
            "failed": 1,
            "archive": None,
            "unnamed": [],
        }
    }


def test_a_failed_item_does_not_stop_the_others(desk: Desk) -> None:
    """A table lists the failures with their reasons; exit 20."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "unknown", "c2")
    assert outcome.code == 20
    assert len(files(desk)) == 2
    assert "failed   reason\n" in outcome.text
    assert "unknown  " in outcome.text
    assert "\nrenewed 2, failed 1\n" in outcome.text
    assert_only_first_seal(outcome)


def test_names_are_read_from_stdin(desk: Desk) -> None:
    """Each line is a name, with any line end; empty lines are ignored."""
    add_customers_at(desk, range(1, 4))
    text = "\ufeffc1\r\n\r\n  Customer 2 \nc2\n".encode()
    [first, second, last] = lines(desk.ok("renew", "-", "--json", stdin=text))
    assert [first["item"], second["item"]] == ["c1", "c2"]
    assert last["summary"]["renewed"] == 2
    assert lines(desk.ok("renew", "-", "c3", "--json", stdin=text))[-1]["summary"]["renewed"] == 1
    outcome = desk.run("renew", "-", stdin=b"\xff\n")
    assert outcome.code == 3
    assert "not UTF-8" in outcome.err


def test_an_empty_list_does_nothing(desk: Desk) -> None:
    """An empty list on stdin has nothing to do."""
    assert desk.ok("renew", "-").text == "nothing to do\n"


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("c1", "--due-within", "30d"),
        ("c1", "c2", "--machine", "prod-1"),
        ("c1", "c2", "--license", "00000001"),
        ("--due-within", "30d", "--all-machines"),
        ("--due-within", "30d", "--license", "00000001"),
        ("--due-within", "30d", "--machine-info", "m.json"),
        ("c1", "c2", "-o", "-"),
        ("c1", "c2", "-o", "one.lic"),
        ("c1", "c2", "--report", "report.txt"),
        ("c1", "c2", "--term", "1y", "--expires", "2028-01-01"),
        ("--due-within", "30d", "--add-feature", "bots", "--remove-feature", "bots"),
    ],
)
def test_contradicting_options_issue_nothing(desk: Desk, argv: tuple[str, ...]) -> None:
    """Options that contradict each other are exit 2 with a hint."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", *argv)
    assert outcome.code == 2
    assert "hint: " in outcome.err
    assert files(desk) == []


def test_a_missing_folder_is_named_in_a_command(desk: Desk) -> None:
    """The hint has the command that creates the folder."""
    place = desk.folder / "not yet"
    outcome = desk.run("renew", "--due-within", "30d", "-o", str(place))
    assert outcome.code == 2
    assert f"hint: mkdir -p '{place}'" in outcome.err


def test_an_invalid_term_is_refused(desk: Desk) -> None:
    """An invalid term is exit 3."""
    assert desk.run("renew", "--due-within", "soon").code == 3


def test_an_unknown_key_stops_the_batch(desk: Desk) -> None:
    """An unknown key is exit 5 before any item."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "c2", "--key", "mian")
    assert outcome.code == 5
    assert "main" in outcome.err
    assert outcome.out == b""


@pytest.mark.parametrize("argv", [("c1", "c2"), ("--due-within", "30d"), ("c1", "-", "--dry-run")])
def test_a_batch_needs_an_active_key(desk: Desk, argv: tuple[str, ...]) -> None:
    """Without an active key it is exit 6 before any item."""
    add_customers_at(desk, range(1, 3))
    desk.ok("key", "retire", "main", "--compromised", "--reason", "leaked", "--yes")
    outcome = desk.run("renew", *argv)
    assert outcome.code == 6
    assert "no key is active" in outcome.err
    assert outcome.out == b""


def test_a_wrong_passphrase_issues_nothing(desk: Desk) -> None:
    """A wrong passphrase is exit 6 after a summary without licenses."""
    add_customers_at(desk, range(1, 3))
    desk.passphrase_file.write_text("wrong\n")
    outcome = desk.run("renew", "--due-within", "30d")
    assert outcome.code == 6
    assert outcome.text.splitlines() == [
        "nothing was issued",
        "stopped by an error; fix it, and run the same command again to continue",
    ]
    assert files(desk) == []
    outcome = desk.run("renew", "--due-within", "30d", "--json")
    *_, summary, error = lines(outcome)
    assert summary["summary"]["complete"] is False
    assert error["error"]["exit_code"] == 6


def test_a_missing_home_is_not_created(empty_desk: Desk) -> None:
    """A missing home is exit 7, and none is created."""
    outcome = empty_desk.run("renew", "--due-within", "30d")
    assert outcome.code == 7
    assert not empty_desk.home.exists()


def test_a_missing_output_folder_issues_nothing(desk: Desk) -> None:
    """A missing output folder is exit 8 with the command that creates it."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "c2", "-o", str(desk.folder / "none") + "/")
    assert outcome.code == 8
    assert "mkdir -p" in outcome.err
    assert len(read_state(desk).files) == 2


def test_a_dry_run_issues_nothing(desk: Desk) -> None:
    """A dry run needs no passphrase and prints the next command; a refused item is exit 20."""
    add_customers_at(desk, range(1, 3))
    desk.passphrase_file.unlink()
    outcome = desk.run("renew", "c1", "unknown", "c2", "--dry-run")
    assert outcome.code == 20
    result = outcome.text.splitlines()
    assert result[1].split() == ["c1", "prod-1", "renew", "2026-12-19", "→", "2027-12-20", "25"]
    assert any(line.startswith("refused unknown: ") for line in result)
    assert "renew 2, refused 1" in result
    assert result[-2] == "dry run: nothing was issued"
    assert files(desk) == []
    *items, last = lines(desk.run("renew", "c1", "unknown", "c2", "--dry-run", "--json"))
    assert [each["decision"] for each in items] == ["renew", "refused", "renew"]
    assert (last["summary"]["renew"], last["summary"]["dry_run"]) == (2, True)
    digest = last["summary"]["digest"]
    command = ("renew", "c1", "unknown", "c2", "--json", "--expect", digest)
    assert last["summary"]["argv"] == [*desk.argv, *command]
    assert result[-1] == (
        f"to issue exactly this: polygent-issue renew c1 unknown c2 --expect {digest}"
    )
    assert desk.ok("renew", "c1", "c2", "--dry-run").code == 0


def test_a_dry_run_can_be_reported(desk: Desk) -> None:
    """The report has the outcome without IDs, and the missing consent."""
    add_customers_at(desk, range(1, 3))
    report = desk.folder / "report.csv"
    argv = ("renew", "c1", "unknown", "c2", "--term", "5y", "--dry-run", "--report", str(report))
    outcome = desk.run(*argv)
    assert outcome.code == 20
    assert f"report: {report}" in outcome.text
    with report.open(encoding="utf-8-sig", newline="") as stream:
        first, second, _ = csv.DictReader(stream)
    assert (first["outcome"], first["license"], first["customer"]) == ("renew", "", "c1")
    assert first["why"] == "without consent: long-term"
    assert (second["outcome"], second["code"]) == ("refused", "not_found")
    assert desk.run(*argv).code == 8


def test_batch_options_work_for_one_customer(desk: Desk) -> None:
    """A batch option counts even if only one customer is named."""
    add_customers_at(desk, range(1, 3))
    desk.ok("renew", "c1", "--bundle", str(desk.folder / "one.zip"))
    assert files(desk) == []
    assert (desk.folder / "one.zip").is_file()


def test_each_item_without_consent_fails(desk: Desk) -> None:
    """Without consent each item fails on its own, and the hint has the options."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "c2", "--term", "5y")
    assert outcome.code == 20
    assert "--accept long-term --reason TEXT" in outcome.text
    accepted = ("--accept", "long-term")
    assert desk.run("renew", "c1", "c2", "--term", "5y", *accepted).code == 20
    desk.ok("renew", "c1", "c2", "--term", "5y", *accepted, "--reason", "agreed")
    assert len(files(desk)) == 2


def test_early_renewals_need_consent(desk: Desk) -> None:
    """More than 90 days ahead a license is kept, and renewed once with consent."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    outcome = desk.ok("renew", "c1", "c2")
    assert "kept c1: not due: valid until 2027-06-18T09:30:00Z" in outcome.text
    consent = ("--accept", "not-due", "--reason", "early")
    for count in (2, 2):
        desk.ok("renew", "c1", "c2", *consent)
        assert len(files(desk)) == count


def test_a_csv_report_is_safe_for_a_spreadsheet(desk: Desk) -> None:
    """Each item has a row, formulas are disarmed, and the file is private."""
    add_customers_at(desk, range(1, 3))
    report = desk.folder / "report.csv"
    outcome = desk.run("renew", "c1", "=HYPERLINK(1)", "--report", str(report))
    assert outcome.code == 20
    assert f"report: {report}" in outcome.text
    with report.open(encoding="utf-8-sig", newline="") as stream:
        done, failed = csv.DictReader(stream)
    assert (done["item"], done["outcome"], done["action"]) == ("c1", "done", "renew")
    assert Path(done["file"]).is_file()
    assert done["last_full_day"] == "2027-12-20"
    assert done["upload_before"] == "2026-12-07T09:30:00Z"
    assert failed["item"] == "'=HYPERLINK(1)"
    assert (failed["outcome"], failed["code"]) == ("failed", "not_found")
    assert failed["hint"]
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_json_report_has_the_items_of_the_output(desk: Desk) -> None:
    """The report has the same items as the lines of `--json`."""
    add_customers_at(desk, range(1, 3))
    report = desk.folder / "report.json"
    outcome = desk.ok("renew", "c1", "--report", str(report), "--json")
    assert [{"schema": "polygent-issue/1", **each} for each in json.loads(report.read_text())] == [
        json.loads(outcome.out.splitlines()[0])
    ]


@pytest.mark.parametrize("name", ["taken.csv", "no/folder.csv"])
def test_an_unwritable_report_issues_nothing(desk: Desk, name: str) -> None:
    """A report that cannot be written is exit 8 before any item."""
    add_customers_at(desk, range(1, 3))
    (desk.folder / "taken.csv").write_text("mine")
    outcome = desk.run("renew", "c1", "c2", "--report", str(desk.folder / name))
    assert outcome.code == 8
    assert len(read_state(desk).files) == 2
    assert (desk.folder / "taken.csv").read_text() == "mine"


def test_terms_apply_to_every_item(desk: Desk) -> None:
    """Every item gets the terms; one that has them and is not due is kept."""
    add_customers_at(desk, range(1, 3))
    *items, _ = lines(desk.ok("renew", "c1", "c2", "--users", "30", "--json"))
    assert {each["licenses"][0]["claims"]["limits"]["users"] for each in items} == {30}
    assert (
        lines(desk.ok("renew", "c1", "c2", "--users", "30", "--json"))[-1]["summary"]["kept"] == 2
    )


@pytest.mark.power
def test_a_full_disk_loses_nothing(desk: Desk) -> None:
    """A full disk is exit 8; the same command with another folder issues the rest."""
    add_customers_at(desk, range(1, 31))
    with mounted(desk.folder / "disk", size="64k") as disk:
        outcome = desk.run("renew", "--due-within", "30d", "-o", str(disk))
        assert outcome.code == 8
        assert "no space left" in outcome.err
        assert list(disk.iterdir()) == []
    assert len(read_state(desk).files) == 30
    desk.ok("renew", "--due-within", "30d")
    assert len(files(desk)) == 30


def test_several_hundred_licenses_are_renewed_once(desk: Desk) -> None:
    """Several hundred licenses are issued once each, and the journal is intact."""
    add_customers_at(desk, range(1, 301))
    *items, last = lines(desk.ok("renew", "--due-within", "30d", "--json"))
    assert len(items) == 300
    assert last["summary"]["renewed"] == 300
    assert len(files(desk)) == 300
    after = read_state(desk)
    assert len(after.current) == 300
    assert after.problems == ()
    assert desk.ok("customer", "list", after=timedelta(days=1)).err == ""
