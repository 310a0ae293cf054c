"""The preview of a batch on a screen: one row for each license, shared notes, messages grouped."""

import pytest
from support.cli import Desk
from support.many_customers import add_customers_at, old_id

from polygent_issuer.cli.flows.batch.preview_text import PreviewText
from polygent_issuer.cli.output.blocks import Line, Table


def test_a_preview_of_forty_customers_is_short(desk: Desk) -> None:
    """Rows are sorted by customer; what is true of many has one line, and a hint comes once."""
    add_customers_at(desk, range(1, 38))
    add_customers_at(desk, range(38, 40), ends_in=200)
    names = [f"c{number}" for number in range(39, 0, -1)]
    outcome = desk.run("renew", *names, "wayne", "wonka", "--term", "5y", "--dry-run")
    assert outcome.code == 20
    header, *lines = outcome.text.splitlines()
    assert header.split() == ["customer", "machine", "action", "last", "full", "day", "users"]
    rows, rest = lines[:37], lines[37:]
    assert [row.split()[0] for row in rows] == sorted(f"c{number}" for number in range(1, 38))
    assert rows[0].split() == ["c1", "prod-1", "renew", "2026-12-19", "→", "2031-12-20", "25"]
    works = "keep working on servers where they are installed, until 2026-12-19"
    assert rest[0] == f"37 old files {works}"
    assert rest[1] == "keep c38; c39: not due: valid until 2027-06-18T09:30:00Z"
    assert rest[2].startswith("long-term for c1; c10; c11 and 34 more: the license would expire")
    assert rest[3:7] == [
        "refused wayne: unknown customer wayne",
        "  hint: polygent-issue customer list",
        "refused wonka: unknown customer wonka",
        "renew 37, keep 2, refused 2",
    ]
    assert len(rest) == 10


def test_new_customers_and_other_changes_are_shown(desk: Desk) -> None:
    """A new customer is marked, and changes other than users and expiry have a column."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    file = desk.folder / "plan.csv"
    file.write_text("customer,tier,users,features\nWayne,enterprise,7,\nc1,,30,insights\nc2,,,\n")
    accept = ("--accept", "entitlement-loss", "--reason", "agreed")
    text = desk.ok("apply", str(file), "--dry-run", *accept).text.splitlines()
    assert text[1].split() == [
        *("c1", "prod-1", "reissue", "2027-06-17", "25", "→", "30", "feature", "planner"),
        *("yes", "→", "no"),
    ]
    assert text[2].split() == [
        *("wayne", "NEW", "any", "issue", "2027-11-30", "7", "Wayne,", "enterprise")
    ]
    assert text[3] == (
        f"the old file {old_id(1)[:8]} stays valid until 2027-06-18T09:30:00Z on servers where it "
        "is installed"
    )
    assert text[4].startswith("entitlement-loss (accepted) for plan.csv, line 3 (c1): ")


def test_old_files_with_several_expiries_share_a_line(desk: Desk) -> None:
    """The line has the last of the days; files of a compromised key have a line of their own."""
    add_customers_at(desk, range(1, 3))
    add_customers_at(desk, range(3, 4), ends_in=200)
    add_customers_at(desk, range(4, 6), ends_in=-3)
    text = desk.ok(
        "renew", *(f"c{n}" for n in range(1, 6)), "--accept", "not-due", "--dry-run"
    ).text
    last = "each until it expires, the last one after 2027-06-17"
    assert f"3 old files keep working on servers where they are installed, {last}\n" in text
    assert "2 old files have expired\n" in text
    store = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", store, "--no-backup")
    desk.ok("key", "use", "second", "--accept", "key-rollout", "--reason", "x")
    desk.ok("key", "retire", "main", "--compromised", "--reason", "leaked")
    text = desk.ok("reissue", "--signed-with", "main", "--dry-run").text
    trust = "they work only on servers that still trust that key"
    assert f"3 old files were signed with main, which is compromised; {trust}\n" in text
    assert "keep c4, prod-1; c5, prod-1: expired at 2026-11-27T09:30:00Z" in text


@pytest.mark.parametrize("most", [2, None])
def test_a_terminal_shows_the_first_rows(most: int | None) -> None:
    """The rest is counted, with the option that shows it."""
    text = PreviewText(most=most)
    text._rows = [(name, "any", "renew", "2027-06-17", "5", "") for name in "dbca"]
    table, *rest = text.blocks()
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == list("abcd")[:most]
    assert rest == ([Line("and 2 more: --dry-run shows all", "dim")] if most else [])
