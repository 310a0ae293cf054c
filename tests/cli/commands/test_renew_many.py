"""`polygent-issue renew` of many, without a terminal."""

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk, Outcome
from support.desk_state import litter_in, read_state
from support.disks import mounted
from support.many_customers import add_customers_at


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    """Each line of stdout, which must be JSON of our schema."""
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert {each.pop("schema") for each in found} == {"polygent-issue/1"}
    return found


def files(desk: Desk) -> list[Path]:
    """The license files."""
    assert litter_in(desk.output) == []
    return sorted(desk.output.iterdir())


def test_every_license_that_is_due(desk: Desk) -> None:
    """A line for each, a summary, exit 0; the same again has nothing to do."""
    add_customers_at(desk, range(1, 4))
    add_customers_at(desk, range(4, 5), ends_in=200)
    outcome = desk.ok("renew", "--due-within", "30d")
    told = outcome.text.splitlines()
    assert told[0] == "renewed c1, prod-1: 2026-12-19 → 2027-12-20"
    assert told[1].startswith(f"  file: {desk.output}/c1-prod-1-2027-12-20-")
    assumed = "assumed; set yours with: polygent-issue config set upload_window 7d"
    assert told[6:] == [
        "renewed 3",
        f"upload before 2026-12-07T09:30:00Z ({assumed})",
        "to be mailed: polygent-issue license list --unsent",
    ]
    assert outcome.err == ""
    assert len(files(desk)) == 3
    assert desk.ok("renew", "--due-within", "30d").text == "nothing to do\n"
    assert read_state(desk).problems == ()


def test_json_lines(desk: Desk) -> None:
    """One for each item as it is acknowledged, the last is the summary."""
    add_customers_at(desk, range(1, 4))
    outcome = desk.run("renew", "c1", "nobody", "c2", "--json")
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
            "failed": 1,
            "archive": None,
            "unnamed": [],
        }
    }


def test_one_that_fails_leaves_the_others(desk: Desk) -> None:
    """A table says which and why; exit 20."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "nobody", "c2")
    assert outcome.code == 20
    assert len(files(desk)) == 2
    assert "failed  why\n" in outcome.text
    assert "nobody  there is no customer nobody" in outcome.text
    assert "\nrenewed 2, failed 1\n" in outcome.text
    assert outcome.err == ""


def test_names_from_stdin(desk: Desk) -> None:
    """One in a line, however a spreadsheet ends it; empty lines count for nothing."""
    add_customers_at(desk, range(1, 4))
    text = "\ufeffc1\r\n\r\n  Customer 2 \nc2\n".encode()
    [first, second, last] = lines(desk.ok("renew", "-", "--json", stdin=text))
    assert [first["item"], second["item"]] == ["c1", "c2"]
    assert last["summary"]["renewed"] == 2
    assert lines(desk.ok("renew", "-", "c3", "--json", stdin=text))[-1]["summary"]["renewed"] == 1
    outcome = desk.run("renew", "-", stdin=b"\xff\n")
    assert outcome.code == 3
    assert "not UTF-8" in outcome.err


def test_nobody_on_stdin(desk: Desk) -> None:
    """An empty list is nothing to do, as for a pipe of what is due today."""
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
def test_wrong_usage(desk: Desk, argv: tuple[str, ...]) -> None:
    """What is of one license, or of two minds: exit 2 with a hint, and nothing is issued."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", *argv)
    assert outcome.code == 2
    assert "hint: " in outcome.err
    assert files(desk) == []


def test_a_folder_that_is_not_there(desk: Desk) -> None:
    """Many files need a folder: the hint makes it as it stands there."""
    place = desk.folder / "not yet"
    outcome = desk.run("renew", "--due-within", "30d", "-o", str(place))
    assert outcome.code == 2
    assert f"hint: mkdir -p '{place}'" in outcome.err


def test_a_term_that_is_none(desk: Desk) -> None:
    """Exit 3, as everywhere."""
    assert desk.run("renew", "--due-within", "soon").code == 3


