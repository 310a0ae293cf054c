"""`polygent-issue apply`, without a terminal."""

import csv
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Desk, lines
from support.desk_state import litter_in, read_state
from support.many_customers import add_customers_at, fingerprint

CSV = "customer,users\r\nc1,30\r\nc2,\r\n"


def write(desk: Desk, text: str, name: str = "plan.csv") -> str:
    """Write an apply file and return its path."""
    path = desk.folder / name
    path.write_text(text, newline="")
    return str(path)


def digest(desk: Desk, file: str, *argv: str) -> str:
    """Return the digest of the preview."""
    return str(lines(desk.ok("apply", file, "--dry-run", "--json", *argv))[-1]["summary"]["digest"])


def issued(desk: Desk) -> int:
    """Return the number of license files."""
    assert litter_in(desk.output) == []
    return len(list(desk.output.iterdir()))


def test_each_row_of_a_spreadsheet_is_reported(desk: Desk) -> None:
    """Each row is reported, and applying the same file again does nothing."""
    add_customers_at(desk, range(1, 3))
    file = write(desk, CSV)
    outcome = desk.ok("apply", file)
    first, place, second, _, *rest = outcome.text.splitlines()
    assert first == "renewed plan.csv, line 2 (c1): 2026-12-19 → 2027-12-20, users 25 → 30"
    assert place.startswith(f"  file: {desk.output}/c1-")
    assert second == "renewed plan.csv, line 3 (c2): 2026-12-19 → 2027-12-20"
    assert rest[0] == "renewed 2"
    assert issued(desk) == 2
    assert desk.ok("apply", file).text == "nothing to do, kept 2\n"
    assert read_state(desk).problems == ()


def test_json_has_every_action(desk: Desk) -> None:
    """Each action has its line, and the summary counts them."""
    add_customers_at(desk, range(1, 2))
    add_customers_at(desk, range(2, 5), ends_in=200)
    desk.machine_info("new.json", fingerprint=fingerprint(50), customer=None)
    text = (
        '[[license]]\ncustomer = "Globex"\nmachine_info = "new.json"\n'
        '[[license]]\ncustomer = "c1"\n'
        '[[license]]\ncustomer = "c2"\nusers = 30\n'
        '[[license]]\ncustomer = "c3"\n'
        '[[license]]\ncustomer = "c9"\nusers = 0\n'
    )
    outcome = desk.run("apply", write(desk, text, "plan.toml"), "--json")
    assert outcome.code == 20
    *items, last = lines(outcome)
    assert [each["outcome"] for each in items] == ["done", "done", "done", "kept", "failed"]
    assert items[0]["licenses"][0]["customer"] == "globex"
    assert items[4]["error"]["code"] == "invalid_row"
    assert items[4]["item"] == "plan.toml, license 5 (c9)"
    counts = {"issued": 1, "renewed": 1, "reissued": 1, "kept": 1, "skipped": 0, "failed": 1}
    assert last["summary"] == {
        "dry_run": False,
        "complete": True,
        **counts,
        "archive": None,
        "unnamed": ["c4"],
    }


def test_a_customer_missing_from_the_file_is_not_changed(desk: Desk) -> None:
    """A customer that is missing from the file is listed, but not changed."""
    add_customers_at(desk, range(1, 4))
    outcome = desk.ok("apply", write(desk, CSV))
    assert "not in the file, so unchanged: c3" in outcome.text
    assert len(read_state(desk).current) == 3


