"""`polygent-issue customer add`."""

from datetime import timedelta

import pytest
from support.licenses import Books
from support.screen import at_terminal, finish

from polygent_issuer.cli import consent
from polygent_issuer.findings import Consent
from polygent_issuer.registry import customers

# Where the machine's own clock is read, it may be behind the desk's.
CLOCK = ("--accept", "clock-behind")


def test_a_customer_is_added_and_journalled(books: Books) -> None:
    """The slug is derived from the name, options are stored, the journal has the operator."""
    outcome = books.desk.ok(
        *(
            "customer",
            "add",
            "Müller & Söhne",
            "--contact",
            "a@m.example",
            "--contact",
            "b@m.example",
        ),
        *("--time-zone", "Europe/Berlin", "--crm", "M-1", "--notes", "a\nb", "--json"),
    )
    customer = outcome.json["customer"]
    assert customer["slug"] == "muller-sohne"
    assert customer["name"] == "Müller & Söhne"
    assert customer["contacts"] == ["a@m.example", "b@m.example"]
    assert (customer["time_zone"], customer["crm"]) == ("Europe/Berlin", "M-1")
    assert customer["notes"] == "a b"
    row = books.last_row()
    assert (row.event, row.customer, row.operator) == ("customer-added", "muller-sohne", "Ada")
    assert (row.accepted, row.reason) == ((), None)
    assert row.details == {"name": "Müller & Söhne"}


def test_the_next_command_is_printed(books: Books) -> None:
    """The slug and the command for a first license are printed."""
    text = books.desk.ok("customer", "add", "Initech", "--slug", "ini").text
    assert text.startswith("added ini\n")
    assert "next: polygent-issue sign --customer ini" in text


def test_a_name_is_stored_in_nfc(books: Books) -> None:
    """Two Unicode spellings of the same letters are one name."""
    added = books.desk.ok("customer", "add", "Mu\u0308ller", "--json").json["customer"]
    assert added["name"] == "M\u00fcller"


def test_a_free_slug_is_found(books: Books) -> None:
    """A name without ASCII letters gets a number; other scripts are transliterated."""
    names = ("\U0001f680\U0001f680", "\U0001f40c", "株式会社アクメ", "Ромашка ЛЛД")
    added = [books.desk.ok("customer", "add", name, "--json").json for name in names]
    slugs = ["customer", "customer-2", "zhushihuisheakume", "romashka-lld"]
    assert [each["customer"]["slug"] for each in added] == slugs


@pytest.mark.parametrize("name", ["ACME  gmbh", "Acme GmbX", "Acme Gmb"])
def test_a_name_like_a_known_one_needs_consent(books: Books, name: str) -> None:
    """A name that differs in case, spacing or one letter is exit 4 with the options."""
    books.customer()
    outcome = books.desk.run("customer", "add", name, "--json")
    assert outcome.code == 4
    error = outcome.json["error"]
    assert error["code"] == "consent_needed"
    assert "similar-customer: the name" in error["message"]
    assert "Acme GmbH (acme)" in error["message"]
    assert "--accept similar-customer --reason TEXT" in error["hint"]
    assert "polygent-issue customer show acme" in error["hint"]
    with books.reading() as db:
        assert [customer.slug for customer in customers.every(db)] == ["acme"]


def test_an_accepted_name_is_added_with_the_reason(books: Books) -> None:
    """The journal has the accepted finding and the reason."""
    books.customer()
    argv = ("customer", "add", "Acme GmbX", "--accept", "similar-customer")
    assert books.desk.run(*argv).code == 4
    assert books.desk.run(*argv, "--reason", "  ").code == 4
    outcome = books.desk.ok(*argv, "--reason", "two firms", "--json").json
    assert outcome["accepted"] == ["similar-customer"]
    row = books.last_row()
    assert (row.accepted, row.reason) == (("similar-customer",), "two firms")


def test_unneeded_consent_is_ignored(books: Books) -> None:
    """Consent to a finding that does not occur is not recorded."""
    argv = ("customer", "add", "Initech", "--accept", "similar-customer", "--json")
    assert books.desk.ok(*argv).json["accepted"] == []
    assert books.last_row().accepted == ()


