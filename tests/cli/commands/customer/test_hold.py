"""`polygent-issue customer hold`: batches skip a customer on hold, single commands ask."""

import csv
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from support.cli import Desk
from support.licenses import Books
from support.many_customers import add_customers_at

from polygent_issuer.registry import REGISTRY_FILE

WHY = ("--reason", "unpaid invoice")
HOLD = ("customer", "hold", "c1")
STATE = "Customer 1 is on hold until 2026-12-31: unpaid invoice"
OF_SLUG = STATE.replace("Customer 1", "c1")
RELEASE = "to release it: polygent-issue customer hold c1 --release"


@pytest.fixture
def due(desk: Desk) -> Desk:
    """Add c1 and c2, whose licenses are due; c1 is on hold until the end of the year."""
    add_customers_at(desk, range(1, 3))
    desk.ok(*HOLD, *WHY, "--until", "2026-12-31")
    return desk


def journal(desk: Desk) -> list[dict[str, Any]]:
    """Return the rows of the journal."""
    rows: list[dict[str, Any]] = desk.ok("journal", "show", "--json").json["rows"]
    return rows


def test_a_batch_skips_a_customer_on_hold(due: Desk) -> None:
    """The line names the reason, consent does not help, and the exit code is 0."""
    report = due.folder / "report.csv"
    consent = ("--accept", "on-hold", "--reason", "all")
    preview = due.ok("renew", "--due-within", "30d", "--dry-run", *consent).text.splitlines()
    assert f"skip c1, prod-1: {STATE}; {RELEASE}" in preview
    assert "renew 1, skip 1" in preview
    outcome = due.ok("renew", "--due-within", "30d", *consent, "--report", str(report))
    assert outcome.text.startswith(f"skipped c1, prod-1: {STATE}; {RELEASE}\nrenewed c2")
    assert "\nrenewed 1, skipped 1\n" in outcome.text
    with report.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["outcome"], row["why"][: len(STATE)]) for row in rows] == [
        ("skipped", STATE),
        ("done", ""),
    ]
    again = due.ok("renew", "c1", "c2", "--json", "--accept", "on-hold", "--reason", "x")
    one, other, last = again.json_lines
    assert (one["outcome"], one["licenses"]) == ("skipped", [])
    assert other["outcome"] == "kept"
    assert (last["summary"]["skipped"], last["summary"]["kept"]) == (1, 1)
    every = due.ok("reissue", "--all", "--users", "30", *consent)
    assert "\nreissued 1, skipped 1\n" in every.text


def test_a_row_of_a_customer_on_hold_is_skipped(due: Desk) -> None:
    """The row's own consent does not count, and the digest differs with the hold."""
    file = due.folder / "rows.csv"
    file.write_text("customer,users,accept,reason\nc1,30,on-hold,please\n")
    argv = ("apply", str(file), "--dry-run", "--json")
    skipped, summary = due.ok(*argv, "--accept-from-file").json_lines
    assert (skipped["decision"], skipped["licenses"]) == ("skip", [])
    assert skipped["note"] == f"{STATE}; {RELEASE}"
    digest = summary["summary"]["digest"]
    done = due.ok("apply", str(file), "--expect", digest, "--json").json_lines[-1]["summary"]
    assert (done["skipped"], done["renewed"]) == (1, 0)
    due.ok(*HOLD, "--release")
    assert due.ok(*argv).json_lines[-1]["summary"]["digest"] != digest
    assert due.run("apply", str(file), "--expect", digest).code == 3
    kept = due.folder / "kept.csv"
    kept.write_text("customer,expires\nc2,2026-12-20T09:30:00Z\n")
    before = due.ok("apply", str(kept), "--dry-run", "--json").json_lines[-1]["summary"]["digest"]
    due.ok("customer", "hold", "c2", *WHY)
    after = due.ok("apply", str(kept), "--dry-run", "--json").json_lines[-1]["summary"]
    assert (after["keep"], after["digest"]) == (1, before)


def test_one_by_one_it_is_a_finding(due: Desk) -> None:
    """`sign`, `renew` and `reissue` need consent, which the journal records."""
    first = ("sign", "--customer", "c1", "--tier", "enterprise")
    for argv in (("renew", "c1"), ("reissue", "c1"), first):
        refused = due.run(*argv, "--json")
        assert refused.code == 4, argv
        [finding] = refused.json["error"]["findings"]
        assert (finding["code"], finding["message"]) == ("on-hold", STATE)
        assert finding["argv"][-4:] == ["customer", "hold", "c1", "--release"]
        due.ok(*argv, "--accept", "on-hold", "--reason", "they paid by phone")
        row = journal(due)[-1]
        assert (row["accepted"], row["reason"]) == (["on-hold"], "they paid by phone")
    due.ok("renew", "c2")


def test_lists_show_a_hold(due: Desk) -> None:
    """Customers, licenses and `expiring` show it, and nothing else changes in them."""
    table = due.ok("customer", "list").text.splitlines()
    assert table[0].endswith("next expiry  on hold")
    assert table[1].endswith("2026-12-19   until 2026-12-31")
    assert table[2].endswith("2026-12-19")
    c1, c2 = due.ok("customer", "list", "--json").json["customers"]
    assert (c1["on_hold"], c1["held_until"]) == (True, "2027-01-01T00:00:00Z")
    assert (c2["on_hold"], c2["held_at"]) == (False, None)
    shown = due.ok("customer", "show", "c1").text
    assert "on hold  since 2026-11-30T09:30:00Z, until 2026-12-31: unpaid invoice\n" in shown
    assert "current, on hold" in shown
    assert due.ok("customer", "show", "c1", "--json").json["customer"]["on_hold"] is True
    assert due.ok("license", "list").text.count("current, on hold") == 1
    rows = csv.DictReader(due.ok("license", "list", "--csv").text.splitlines())
    assert [row["on_hold"] for row in rows] == ["true", "false"]
    text = due.ok("expiring").text
    assert f"to renew: polygent-issue renew c2\n{OF_SLUG}; {RELEASE}\n" in text
    listed = due.ok("expiring", "--json").json["licenses"]
    assert [each["on_hold"] for each in listed] == [True, False]
    license_id = listed[0]["id"]
    assert "on hold        since 2026-11-30" in due.ok("license", "show", license_id).text