def test_a_failed_row_does_not_stop_the_others(desk: Desk) -> None:
    """A failed row names file, row and field; once fixed, only that row is done."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("apply", write(desk, "customer,users\r\nc1,many\r\nc2,\r\n"))
    assert outcome.code == 20
    assert "plan.csv, line 2 (c1)  users: " in outcome.text
    assert issued(desk) == 1
    desk.ok("apply", write(desk, CSV))
    assert issued(desk) == 2


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("customer,user\r\nc1,3\r\n", "did you mean users?"),
        ("customer\r\nc1\r\nCustomer 1\r\n", "plan.csv, line 2 and plan.csv, line 3"),
        ("", "empty"),
    ],
)
def test_an_invalid_file_issues_nothing(desk: Desk, text: str, result: str) -> None:
    """An invalid file is exit 3, and no license is issued."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("apply", write(desk, text))
    assert outcome.code == 3
    assert result in outcome.err
    assert issued(desk) == 0


def test_every_problem_of_a_file_is_printed(desk: Desk) -> None:
    """Columns, cells and duplicates are in one error, as text and as JSON; nothing is issued."""
    add_customers_at(desk, range(1, 3))
    file = write(desk, "customer,user,users\r\nc1,,many\r\nc2,,\r\nCustomer 2,,\r\n")
    outcome = desk.run("apply", file)
    assert outcome.code == 3
    assert outcome.err.splitlines() == [
        "error: 3 problems, and nothing was done",
        "  invalid_apply_file: plan.csv, line 1: unknown field user",
        "    hint: did you mean users?",
        "  invalid_row: plan.csv, line 2: users: not a whole number: many",
        "    hint: write it as 25, with the digits 0 to 9 only",
        "  duplicate_row: two rows for one license: plan.csv, line 3 and plan.csv, line 4",
        "    hint: keep one row for each customer and machine",
    ]
    error = desk.run("apply", file, "--json").json["error"]
    assert error["code"] == "invalid_apply_file"
    codes = ["invalid_apply_file", "invalid_row", "duplicate_row"]
    assert [each["code"] for each in error["problems"]] == codes
    assert issued(desk) == 0
    row = desk.run("apply", write(desk, "customer,users,expires\r\nc1,many,soon\r\n", "one.csv"))
    assert row.code == 20
    assert "users: not a whole number: many; expires: not a date" in row.text


def test_a_german_spreadsheet_makes_addressed_drafts(desk: Desk) -> None:
    """Semicolons, a BOM and German dates; a new customer's draft has an address."""
    header = "customer;contact;tier;plan;expires;users"
    text = (
        f"{header}\r\nMüller GmbH;Ada <ada@m.example>;enterprise;standard-annual;30.06.2027;5\r\n"
    )
    file = write(desk, f"\ufeff{text}", "lizenzen.csv")
    refused = desk.run("apply", file)
    assert (refused.code, issued(desk)) == (20, 0)
    assert "--date-format '%d.%m.%Y'" in refused.text
    (desk.folder / "mail").mkdir()
    argv = ("--date-format", "%d.%m.%Y")
    other = write(desk, text.replace("ada@", "bob@"), "other.csv")
    assert digest(desk, file, *argv) != digest(desk, other, *argv)
    desk.ok("apply", file, *argv, "--eml", str(desk.folder / "mail"))
    [draft] = (desk.folder / "mail").iterdir()
    assert "To: Ada <ada@m.example>" in draft.read_text()
    customer = desk.ok("customer", "show", "Müller GmbH", "--json").json
    assert customer["customer"]["contacts"] == ["Ada <ada@m.example>"]
    assert [each["last_full_day"] for each in customer["licenses"]] == ["2027-06-30"]
    assert desk.ok("apply", file, *argv).text == "nothing to do, kept 1\n"
    other = write(desk, text.replace("ada@", "bob@").replace(";5", ";6"), "more.csv")
    assert (
        "polygent-issue customer edit muller-gmbh --contact" in desk.ok("apply", other, *argv).text
    )
    assert desk.run("apply", file, "--date-format", "%d.%m.%y").code == 3


def test_a_missing_file_is_named(desk: Desk) -> None:
    """A missing file is exit 3 and named."""
    outcome = desk.run("apply", "absent.csv")
    assert outcome.code == 3
    assert "absent.csv" in outcome.err


