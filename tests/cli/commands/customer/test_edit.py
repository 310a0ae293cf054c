"""`polygent-issue customer edit`."""

from datetime import timedelta

import pytest
from support.licenses import Books
from support.registries import tampering
from support.screen import at_terminal, finish

from polygent_issuer.cli import prompts
from polygent_issuer.findings import Consent
from polygent_issuer.registry import Customer, customers, machines

# Where the machine's own clock is read, it may be behind the desk's.
CLOCK = ("--accept", "clock-behind")
ID = "1f3a9c2e-0000-4000-8000-000000000000"


def _acme(books: Books) -> Customer:
    with books.reading() as db:
        return customers.get(db, "acme")


@pytest.mark.parametrize(
    ("argv", "name", "old", "new"),
    [
        (("--name", "Acme Europe"), "name", "Acme GmbH", "Acme Europe"),
        (("--contact", "x@a.example", "--contact", "y@a.example"), "contacts",
         "ops@a.example", "x@a.example, y@a.example"),
        (("--no-contacts",), "contacts", "ops@a.example", None),
        (("--time-zone", "Asia/Tokyo"), "time_zone", "Europe/Berlin", "Asia/Tokyo"),
        (("--no-time-zone",), "time_zone", "Europe/Berlin", None),
        (("--crm", "B-2"), "crm", "A-17", "B-2"),
        (("--no-crm",), "crm", "A-17", None),
        (("--notes", "calls on\n Fridays "), "notes", "pays late", "calls on Fridays"),
        (("--no-notes",), "notes", "pays late", None),
    ],
)  # fmt: skip
def test_one_thing_changes_and_the_rest_stays(
    books: Books, argv: tuple[str, ...], name: str, old: str, new: str | None
) -> None:
    """Only the given value changes; the old and new values are printed and journalled."""
    before = books.customer(
        contacts=("ops@a.example",), time_zone="Europe/Berlin", crm="A-17", notes="pays late"
    )
    outcome = books.desk.ok("customer", "edit", "acme", *argv, "--json").json
    assert outcome["changes"] == [{"name": name, "old": old, "new": new}]
    after = _acme(books)
    differing = [
        field for field in Customer._fields if getattr(after, field) != getattr(before, field)
    ]
    assert differing == [name]
    row = books.last_row()
    assert (row.event, row.customer) == ("customer-edited", "acme")
    assert row.details == {"changes": {name: [old, new]}}


def test_old_and_new_values_are_printed(books: Books) -> None:
    """Each change has one line, with `none` for an empty value."""
    books.customer(crm="A-17")
    argv = ("--time-zone", "Europe/Berlin", "--no-crm")
    text = books.desk.ok("customer", "edit", "acme", *argv).text
    assert text.startswith("changed acme\n")
    assert "time zone  none → Europe/Berlin" in text
    assert "crm        A-17 → none" in text


def test_unchanged_values_write_nothing(books: Books) -> None:
    """Unchanged values are exit 0 without a journal row."""
    machine = books.machine(books.customer(crm="A-17"))
    before = books.last_row()
    argv = ("--crm", "A-17", "--name", "Acme GmbH", "--no-contacts", "--no-time-zone")
    outcome = books.desk.ok(
        "customer", "edit", "acme", *argv, "--machine", machine.label, "--label", machine.label
    )
    assert outcome.text == "acme is already up to date; nothing was changed\n"
    assert books.last_row() == before


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--accept", "similar-customer"),
        ("--contact", "a@b.example", "--no-contacts"),
        ("--time-zone", "Asia/Tokyo", "--no-time-zone"),
        ("--crm", "x", "--no-crm"),
        ("--machine", "prod-1"),
        ("--label", "prod-1"),
    ],
)
def test_contradicting_options_are_refused(books: Books, argv: tuple[str, ...]) -> None:
    """Options that contradict each other are exit 2, and nothing is written."""
    books.machine(books.customer())
    before = books.last_row()
    outcome = books.desk.run("customer", "edit", "acme", *argv)
    assert outcome.code == 2
    assert "hint: " in outcome.err
    assert books.last_row() == before


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("--name", "evil\x1b[2J"), 3, "invalid customer name"),
        (("--time-zone", "Mars/Olympus"), 3, "unknown time zone"),
        (("--machine", "prod-2", "--label", "x"), 5, "has no machine prod-2"),
        (("--machine", "prod-1", "--label", "prod-3"), 3, "already has this label"),
        (("--machine", "prod-1", "--label", "\x1b"), 3, "invalid label"),
    ],
)
def test_invalid_values_are_refused(
    books: Books, argv: tuple[str, ...], code: int, message: str
) -> None:
    """If one value is invalid, none is written."""
    acme = books.customer()
    books.machine(acme)
    books.machine(acme, "prod-3", "another-fingerprint")
    before = books.last_row()
    outcome = books.desk.run("customer", "edit", "acme", "--crm", "new", *argv)
    assert outcome.code == code
    assert message in outcome.err
    assert "\x1b" not in outcome.err
    assert books.last_row() == before