@pytest.mark.parametrize(
    ("argv", "code", "kind", "message"),
    [
        (("",), 3, "input_refused", "1 to 200"),
        (("x" * 201,), 3, "input_refused", "1 to 200"),
        (("evil\x1b[2J",), 3, "input_refused", "invalid customer name"),
        (("evil\u202e",), 3, "input_refused", "invalid customer name"),
        (("A", "--slug", "../a"), 3, "input_refused", "is not a slug"),
        (("A", "--slug", "acme"), 3, "taken", "Acme GmbH"),
        (("A", "--contact", "a\nb"), 3, "input_refused", "invalid contact"),
        (("A", "--contact", "a@"), 3, "input_refused", "mail address: a@"),
        (("A", "--contact", "@a.example"), 3, "input_refused", "a name has no @"),
        (
            ("A", "--contact", "=?utf-8?q?=0D=0ABcc:t=40x.example?= <r@x.example>"),
            *(3, "input_refused", "contains =?, the beginning of an encoded word (RFC 2047)"),
        ),
        (
            ("A", "--contact", "=?utf-8?q?=0D=0ABcc=3At=40x.example?=@x.example"),
            *(3, "input_refused", "contains =?, the beginning of an encoded word (RFC 2047)"),
        ),
        (("A", "--contact", "=?utf-8?q?Ada?="), 3, "input_refused", "contains =?"),
        (("A", "--contact", "a@b@c"), 3, "input_refused", "mail address"),
        (("A", "--contact", "a@b.example, c@d.example"), 3, "input_refused", "mail address"),
        (("A", "--contact", "Ada ada@a.example"), 3, "input_refused", "mail address"),
        (("A", "--contact", "Ada <ada>@a.example"), 3, "input_refused", "mail address"),
        (("A", "--contact", "mailto:a@x.example"), 3, "input_refused", "example leave out mailto:"),
        (("A", "--contact", "Ada <MAILTO:a@x.example>"), 3, "input_refused", "leave out mailto:"),
        (("A", "--contact", "a@x..example"), 3, "input_refused", "mail address"),
        (("A", "--contact", "a..b@x.example"), 3, "input_refused", "mail address"),
        (("A", "--contact", "a@.example"), 3, "input_refused", "mail address"),
        (("A", "--contact", "a@x.example."), 3, "input_refused", "mail address"),
        (("A", "--contact", "Ada <a,b@x.example>"), 3, "input_refused", "mail address"),
        (("A", "--contact", "jürgen@bücher..example"), 3, "input_refused", "mail address"),
        (("A", "--time-zone", "localtime"), 3, "invalid_terms", "localtime depends on the machine"),
        (("A", "--crm", "a\x07"), 3, "input_refused", "invalid CRM reference"),
        (("A", "--notes", "a\x07"), 3, "input_refused", "invalid notes: they have unprintable"),
        (("A", "--notes", " \n"), 3, "input_refused", "--no-notes removes them"),
        (("A", "--notes", "x" * 1001), 3, "input_refused", "1 to 1,000 characters, have 1,001"),
        (("A", "--time-zone", "Europe/Berln"), 3, "invalid_terms", "unknown time zone"),
        (("A", "--accept", "similar"), 2, "usage", "similar"),
        (("A", "--reason", "a\x1b"), 3, "input_refused", "the reason"),
        ((), 2, "usage", "missing argument 'NAME'"),
    ],
)
def test_invalid_values_are_refused(
    books: Books, argv: tuple[str, ...], code: int, kind: str, message: str
) -> None:
    """An invalid value has its error code; nothing is written, and the value is escaped."""
    books.customer()
    before = books.last_row()
    outcome = books.desk.run("customer", "add", *argv, "--json")
    assert outcome.code == code
    error = outcome.json["error"]
    assert error["code"] == kind
    assert message in f"{error['message']} {error['hint']}"
    assert error["message"].isprintable()
    assert books.last_row() == before


def test_hints_suggest_the_nearest_value(books: Books) -> None:
    """A mistyped zone or code gets a suggestion."""
    zone = books.desk.run("customer", "add", "A", "--time-zone", "Europe/Berln")
    assert "hint: did you mean Europe/Berlin?" in zone.err
    code = books.desk.run("customer", "add", "A", "--accept", "similar-custmer")
    assert "hint: did you mean --accept similar-customer?" in code.err


def test_two_operators_cannot_add_the_same_customer(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is compared again in the transaction."""

    def while_asking(_invocation: object, _findings: object, given: Consent) -> Consent:
        books.customer()
        return given

    monkeypatch.setattr(consent, "obtain", while_asking)
    outcome = books.desk.run("customer", "add", "ACME GmbH")
    assert outcome.code == 7
    assert "nothing was added" in outcome.err
    monkeypatch.undo()
    assert books.desk.run("customer", "add", "ACME GmbH").code == 4
    with books.reading() as db:
        assert [customer.slug for customer in customers.every(db)] == ["acme"]


def test_a_terminal_prompts_for_consent(books: Books) -> None:
    """Consent and reason from a terminal are the same as from options."""
    books.customer()
    terminal = at_terminal(books.desk.home, "customer", "add", "Acme GmbX", *CLOCK)
    terminal.expect("similar-customer")
    terminal.expect("accept this?")
    terminal.sendline("y")
    terminal.expect("reason for the journal")
    terminal.sendline("a sister firm")
    code, screen = finish(terminal)
    assert code == 0
    assert "added acme-gmbx" in screen
    row = books.last_row()
    assert ("similar-customer" in row.accepted, row.reason) == (True, "a sister firm")


def test_a_no_adds_nothing(books: Books) -> None:
    """Declining is exit 4, as without a terminal."""
    books.customer()
    before = books.last_row()
    terminal = at_terminal(books.desk.home, "customer", "add", "Acme GmbX", *CLOCK)
    terminal.expect("accept this?")
    terminal.sendline("n")
    assert finish(terminal)[0] == 4
    assert books.last_row() == before


def test_a_clock_that_is_behind_needs_consent(books: Books) -> None:
    """A clock before the journal's newest row needs consent."""
    books.customer()
    books.desk.now -= timedelta(days=1)
    assert "clock-behind" in books.desk.run("customer", "add", "Initech").err
    books.desk.ok("customer", "add", "Initech", "--accept", "clock-behind", "--reason", "battery")
    row = books.last_row()
    assert (row.event, row.accepted) == ("customer-added", ("clock-behind",))


@pytest.mark.parametrize(
    "contact",
    [
        *("Ada Lovelace", "Ada <ada@a.example>", "ops@a.example", "+49 30 1234"),
        *('"Lovelace, Ada" <ada@a.example>', "Jürgen <jürgen@bücher.example>"),
    ],
)
def test_a_contact_is_an_address_or_a_name(books: Books, contact: str) -> None:
    """Addresses and names are stored as typed."""
    added = books.desk.ok("customer", "add", "A", "--contact", contact, "--json").json["customer"]
    assert added["contacts"] == [contact]
