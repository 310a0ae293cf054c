"""`polygent-issue customer archive`: archived customers and their licenses."""

from datetime import UTC, datetime, timedelta

import pytest
from support.cli import Desk
from support.licenses import Books
from support.terminal import terminal

REASON = ("--reason", "they left")
UNDO = "polygent-issue customer archive acme --undo"


@pytest.fixture
def filled(books: Books) -> Books:
    """Register Acme, in Tokyo, with a valid and an expired license."""
    acme = books.customer(time_zone="Asia/Tokyo")
    machine = books.machine(acme)
    books.license(acme, machine, expires_at=datetime(2026, 12, 10, tzinfo=UTC))
    books.license(acme, expires_at=books.desk.now + timedelta(days=1))
    books.desk.now += timedelta(days=2)
    return books


def test_a_customer_is_archived(filled: Books) -> None:
    """The validity of its licenses is printed, lists leave it out, the journal has the reason."""
    outcome = filled.desk.ok("customer", "archive", "acme", *REASON)
    assert outcome.text.startswith("archived Acme GmbH (acme)\n")
    assert "for prod-1: the installed file stays valid until 2026-12-10T00:00:00Z" in outcome.text
    assert "in Asia/Tokyo 2026-12-10T09:00:00+09:00" in outcome.text
    assert outcome.text.count("stays valid") == 1
    assert outcome.text.endswith(f"to undo: {UNDO}\n")
    row = filled.last_row()
    assert (row.event, row.customer, row.reason) == ("customer-archived", "acme", "they left")
    assert list(row.details["running"].values()) == ["2026-12-10T00:00:00Z"]
    hidden = "not listed: 1 archived; to list them: polygent-issue customer list --archived\n"
    assert filled.desk.ok("customer", "list").text == hidden
    assert filled.desk.ok("customer", "list", "--json").json["customers"] == []
    assert "acme" not in filled.desk.ok("expiring").text
    assert "archived   2026-12-02T09:30:00Z" in filled.desk.ok("customer", "show", "acme").text
    assert "acme" in filled.desk.ok("license", "list").text
    assert "acme" not in filled.desk.ok("license", "list", "--unsent").text


def test_archived_customers_can_be_listed(filled: Books) -> None:
    """`customer list --archived` has the time of archiving, empty for the others."""
    filled.customer("Globex", "globex")
    filled.desk.ok("customer", "archive", "acme", *REASON)
    header, acme, globex = filled.desk.ok("customer", "list", "--archived").text.splitlines()
    assert header.split()[-1] == "archived"
    both = filled.desk.ok("customer", "list").text.splitlines()
    assert [line.split()[0] for line in both] == ["customer", "globex", "not"]
    assert acme.split()[0] == "acme"
    assert acme.split()[-1] == "2026-12-02"
    assert globex.split() == ["globex", "Globex", "0"]
    result = filled.desk.ok("customer", "list", "--archived", "--json").json["customers"]
    assert [each["archived_at"] for each in result] == ["2026-12-02T09:30:00Z", None]


def test_a_customer_can_be_unarchived(filled: Books) -> None:
    """The printed command unarchives it without a reason; a second time changes nothing."""
    filled.desk.ok("customer", "archive", "acme", *REASON)
    again = filled.desk.ok("customer", "archive", "acme")
    assert again.text == "Acme GmbH (acme) is already archived; nothing was changed\n"
    undone = filled.desk.ok("customer", "archive", "acme", "--undo", "--reason", "they are back")
    assert undone.text == "unarchived Acme GmbH (acme)\n"
    row = filled.last_row()
    assert (row.event, row.reason) == ("customer-unarchived", "they are back")
    result = filled.desk.ok("customer", "archive", "acme", "--undo", "--json").json
    assert (result["changed"], result["customer"]["archived_at"]) == (False, None)
    assert filled.last_row() == row
    quiet = filled.desk.ok("customer", "archive", "acme", "--undo").text
    assert quiet == "Acme GmbH (acme) is not archived; nothing was changed\n"
    assert "acme" in filled.desk.ok("expiring").text