def test_a_key_that_is_not_there(desk: Desk) -> None:
    """It stands in the way of all, so nothing is tried: exit 5."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "c2", "--key", "mian")
    assert outcome.code == 5
    assert "main" in outcome.err
    assert outcome.out == b""


@pytest.mark.parametrize("argv", [("c1", "c2"), ("--due-within", "30d"), ("c1", "-", "--dry-run")])
def test_no_key_is_chosen(desk: Desk, argv: tuple[str, ...]) -> None:
    """It stands in the way of all, so nothing is tried: exit 6."""
    add_customers_at(desk, range(1, 3))
    desk.ok("key", "retire", "main", "--compromised", "--reason", "leaked", "--yes")
    outcome = desk.run("renew", *argv)
    assert outcome.code == 6
    assert "no key is active" in outcome.err
    assert outcome.out == b""


def test_a_passphrase_that_is_wrong(desk: Desk) -> None:
    """Exit 6 after the summary, which says that nothing was done."""
    add_customers_at(desk, range(1, 3))
    desk.passphrase_file.write_text("wrong\n")
    outcome = desk.run("renew", "--due-within", "30d")
    assert outcome.code == 6
    assert outcome.text == "nothing was issued\nbroken off; the same command does the rest\n"
    assert files(desk) == []
    outcome = desk.run("renew", "--due-within", "30d", "--json")
    *_, summary, error = lines(outcome)
    assert summary["summary"]["complete"] is False
    assert error["error"]["exit_code"] == 6


def test_no_home(empty_desk: Desk) -> None:
    """Exit 7, and none is made."""
    outcome = empty_desk.run("renew", "--due-within", "30d")
    assert outcome.code == 7
    assert not empty_desk.home.exists()


def test_no_folder(desk: Desk) -> None:
    """Exit 8 before anything is issued, with the command that makes it."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "c2", "-o", str(desk.folder / "none") + "/")
    assert outcome.code == 8
    assert "mkdir -p" in outcome.err
    assert len(read_state(desk).files) == 2


def test_a_dry_run_issues_nothing(desk: Desk) -> None:
    """What would be done, no passphrase, and no digest that nothing takes; one is refused: 20."""
    add_customers_at(desk, range(1, 3))
    desk.passphrase_file.unlink()
    outcome = desk.run("renew", "c1", "nobody", "c2", "--dry-run")
    assert outcome.code == 20
    told = outcome.text.splitlines()
    assert told[0] == "renew c1: 2026-12-19 → 2027-12-20"
    assert any(line.startswith("refused nobody: ") for line in told)
    assert "renew 2, refused 1" in told
    assert told[-1] == "dry run: nothing was issued"
    assert files(desk) == []
    assert not any(line.startswith("digest") for line in told)
    *items, last = lines(desk.run("renew", "c1", "nobody", "c2", "--dry-run", "--json"))
    assert [each["decision"] for each in items] == ["renew", "refused", "renew"]
    assert (last["summary"]["renew"], last["summary"]["dry_run"]) == (2, True)
    assert "digest" not in last["summary"]
    assert desk.ok("renew", "c1", "c2", "--dry-run").code == 0


def test_a_report_of_a_dry_run(desk: Desk) -> None:
    """What would become of each: no ID, for none is issued, and what consent is missing."""
    add_customers_at(desk, range(1, 3))
    report = desk.folder / "report.csv"
    argv = ("renew", "c1", "nobody", "c2", "--term", "5y", "--dry-run", "--report", str(report))
    outcome = desk.run(*argv)
    assert outcome.code == 20
    assert f"report: {report}" in outcome.text
    with report.open(encoding="utf-8-sig", newline="") as stream:
        first, second, _ = csv.DictReader(stream)
    assert (first["outcome"], first["license"], first["customer"]) == ("renew", "", "c1")
    assert first["why"] == "without consent: long-term"
    assert (second["outcome"], second["code"]) == ("refused", "not_found")
    assert desk.run(*argv).code == 8