def test_a_hold_covers_its_last_day_and_then_ends(due: Desk) -> None:
    """It ends at midnight in the customer's time zone, without a command."""
    due.ok("customer", "edit", "c1", "--time-zone", "America/New_York")
    due.ok(*HOLD, *WHY, "--until", "2026-12-10")
    customer = due.ok("customer", "show", "c1", "--json").json["customer"]
    assert customer["held_until"] == "2026-12-11T05:00:00Z"
    due.now = due.now.replace(month=12, day=11, hour=4, minute=59)
    assert "until 2026-12-10" in due.ok("customer", "list").text
    assert due.run("renew", "c1").code == 4
    due.now += timedelta(minutes=1)
    assert "on hold" not in due.ok("customer", "list").text
    assert "on hold" not in due.ok("customer", "show", "c1").text
    assert "not on hold; nothing was changed" in due.ok(*HOLD, "--release").text
    due.ok("renew", "--due-within", "30d")
    assert due.ok("expiring").text.count("c1") == 0


def test_a_hold_is_changed_and_released(due: Desk) -> None:
    """The journal has the old and the new hold; the same hold again changes nothing."""
    first = {"since": "2026-11-30T09:30:00Z", "until": "2027-01-01T00:00:00Z"}
    row = journal(due)[-1]
    assert (row["event"], row["customer"], row["reason"]) == ("customer-held", "c1", WHY[1])
    assert row["details"] == {"hold": [None, {**first, "reason": WHY[1]}]}
    same = due.ok(*HOLD, *WHY, "--until", "2026-12-31", "--json").json
    assert (same["changed"], same["on_hold"]) == (False, True)
    assert journal(due)[-1] == row
    due.now += timedelta(days=1)
    changed = due.ok(*HOLD, "--reason", "in court", "--json").json
    assert (changed["changed"], changed["before"]) == (True, {**first, "reason": WHY[1]})
    assert changed["customer"]["held_at"] == first["since"]
    assert changed["customer"]["held_until"] is None
    assert due.ok(*HOLD, "--release", "--reason", "won").text == "released Customer 1 (c1)\n"
    row = journal(due)[-1]
    assert (row["event"], row["reason"]) == ("customer-released", "won")
    assert row["details"]["hold"][1] is None
    assert row["details"]["hold"][0]["reason"] == "in court"
    due.ok("renew", "c1")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (HOLD, 3, "a reason is required to put a customer on hold"),
        ((*HOLD, "--reason", "a\x1b"), 3, "\\x1b"),
        ((*HOLD, *WHY, "--until", "2026-11-29"), 3, "2026-11-29 is in the past"),
        ((*HOLD, *WHY, "--until", "31.12.2026"), 3, "write it as 2027-11-30"),
        ((*HOLD, *WHY, "--until", "9999-12-31"), 3, "too late"),
        ((*HOLD, "--release", "--until", "2026-12-31"), 2, "mutually exclusive"),
        (("customer", "hold", "unknown", *WHY), 5, "customer unknown"),
    ],
)
def test_wrong_input_changes_nothing(
    due: Desk, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Wrong input is an error, and nothing is written."""
    before = journal(due)
    outcome = due.run(*argv)
    assert outcome.code == code
    assert message in outcome.err
    assert journal(due) == before


def test_a_hold_covers_today(due: Desk) -> None:
    """The last day may be the present one."""
    assert "until 2026-11-30" in due.ok(*HOLD, *WHY, "--until", "2026-11-30").text


@pytest.mark.parametrize("gone", ["acme", "globex"])
def test_a_hold_of_either_survives_a_merge(books: Books, gone: str) -> None:
    """The remaining customer is on hold, and preview and journal name the reason."""
    books.customer()
    books.customer("Globex AG", "globex")
    kept = {"acme": "globex", "globex": "acme"}[gone]
    books.desk.ok("customer", "hold", "acme", *WHY, "--until", "2026-12-31")
    merged = books.desk.ok("customer", "merge", gone, kept, "--reason", "one firm")
    assert "\n  on hold: unpaid invoice\n" in merged.text
    customer = books.desk.ok("customer", "show", kept, "--json").json["customer"]
    assert (customer["on_hold"], customer["held_until"]) == (True, "2027-01-01T00:00:00Z")
    assert books.last_row().details["hold"]["reason"] == "unpaid invoice"
    books.desk.ok("journal", "verify")


@pytest.mark.sqlite("edits rows of the file")
def test_a_hold_removed_by_an_edit_is_noticed(due: Desk) -> None:
    """Nothing is issued for a customer whose row is not as the journal recorded it."""
    with closing(sqlite3.connect(due.home / REGISTRY_FILE)) as raw:
        raw.execute("UPDATE customers SET held_at = NULL, held_until = NULL, held_reason = NULL")
        raw.commit()
    assert due.run("renew", "c1").code == 7
    failed = due.run("renew", "c1", "c2", "--json")
    assert failed.code == 20
    lines = [json.loads(line) for line in failed.text.splitlines()]
    assert lines[0]["error"]["code"] == "registry_damaged"
    assert lines[1]["outcome"] == "done"