def test_a_machine_is_renamed(books: Books) -> None:
    """Only the label changes, so licenses and history follow."""
    acme = books.customer()
    machine = books.machine(acme)
    books.license(acme, machine, license_id=ID)
    argv = ("customer", "edit", "acme", "--machine", "prod-1", "--label", "berlin", "--json")
    assert books.desk.ok(*argv).json["changes"] == [
        {"name": "machine", "old": "prod-1", "new": "berlin"}
    ]
    with books.reading() as db:
        assert machines.by_label(db, acme, "berlin").id == machine.id
    assert books.record(ID).machine_label == "berlin"


def test_a_new_name_lists_the_licenses_that_carry_the_old_one(books: Books) -> None:
    """Each current license is listed with its command, but no replaced or expired one."""
    acme = books.customer()
    machine = books.machine(acme)
    old = books.license(acme, machine)
    books.license(acme, machine, replaces=old, license_id=ID)
    books.license(acme, expires_at=books.desk.now + timedelta(days=1))
    books.desk.now += timedelta(days=2)
    outcome = books.desk.ok("customer", "edit", "acme", "--name", "Acme Europe", "--json").json
    assert outcome["still_named"] == [
        {
            "id": ID,
            "name": "Acme GmbH",
            "slug": "acme",
            "machine": "prod-1",
            "expires_at": "2027-11-30T09:30:00Z",
            "mend": "polygent-issue reissue acme --license 1f3a9c2e",
            "argv": [*books.desk.argv, "reissue", "acme", "--license", "1f3a9c2e"],
        }
    ]


def test_the_old_name_is_read_from_the_signed_file(books: Books) -> None:
    """The list is also printed as text, and is empty once the old name is set again."""
    books.license(books.customer(), license_id=ID)
    text = books.desk.ok("customer", "edit", "acme", "--name", "Acme Europe").text
    assert "these license files still contain the old name, and stay valid:" in text
    assert "Acme GmbH, any machine, until 2027-11-30T09:30:00Z, last full day 2027-11-29" in text
    assert "polygent-issue reissue acme --license 1f3a9c2e" in text
    text = books.desk.ok("customer", "edit", "acme", "--name", "Acme GmbH").text
    assert "reissue" not in text


def test_a_contact_with_an_encoded_word_is_refused(books: Books) -> None:
    """A mail program would show another name or address, so the contact is refused."""
    books.customer(contacts=("ops@a.example",))
    encoded = "=?utf-8?q?=0D=0ABcc:t=40x.example?= <r@x.example>"
    outcome = books.desk.run("customer", "edit", "acme", "--contact", encoded, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "input_refused"
    [customer] = books.desk.ok("customer", "list", "--json").json["customers"]
    assert customer["contacts"] == ["ops@a.example"]


def test_other_changes_list_no_licenses(books: Books) -> None:
    """Contacts are not part of a license, so no license is listed."""
    books.license(books.customer())
    edited = books.desk.ok("customer", "edit", "acme", "--contact", "x@a.example", "--json").json
    assert edited["still_named"] == []


def test_a_stored_license_that_does_not_verify_stops_it(books: Books) -> None:
    """A damaged license is exit 7, since its name cannot be trusted."""
    books.license(books.customer(), license_id=ID)
    with tampering(books.desk.registry) as raw:
        raw.execute("UPDATE licenses SET file = x'61'")
    outcome = books.desk.run("customer", "edit", "acme", "--name", "Acme Europe", "--json")
    assert outcome.code == 7
    assert outcome.json["error"]["code"] == "registry_damaged"
    assert _acme(books).name == "Acme GmbH"


def test_a_name_like_anothers_needs_consent(books: Books) -> None:
    """A name similar to another customer's needs consent, which is journalled."""
    books.customer()
    books.customer("Globex", "globex")
    assert books.desk.run("customer", "edit", "acme", "--name", "ACME GmbH").code == 0
    argv = ("customer", "edit", "acme", "--name", "Globax")
    outcome = books.desk.run(*argv)
    assert outcome.code == 4
    assert "Globex (globex)" in outcome.err
    assert _acme(books).name == "ACME GmbH"
    books.desk.ok(*argv, "--accept", "similar-customer", "--reason", "merger")
    row = books.last_row()
    assert (row.accepted, row.reason) == (("similar-customer",), "merger")


def test_a_change_during_the_prompt_is_not_overwritten(books: Books) -> None:
    """If another operator edits the customer during the prompt, it is exit 7."""
    books.customer()
    books.customer("Globex", "globex")
    terminal = at_terminal(books.desk.home, "customer", "edit", "acme", "--name", "Globax", *CLOCK)
    terminal.expect("accept this?")
    books.desk.ok("customer", "edit", "acme", "--crm", "B-2")
    terminal.sendline("y")
    terminal.expect("reason for the journal")
    terminal.sendline("")
    code, screen = finish(terminal)
    assert code == 7
    assert "nothing was changed" in screen
    assert (_acme(books).name, _acme(books).crm) == ("Acme GmbH", "B-2")


def test_an_unknown_customer_is_not_added(books: Books) -> None:
    """An unknown customer is exit 5 and not added."""
    outcome = books.desk.run("customer", "edit", "unknown", "--name", "Somebody", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (5, "not_found")


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
def test_invalid_values_of_a_new_customer_are_refused(
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

    monkeypatch.setattr(prompts, "obtain_consent", while_asking)
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
