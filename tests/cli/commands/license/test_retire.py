"""`polygent-issue license retire`."""

from datetime import UTC, datetime, timedelta

import pytest
from support.licenses import Books
from support.screen import at_terminal, finish

from polygent_issuer.registry import LicenseStatus

# Where the machine's own clock is read, it may be behind the desk's.
CLOCK = ("--accept", "clock-behind")
ID = "1f3a9c2e-0000-4000-8000-000000000000"
OLD_FILE = (
    "the installed file stays valid until 2027-12-01T00:00:00Z, last full day 2027-11-30; "
    "licenses cannot be revoked"
)


@pytest.fixture
def filled(books: Books) -> Books:
    """Register one current license of Acme."""
    end = datetime(2027, 12, 1, tzinfo=UTC)
    books.license(books.customer(), license_id=ID, expires_at=end)
    return books


def test_a_license_is_no_longer_current(filled: Books) -> None:
    """The reason is stored, and the text states that the file stays valid."""
    outcome = filled.desk.ok("license", "retire", "1f3a", "--reason", "customer left")
    assert outcome.text.startswith(f"retired license {ID}\n")
    assert "reason    customer left\n" in outcome.text
    assert OLD_FILE in outcome.text
    record = filled.record(ID)
    assert record.status is LicenseStatus.RETIRED
    assert (record.retired_reason, record.retired_at) == ("customer left", filled.desk.now)
    row = filled.last_row()
    assert (row.event, row.license, row.customer) == ("license-retired", ID, "acme")
    assert (row.kid, row.reason) == (filled.signer.kid, "customer left")
    assert row.details == {"expires_at": "2027-12-01T00:00:00Z"}


def test_json_has_the_end_of_validity(filled: Books) -> None:
    """JSON has stable names."""
    result = filled.desk.ok("license", "retire", ID, "--reason", "customer left", "--json").json
    assert result == {
        "schema": "polygent-issue/1",
        "id": ID,
        "customer": "acme",
        "status": "retired",
        "reason": "customer left",
        "works_until": "2027-12-01T00:00:00Z",
    }


def test_the_expiry_is_shown_in_the_customers_zone(books: Books) -> None:
    """The expiry is also shown in the customer's time zone."""
    end = datetime(2027, 12, 1, tzinfo=UTC)
    books.license(books.customer(time_zone="Asia/Tokyo"), license_id=ID, expires_at=end)
    text = books.desk.ok("license", "retire", ID, "--reason", "x").text
    assert "in Asia/Tokyo 2027-12-01T09:00:00+09:00" in text


@pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", " \t ")])
def test_a_reason_is_required(filled: Books, reason: tuple[str, ...]) -> None:
    """Without a terminal a missing reason is exit 3, also with --yes."""
    outcome = filled.desk.run("license", "retire", ID, "--yes", *reason, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "missing_input"
    assert outcome.json["error"]["hint"] == "add --reason TEXT"
    assert filled.record(ID).is_current


def test_a_reason_with_control_characters_is_refused(filled: Books) -> None:
    """Escape sequences are refused as input."""
    outcome = filled.desk.run("license", "retire", ID, "--reason", "a\x1b[2Jb")
    assert outcome.code == 3
    assert "\\x1b[2J" in outcome.err
    assert "\x1b" not in outcome.err
    assert filled.record(ID).is_current


def test_a_retired_license_is_not_retired_again(filled: Books) -> None:
    """A second time is exit 3, and the first reason stays."""
    filled.desk.ok("license", "retire", ID, "--reason", "first")
    outcome = filled.desk.run("license", "retire", ID, "--reason", "second", "--json")
    assert outcome.code == 3
    assert "is already retired" in outcome.json["error"]["message"]
    assert outcome.json["error"]["hint"] == "polygent-issue license show 1f3a9c2e"
    assert filled.record(ID).retired_reason == "first"


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
    terminal = at_terminal(filled.desk.home, "license", "retire", ID, *CLOCK, COLUMNS="200")
    terminal.expect("reason for the journal")
    terminal.sendline("   ")
    terminal.expect("the reason is empty")
    terminal.sendline(" customer left ")
    terminal.expect("licenses cannot be revoked")
    terminal.expect("retire license 1f3a9c2e of Acme GmbH?")
    terminal.sendline("y")
    code, _ = finish(terminal)
    assert code == 0
    assert filled.record(ID).retired_reason == "customer left"


@pytest.mark.parametrize("answer", ["n", ""])
def test_a_no_changes_nothing(filled: Books, answer: str) -> None:
    """Enter means no; it is exit 130, and nothing is written."""
    terminal = at_terminal(filled.desk.home, "license", "retire", ID, "--reason", "x", *CLOCK)
    terminal.expect("retire license")
    terminal.sendline(answer)
    code, screen = finish(terminal)
    assert code == 130
    assert "nothing was changed" in screen
    assert filled.record(ID).is_current


@pytest.mark.parametrize("options", [("--yes",), ("--no-input",)])
def test_options_skip_the_confirmation(filled: Books, options: tuple[str, ...]) -> None:
    """--yes skips the confirmation, and --no-input all prompts."""
    argv = ("license", "retire", ID, "--reason", "x", *options)
    code, screen = finish(at_terminal(filled.desk.home, *argv, *CLOCK))
    assert code == 0
    assert "?" not in screen
    assert not filled.record(ID).is_current


def test_a_change_during_the_prompt_is_reported(filled: Books) -> None:
    """If another operator retires it meanwhile, it is exit 7, and that reason stays."""
    terminal = at_terminal(filled.desk.home, "license", "retire", ID, "--reason", "mine", *CLOCK)
    terminal.expect("retire license")
    filled.desk.ok("license", "retire", ID, "--reason", "hers")
    terminal.sendline("y")
    code, screen = finish(terminal)
    assert code == 7
    assert "the registry changed after the preview; nothing was retired" in " ".join(screen.split())
    assert filled.record(ID).retired_reason == "hers"


def test_a_clock_that_is_behind_needs_consent(filled: Books) -> None:
    """It is exit 4 first; then the journal has the accepted finding."""
    filled.desk.now -= timedelta(days=1)
    argv = ("license", "retire", ID, "--reason", "customer left")
    assert filled.desk.run(*argv).code == 4
    assert filled.record(ID).is_current
    filled.desk.ok(*argv, "--accept", "clock-behind")
    row = filled.last_row()
    assert (row.accepted, row.reason) == (("clock-behind",), "customer left")
