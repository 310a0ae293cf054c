"""Problems that would stop a batch: all at once, before the first license, in a dry run, too."""

import json
from pathlib import Path

import pytest
from support.cli import Desk
from support.desk_state import read_state
from support.many_customers import add_customers_at


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
