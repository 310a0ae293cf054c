"""`polygent-issue license edit`: order id and note of an issued license."""

from datetime import timedelta

import pytest
from support.licenses import Books

ID = "aaaaaaaa-0000-4000-8000-000000000000"
EDIT = ("license", "edit", "aaaaaaaa")


@pytest.fixture
def issued(books: Books) -> Books:
    """Register Acme with a license."""
    books.license(books.customer(), license_id=ID)
    return books


def test_the_journal_has_the_old_and_the_new_text(issued: Books) -> None:
    """Texts are set, changed and removed; the file and its digest stay as they are."""
    before = issued.record(ID)
    text = issued.desk.ok(*EDIT, "--order-id", "PO-1", "--note", "Größe L").text
    assert text.startswith("changed license aaaaaaaa\n  order id  none → PO-1\n  note      none → ")
    row = issued.last_row()
    assert (row.event, row.license, row.customer) == ("license-edited", ID, "acme")
    assert row.details == {"changes": {"order_id": [None, "PO-1"], "note": [None, "Größe L"]}}
    changed = issued.desk.ok(*EDIT, "--order-id", "PO-2", "--no-note", "--json").json
    assert changed["changes"] == [
        {"name": "order_id", "old": "PO-1", "new": "PO-2"},
        {"name": "note", "old": "Größe L", "new": None},
    ]
    assert (changed["license"]["order_id"], changed["license"]["note"]) == ("PO-2", None)
    row = issued.last_row()
    same = issued.desk.ok(*EDIT, "--order-id", "PO-2", "--no-note").text
    assert same == "license aaaaaaaa is already up to date; nothing was changed\n"
    assert issued.last_row() == row
    issued.desk.ok(*EDIT, "--no-order-id")
    assert issued.record(ID) == before
    issued.desk.ok("journal", "verify")


def test_licenses_are_found_by_order_and_note(issued: Books) -> None:
    """Both filters find a part of the text; show and list have it."""
    issued.desk.ok(*EDIT, "--order-id", "PO-4711/26", "--note", "Two servers")
    issued.license(issued.customer("Globex", "globex"))
    for argv in (("--order-id", "4711"), ("--order-id", "po-"), ("--note", "two serv")):
        [found] = issued.desk.ok("license", "list", *argv, "--json").json["licenses"]
        assert found["id"] == ID
    assert issued.desk.ok("license", "list", "--order-id", "Two", "--json").json["licenses"] == []
    assert issued.desk.ok("license", "list", "--note", "%", "--json").json["licenses"] == []
    table = issued.desk.ok("license", "list").text.splitlines()
    assert table[0].endswith("last full day  order")
    assert [line[:8] for line in table if line.endswith("PO-4711/26")] == ["aaaaaaaa"]
    shown = issued.desk.ok("license", "show", "aaaaaaaa").text
    assert "\n  order          PO-4711/26\n  note           Two servers\n" in shown
    assert "PO-4711/26" in issued.desk.ok("customer", "show", "acme").text
    issued.desk.now += timedelta(days=360)
    due = issued.desk.ok("expiring")
    assert due.text.splitlines()[0].endswith("alert  order")
    items = issued.desk.ok("expiring", "--json").json["licenses"]
    assert {each["order_id"] for each in items} == {"PO-4711/26", None}


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (EDIT, 2, "no changes given"),
        ((*EDIT, "--order-id", "A", "--no-order-id"), 2, "mutually exclusive"),
        ((*EDIT, "--note", "A", "--no-note"), 2, "mutually exclusive"),
        ((*EDIT, "--order-id", "a\x1b"), 3, "invalid order id: character U+001B"),
        ((*EDIT, "--note", ""), 3, "invalid note: must have 1 to 1,000 characters, has 0"),
        (("license", "edit", "bbbbbbbb", "--note", "A"), 5, "unknown license bbbbbbbb"),
    ],
)
def test_wrong_input_changes_nothing(
    issued: Books, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Wrong input is an error, and nothing is written."""
    before = issued.last_row()
    outcome = issued.desk.run(*argv)
    assert outcome.code == code
    assert message in outcome.err
    assert issued.last_row() == before


def test_a_clock_that_is_behind_needs_consent(issued: Books) -> None:
    """A clock before the journal's newest row needs consent."""
    issued.desk.now -= timedelta(days=30)
    assert issued.desk.run(*EDIT, "--note", "A").code == 4
    issued.desk.ok(*EDIT, "--note", "A", "--accept", "clock-behind", "--reason", "late")
    assert issued.last_row().accepted == ("clock-behind",)