def test_rows_are_read_from_stdin(desk: Desk) -> None:
    """With `-` messages name stdin in place of the file."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.ok("apply", "-", stdin=CSV.encode())
    assert outcome.text.startswith("renewed stdin, line 2 (c1): ")


def test_a_missing_home_is_not_created(empty_desk: Desk) -> None:
    """A missing home is exit 7, and none is created."""
    assert empty_desk.run("apply", write(empty_desk, CSV)).code == 7
    assert not empty_desk.home.exists()


def test_expect_applies_only_the_preview(desk: Desk) -> None:
    """With the digest of `--dry-run` rows are applied; with another it is exit 3."""
    add_customers_at(desk, range(1, 3))
    file = write(desk, CSV)
    reviewed = digest(desk, file)
    assert issued(desk) == 0
    outcome = desk.run("apply", file, "--expect", "0" * 64)
    assert outcome.code == 3
    assert reviewed in outcome.err
    assert "--dry-run" in outcome.err
    assert issued(desk) == 0
    desk.ok("apply", file, "--expect", reviewed, after=timedelta(hours=9))
    assert issued(desk) == 2


def test_the_digest_stays_valid_after_its_rows_are_done(desk: Desk) -> None:
    """A digest whose rows are done does nothing, with exit 0."""
    add_customers_at(desk, range(1, 3))
    file = write(desk, CSV)
    reviewed = digest(desk, file)
    desk.ok("apply", file, "--expect", reviewed)
    assert desk.ok("apply", file, "--expect", reviewed).text == "nothing to do, kept 2\n"


def test_a_renewal_after_the_preview_changes_the_digest(desk: Desk) -> None:
    """After a renewal by another command the digest no longer matches."""
    add_customers_at(desk, range(1, 3))
    file = write(desk, CSV)
    reviewed = digest(desk, file)
    desk.ok("renew", "c2")
    outcome = desk.run("apply", file, "--expect", reviewed, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "decisions_changed"
    assert issued(desk) == 1


def test_accept_fields_need_an_option(desk: Desk) -> None:
    """Accept fields count only with `--expect` or `--accept-from-file`."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    header = "customer,users,accept,reason\r\n"
    row = "c{},5,entitlement-loss,downgrade\r\n"
    file = write(desk, header + row.format(1))
    outcome = desk.run("apply", file)
    assert outcome.code == 20
    assert "--accept-from-file" in outcome.text
    reviewed = digest(desk, file)
    assert "the row accepts it" in desk.ok("apply", file, "--dry-run").text
    write(desk, header + row.format(1).replace("downgrade", "sales agreed"))
    assert desk.run("apply", file, "--expect", reviewed).code == 3
    assert issued(desk) == 0
    write(desk, header + row.format(1))
    desk.ok("apply", file, "--expect", reviewed)
    assert issued(desk) == 1
    desk.ok("apply", write(desk, header + row.format(2)), "--accept-from-file")
    assert issued(desk) == 2
    rows = desk.ok("journal", "show", "--json").json["rows"]
    reasons = [each["reason"] for each in rows if each["event"] == "license-reissued"]
    assert reasons == ["downgrade", "downgrade"]