def test_json_has_the_customer_and_its_valid_licenses(filled: Books) -> None:
    """JSON has the customer and the licenses that stay valid."""
    result = filled.desk.ok("customer", "archive", "acme", *REASON, "--json").json
    assert result["changed"] is True
    assert result["customer"]["archived_at"] == "2026-12-02T09:30:00Z"
    (running,) = result["running"]
    assert (running["machine"], running["works_until"]) == ("prod-1", "2026-12-10T00:00:00Z")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("acme",), 3, "a reason is required to archive a customer"),
        (("acme", "--reason", "a\x1b"), 3, "\\x1b"),
        (("unknown", *REASON), 5, "customer unknown"),
        ((), 2, "missing argument 'CUSTOMER'"),
    ],
)
def test_wrong_input_changes_nothing(
    filled: Books, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Wrong input is an error, and nothing is written."""
    before = filled.last_row()
    outcome = filled.desk.run("customer", "archive", *argv)
    assert outcome.code == code
    assert message in outcome.err
    assert filled.last_row() == before


def test_a_clock_that_is_behind_needs_consent(filled: Books) -> None:
    """A clock before the journal's newest row needs consent."""
    filled.desk.now -= timedelta(days=30)
    assert filled.desk.run("customer", "archive", "acme", *REASON).code == 4
    filled.desk.ok("customer", "archive", "acme", *REASON, "--accept", "clock-behind")
    assert filled.last_row().accepted == ("clock-behind",)


def test_an_archived_customer_is_issued_no_licenses(desk: Desk) -> None:
    """`sign`, `renew` and `reissue` stop with the command that unarchives the customer."""
    document = desk.machine_info()
    desk.ok("sign", "--machine-info", document)
    desk.ok("customer", "archive", "acme-gmbh", *REASON)
    undo = "customer archive acme-gmbh --undo"
    for argv in (
        ("sign", "--machine-info", document),
        ("sign", "--machine-info", document, "--customer", "Acme GmbH"),
        ("sign", "--customer", "acme-gmbh", "--plan", "enterprise-annual"),
        ("renew", "acme-gmbh"),
        ("reissue", "acme-gmbh"),
    ):
        outcome = desk.run(*argv, "--json")
        assert outcome.code == 3, argv
        error = outcome.json["error"]
        assert error["code"] == "customer_archived"
        assert error["hint"] == f"unarchive it first: polygent-issue {undo}"
    alike = desk.run("customer", "add", "Acme GmbX")
    assert "very similar to Acme GmbH (acme-gmbh)" in alike.err
    desk.ok(*undo.split())
    desk.ok("reissue", "acme-gmbh")


def test_a_terminal_asks_for_confirmation(filled: Books) -> None:
    """The consequences are shown first; a no changes nothing, and --yes skips the prompt."""
    argv = ("customer", "archive", "acme", "--accept", "clock-behind")
    with terminal(filled.desk, *argv) as person:
        person.sees("reason for the journal: ")
        person.types("they left")
        person.sees("no licenses can be issued to it")
        person.sees("archive Acme GmbH (acme)? [y/N]: ")
        person.types("n")
        assert person.ends() == 130
    assert "acme" in filled.desk.ok("customer", "list").text
    with terminal(filled.desk, *argv, "--yes", *REASON) as person:
        person.sees("archived Acme GmbH (acme)")
        assert person.ends() == 0


def test_a_change_during_the_prompt_stops_it(filled: Books) -> None:
    """If the preview is outdated, nothing is changed, and the hint names the next step."""
    argv = ("customer", "archive", "acme", "--accept", "clock-behind", *REASON)
    with terminal(filled.desk, *argv) as person:
        person.sees("archive Acme GmbH (acme)? [y/N]: ")
        filled.desk.ok("customer", "edit", "acme", "--crm", "A-1")
        person.types("y")
        person.sees("the registry changed after the preview; nothing was changed")
        assert person.ends() == 7