def test_one_customer_into_an_archive(desk: Desk) -> None:
    """An option of batches is not overlooked where only one is named."""
    add_customers_at(desk, range(1, 3))
    desk.ok("renew", "c1", "--bundle", str(desk.folder / "one.zip"))
    assert files(desk) == []
    assert (desk.folder / "one.zip").is_file()


def test_consent_off_a_terminal(desk: Desk) -> None:
    """Each item fails by itself, and the hint has the flags; with a reason it goes."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("renew", "c1", "c2", "--term", "5y")
    assert outcome.code == 20
    assert "--accept long-term --reason TEXT" in outcome.text
    accepted = ("--accept", "long-term")
    assert desk.run("renew", "c1", "c2", "--term", "5y", *accepted).code == 20
    desk.ok("renew", "c1", "c2", "--term", "5y", *accepted, "--reason", "agreed")
    assert len(files(desk)) == 2


def test_early_renewals(desk: Desk) -> None:
    """Over 90 days ahead: kept and told, renewed with consent, and then once."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    outcome = desk.ok("renew", "c1", "c2")
    assert "kept c1: not due: runs until 2027-06-18T09:30:00Z" in outcome.text
    consent = ("--accept", "not-due", "--reason", "early")
    for count in (2, 2):
        desk.ok("renew", "c1", "c2", *consent)
        assert len(files(desk)) == count


def test_a_report_for_a_spreadsheet(desk: Desk) -> None:
    """A row for each license or item, formulas disarmed; private, and whole."""
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


def test_a_report_for_a_program(desk: Desk) -> None:
    """The same items as the lines of `--json`, in one list; of one customer as well."""
    add_customers_at(desk, range(1, 3))
    report = desk.folder / "report.json"
    outcome = desk.ok("renew", "c1", "--report", str(report), "--json")
    assert [{"schema": "polygent-issue/1", **each} for each in json.loads(report.read_text())] == [
        json.loads(outcome.out.splitlines()[0])
    ]


@pytest.mark.parametrize("name", ["taken.csv", "no/folder.csv"])
def test_a_report_that_cannot_be(desk: Desk, name: str) -> None:
    """Exit 8 before anything is issued."""
    add_customers_at(desk, range(1, 3))
    (desk.folder / "taken.csv").write_text("mine")
    outcome = desk.run("renew", "c1", "c2", "--report", str(desk.folder / name))
    assert outcome.code == 8
    assert len(read_state(desk).files) == 2
    assert (desk.folder / "taken.csv").read_text() == "mine"


def test_terms_for_many(desk: Desk) -> None:
    """Each gets them; who has them already and is not due is kept."""
    add_customers_at(desk, range(1, 3))
    *items, _ = lines(desk.ok("renew", "c1", "c2", "--users", "30", "--json"))
    assert {each["licenses"][0]["claims"]["limits"]["users"] for each in items} == {30}
    assert (
        lines(desk.ok("renew", "c1", "c2", "--users", "30", "--json"))[-1]["summary"]["kept"] == 2
    )


@pytest.mark.power
def test_a_full_disk(desk: Desk) -> None:
    """Exit 8: nothing of that group is kept, and elsewhere the same command does all."""
    add_customers_at(desk, range(1, 31))
    with mounted(desk.folder / "disk", size="64k") as disk:
        outcome = desk.run("renew", "--due-within", "30d", "-o", str(disk))
        assert outcome.code == 8
        assert "no space left" in outcome.err
        assert list(disk.iterdir()) == []
    assert len(read_state(desk).files) == 30
    desk.ok("renew", "--due-within", "30d")
    assert len(files(desk)) == 30


def test_more_than_a_group(desk: Desk) -> None:
    """Several hundred: each once, the journal stands, nothing waits."""
    add_customers_at(desk, range(1, 301))
    *items, last = lines(desk.ok("renew", "--due-within", "30d", "--json"))
    assert len(items) == 300
    assert last["summary"]["renewed"] == 300
    assert len(files(desk)) == 300
    after = read_state(desk)
    assert len(after.current) == 300
    assert after.problems == ()
    assert desk.ok("customer", "list", after=timedelta(days=1)).err == ""