def test_consent_on_the_command_line_applies_to_every_row(desk: Desk) -> None:
    """Consent applies to every row; entitlement-loss needs it even for a number in the file."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    file = write(desk, "customer,users\r\nc1,5\r\nc2,5\r\n")
    assert desk.run("apply", file).code == 20
    assert (
        "consent needed for 2 items: --accept entitlement-loss"
        in desk.ok("apply", file, "--dry-run").text
    )
    desk.ok("apply", file, "--accept", "entitlement-loss", "--reason", "downgrades")
    assert issued(desk) == 2


def test_documents_are_found_next_to_the_file(desk: Desk) -> None:
    """Documents are read from the folder of the apply file."""
    folder = desk.folder / "sales"
    folder.mkdir()
    desk.machine_info("sales/a.json", fingerprint=fingerprint(50), customer=None)
    file = write(desk, "customer;machine_info\r\nGlobex;a.json\r\n", "sales/plan.csv")
    desk.ok("apply", file)
    assert desk.ok("apply", file).text == "nothing to do, kept 1\n"


def add_key(desk: Desk, label: str, *, use: bool = False) -> Path:
    """Generate another key; return its file."""
    store = desk.folder / f"{label}.key"
    desk.ok("key", "generate", label, "--store", f"file:{store}", "--no-backup")
    if use:
        desk.ok("key", "use", label, "--accept", "key-rollout", "--reason", "installed")
    return store


def test_the_key_of_a_row_reissues_only_to_the_active_key(desk: Desk) -> None:
    """The active key reissues once, the signer's is kept, and last year's file is refused."""
    add_customers_at(desk, range(1, 4), ends_in=200)
    add_key(desk, "second")
    file = write(desk, "customer,key\r\nc1,second\r\nc2,main\r\nc3,third\r\n")
    outcome = desk.run("apply", file)
    assert outcome.code == 20
    refusal = "c1)  key: license 00000001 is signed with main, and second is not the active key\n"
    assert refusal in outcome.text
    assert "polygent-issue key use second" in outcome.text
    assert "line 4 (c3)  unknown key third\n" in outcome.text
    assert issued(desk) == 0
    desk.ok("key", "use", "second", "--accept", "key-rollout", "--reason", "installed")
    file = write(desk, "customer,key\r\nc1,second\r\nc2,main\r\nc3,\r\n")
    outcome = desk.ok("apply", file)
    assert outcome.text.startswith("reissued plan.csv, line 2 (c1): until 2027-06-17\n")
    assert "reissued 1, kept 2" in outcome.text
    assert desk.ok("apply", file).text == "nothing to do, kept 3\n"
    desk.ok("key", "retire", "main", "--reason", "change of key")
    last_year = write(desk, "customer,key\r\nc1,main\r\nc2,main\r\n")
    outcome = desk.run("apply", last_year, "--json")
    [refused, kept, summary] = lines(outcome)
    assert refused["error"]["code"] == "invalid_row"
    assert refused["error"]["hint"] == "remove the key from the row"
    assert kept["outcome"] == "kept"
    assert (summary["summary"]["reissued"], issued(desk)) == (0, 1)


def test_a_first_license_has_the_key_of_its_row(desk: Desk) -> None:
    """Any key that may sign signs a first license; an unknown key fails only its row."""
    add_customers_at(desk, range(1, 2))
    add_key(desk, "second")
    header = "customer,tier,plan,key\r\n"
    rows = "Wayne,enterprise,enterprise-annual,second\r\nTyrell,enterprise,,third\r\nc1,,,\r\n"
    outcome = desk.run("apply", write(desk, header + rows))
    assert outcome.code == 20
    assert "plan.csv, line 3 (Tyrell)  " in outcome.text
    assert issued(desk) == 2
    keys = {each["kid"] for each in desk.ok("license", "list", "--json").json["licenses"]}
    assert len(keys) == 2


def test_only_the_keys_that_sign_are_opened(desk: Desk) -> None:
    """A key that has nothing to sign is not opened, so a missing one does not matter."""
    add_customers_at(desk, range(1, 3), ends_in=300)
    add_customers_at(desk, range(3, 4))
    add_key(desk, "second", use=True)
    (desk.folder / "main.key").unlink()
    file = write(desk, "customer,key\r\nc1,main\r\nc2,second\r\nc3,second\r\n")
    desk.ok("apply", file)
    assert issued(desk) == 2


def test_a_row_without_a_key_needs_an_active_key(desk: Desk) -> None:
    """Without an active key it is exit 6, unless each row names a key."""
    add_key(desk, "second")
    desk.ok("key", "retire", "main", "--compromised", "--reason", "leaked", "--yes")
    text = "customer,tier,key\r\nWayne,enterprise,second\r\nTyrell,enterprise,\r\n"
    outcome = desk.run("apply", write(desk, text))
    assert outcome.code == 6
    assert issued(desk) == 0
    desk.ok("apply", write(desk, text.replace("se,\r\n", "se,second\r\n")))
    assert issued(desk) == 2


def test_a_report_locates_failures(desk: Desk) -> None:
    """The report names the place of each failure in the file."""
    add_customers_at(desk, range(1, 3))
    report = desk.folder / "report.csv"
    file = write(desk, "customer,users\r\nc1,many\r\nc2,\r\n")
    assert desk.run("apply", file, "--report", str(report)).code == 20
    with report.open(encoding="utf-8-sig", newline="") as stream:
        failed, done = csv.DictReader(stream)
    assert failed["item"] == "plan.csv, line 2 (c1)"
    assert failed["why"].startswith("users: ")
    assert done["outcome"] == "done"


def test_an_applied_export_has_nothing_to_do(desk: Desk) -> None:
    """Applying an export of the registry does nothing and needs no passphrase."""
    add_customers_at(desk, range(1, 4))
    add_customers_at(desk, range(4, 6), ends_in=-30)
    file = desk.folder / "export.toml"
    desk.ok("registry", "export", "--output", str(file))
    desk.passphrase_file.unlink()
    assert desk.ok("apply", str(file)).text == "nothing to do, kept 5\n"


def test_due_within_sets_when_a_renewal_is_due(desk: Desk) -> None:
    """`--due-within` sets how long before the expiry a renewal is due."""
    add_customers_at(desk, range(1, 3), ends_in=50)
    file = write(desk, CSV.replace("30", ""))
    assert desk.ok("apply", file).text == "nothing to do, kept 2\n"
    desk.ok("apply", file, "--due-within", "60d")
    assert issued(desk) == 2


def test_names_cannot_steer_a_screen(desk: Desk) -> None:
    """Control characters of names are escaped in the table of failures and in a report."""
    report = desk.folder / "report.json"
    file = write(desk, 'customer\r\n"x\x1b[2J"\r\n"[red]b"\r\n')
    outcome = desk.run("apply", file, "--report", str(report))
    assert outcome.code == 20
    assert "\x1b" not in outcome.text
    assert "[red]b" in outcome.text
    assert "\x1b" not in report.read_text()
    assert Path(report).exists()


def test_a_preview_has_a_line_for_each_item(desk: Desk) -> None:
    """Each license has a row, by customer; findings, notes and refused rows are below."""
    add_customers_at(desk, range(1, 4), ends_in=200)
    desk.machine_info("new.json", fingerprint=f"sha256:{'ab' * 32}", customer=None)
    rows = ("c1,new.json,,,", "c2,,x,,", "c3,,5,entitlement-loss,sales agreed")
    text = "\n".join(("customer,machine_info,users,accept,reason", *rows))
    result = desk.run("apply", write(desk, text), "--dry-run").text.splitlines()
    change = "fingerprint sha256:0000000000... → sha256:ababababab..."
    assert result[1].split(maxsplit=5)[:5] == ["c1", "prod-1", "reissue", "2027-06-17", "25"]
    assert result[1].endswith(change)
    assert result[2].split() == ["c3", "prod-1", "reissue", "2027-06-17", "25", "→", "5"]
    refused = result.index("refused plan.csv, line 3 (c2): users: not a whole number: x")
    assert result[refused + 1].startswith("  hint: write it as 25")
    loss = "Customer 3 would lose: users (5 instead of 25)"
    found = result.index(f"entitlement-loss for plan.csv, line 4 (c3): {loss}")
    assert result[found + 1].startswith("plan.csv, line 4 (c3): the row accepts it")
    assert result[found + 1].endswith("--expect or --accept-from-file")
    assert "reissue 2, refused 1" in result
