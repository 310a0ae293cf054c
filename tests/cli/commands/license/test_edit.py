"""`polygent-issue license edit`: order id and note of an issued license."""

from datetime import UTC, datetime, timedelta

import pytest
from support.licenses import Books
from support.screen import at_terminal, finish

from polygent_issuer.registry import LicenseStatus

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


# Where the machine's own clock is read, it may be behind the desk's.
CLOCK = ("--accept", "clock-behind")
RETIRED_ID = "1f3a9c2e-0000-4000-8000-000000000000"
OLD_FILE = (
    "the installed file stays valid until 2027-12-01T00:00:00Z, last full day 2027-11-30; "
    "licenses cannot be revoked"
)


@pytest.fixture
def filled(books: Books) -> Books:
    """Register one current license of Acme."""
    end = datetime(2027, 12, 1, tzinfo=UTC)
    books.license(books.customer(), license_id=RETIRED_ID, expires_at=end)
    return books


def test_a_license_is_no_longer_current(filled: Books) -> None:
    """The reason is stored, and the text states that the file stays valid."""
    outcome = filled.desk.ok("license", "retire", "1f3a", "--reason", "customer left")
    assert outcome.text.startswith(f"retired license {RETIRED_ID}\n")
    assert "reason    customer left\n" in outcome.text
    assert OLD_FILE in outcome.text
    record = filled.record(RETIRED_ID)
    assert record.status is LicenseStatus.RETIRED
    assert (record.retired_reason, record.retired_at) == ("customer left", filled.desk.now)
    row = filled.last_row()
    assert (row.event, row.license, row.customer) == ("license-retired", RETIRED_ID, "acme")
    assert (row.kid, row.reason) == (filled.signer.kid, "customer left")
    assert row.details == {"expires_at": "2027-12-01T00:00:00Z"}


def test_json_has_the_end_of_validity(filled: Books) -> None:
    """JSON has stable names."""
    result = filled.desk.ok(
        "license", "retire", RETIRED_ID, "--reason", "customer left", "--json"
    ).json
    assert result == {
        "schema": "polygent-issue/1",
        "id": RETIRED_ID,
        "customer": "acme",
        "status": "retired",
        "reason": "customer left",
        "works_until": "2027-12-01T00:00:00Z",
    }


def test_the_expiry_is_shown_in_the_customers_zone(books: Books) -> None:
    """The expiry is also shown in the customer's time zone."""
    end = datetime(2027, 12, 1, tzinfo=UTC)
    books.license(books.customer(time_zone="Asia/Tokyo"), license_id=RETIRED_ID, expires_at=end)
    text = books.desk.ok("license", "retire", RETIRED_ID, "--reason", "x").text
    assert "in Asia/Tokyo 2027-12-01T09:00:00+09:00" in text


@pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", " \t ")])
def test_a_reason_is_required(filled: Books, reason: tuple[str, ...]) -> None:
    """Without a terminal a missing reason is exit 3, also with --yes."""
    outcome = filled.desk.run("license", "retire", RETIRED_ID, "--yes", *reason, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "missing_input"
    assert outcome.json["error"]["hint"] == "add --reason TEXT"
    assert filled.record(RETIRED_ID).is_current


def test_a_reason_with_control_characters_is_refused(filled: Books) -> None:
    """Escape sequences are refused as input."""
    outcome = filled.desk.run("license", "retire", RETIRED_ID, "--reason", "a\x1b[2Jb")
    assert outcome.code == 3
    assert "\\x1b[2J" in outcome.err
    assert "\x1b" not in outcome.err
    assert filled.record(RETIRED_ID).is_current


def test_a_retired_license_is_not_retired_again(filled: Books) -> None:
    """A second time is exit 3, and the first reason stays."""
    filled.desk.ok("license", "retire", RETIRED_ID, "--reason", "first")
    outcome = filled.desk.run("license", "retire", RETIRED_ID, "--reason", "second", "--json")
    assert outcome.code == 3
    assert "is already retired" in outcome.json["error"]["message"]
    assert outcome.json["error"]["hint"] == "polygent-issue license show 1f3a9c2e"
    assert filled.record(RETIRED_ID).retired_reason == "first"


def test_a_replaced_license_is_not_retired(books: Books) -> None:
    """A replaced license is exit 3, and the message names its successor."""
    acme = books.customer()
    old = books.license(acme)
    new = books.license(acme, replaces=old)
    outcome = books.desk.run("license", "retire", old.id, "--reason", "x")
    assert outcome.code == 3
    assert f"is already replaced by {new.id}" in outcome.err
    assert books.record(new.id).is_current


def test_an_unknown_license_is_exit_5(filled: Books) -> None:
    """An unknown ID is exit 5; no similar license is used."""
    outcome = filled.desk.run("license", "retire", "ffffffff", "--reason", "x", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (5, "not_found")


def test_a_terminal_asks_for_reason_and_confirmation(filled: Books) -> None:
    """The reason comes first, then the validity of the file and the confirmation."""
    terminal = at_terminal(filled.desk.home, "license", "retire", RETIRED_ID, *CLOCK, COLUMNS="200")
    terminal.expect("reason for the journal")
    terminal.sendline("   ")
    terminal.expect("the reason is empty")
    terminal.sendline(" customer left ")
    terminal.expect("licenses cannot be revoked")
    terminal.expect("retire license 1f3a9c2e of Acme GmbH?")
    terminal.sendline("y")
    code, _ = finish(terminal)
    assert code == 0
    assert filled.record(RETIRED_ID).retired_reason == "customer left"


@pytest.mark.parametrize("answer", ["n", ""])
def test_a_no_changes_nothing(filled: Books, answer: str) -> None:
    """Enter means no; it is exit 130, and nothing is written."""
    terminal = at_terminal(
        filled.desk.home, "license", "retire", RETIRED_ID, "--reason", "x", *CLOCK
    )
    terminal.expect("retire license")
    terminal.sendline(answer)
    code, screen = finish(terminal)
    assert code == 130
    assert "nothing was changed" in screen
    assert filled.record(RETIRED_ID).is_current


@pytest.mark.parametrize("options", [("--yes",), ("--no-input",)])
def test_options_skip_the_confirmation(filled: Books, options: tuple[str, ...]) -> None:
    """--yes skips the confirmation, and --no-input all prompts."""
    argv = ("license", "retire", RETIRED_ID, "--reason", "x", *options)
    code, screen = finish(at_terminal(filled.desk.home, *argv, *CLOCK))
    assert code == 0
    assert "?" not in screen
    assert not filled.record(RETIRED_ID).is_current


def test_a_change_during_the_prompt_is_reported(filled: Books) -> None:
    """If another operator retires it meanwhile, it is exit 7, and that reason stays."""
    terminal = at_terminal(
        filled.desk.home, "license", "retire", RETIRED_ID, "--reason", "mine", *CLOCK
    )
    terminal.expect("retire license")
    filled.desk.ok("license", "retire", RETIRED_ID, "--reason", "hers")
    terminal.sendline("y")
    code, screen = finish(terminal)
    assert code == 7
    assert "the registry changed after the preview; nothing was retired" in " ".join(screen.split())
    assert filled.record(RETIRED_ID).retired_reason == "hers"
