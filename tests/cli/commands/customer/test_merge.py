"""`polygent-issue customer merge`: one customer merged into another."""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk
from support.licenses import FINGERPRINT, Books
from support.terminal import terminal

from polygent_issuer.registry import customers, machines

OTHER = "sha256:" + "cd" * 32
REASON = ("--reason", "one firm since May")
SOON = datetime(2026, 12, 24, tzinfo=UTC)
OLD = "aaaaaaaa-0000-4000-8000-000000000000"
NEW = "bbbbbbbb-0000-4000-8000-000000000000"


@pytest.fixture
def pair(books: Books) -> Books:
    """Register Acme and Globex, each with a machine prod-1 and a license for it."""
    acme = books.customer(contacts=("ops@acme.example",), crm="A-1")
    globex = books.customer("Globex AG", "globex", contacts=("it@globex.example",), crm="G-1")
    books.license(acme, books.machine(acme), license_id=NEW)
    books.license(globex, books.machine(globex, fingerprint=OTHER), license_id=OLD)
    return books


def slugs(books: Books) -> list[str]:
    """Return the slugs of all customers."""
    with books.reading() as db:
        return [customer.slug for customer in customers.every(db, archived=True)]


def test_a_merge_moves_machines_and_licenses(pair: Books) -> None:
    """Changed labels and licenses with the old name are printed."""
    text = pair.desk.ok("customer", "merge", "globex", "acme", *REASON).text
    assert text.startswith("merged globex into acme\n")
    assert "  aliases   globex\n" in text
    assert "  contacts  ops@acme.example, it@globex.example\n" in text
    assert "Globex AG (globex) → Acme GmbH (acme); globex becomes an alias\n" in text
    assert "  licenses moved: 1\n" in text
    assert "  machine prod-1 → prod-1-2, since the label was in use\n" in text
    assert "  CRM reference: A-1 is kept; globex had G-1\n" in text
    assert "these license files still contain the name or slug of globex, and stay valid:\n" in text
    assert "  Globex AG, prod-1-2, until 2027-11-30T09:30:00Z" in text
    assert "    polygent-issue reissue acme --license aaaaaaaa\n" in text
    assert "bbbbbbbb" not in text
    assert slugs(pair) == ["acme"]
    assert (pair.record(OLD).customer_slug, pair.record(OLD).machine_label) == ("acme", "prod-1-2")


def test_the_journal_has_the_merged_customer(pair: Books) -> None:
    """The journal has the old values, labels and reason; both histories are one."""
    pair.desk.ok("customer", "merge", "globex", "acme", *REASON)
    row = pair.last_row()
    assert (row.event, row.customer, row.reason) == ("customer-merged", "acme", REASON[1])
    assert row.details == {
        "from": {
            "slug": "globex",
            "name": "Globex AG",
            "aliases": [],
            "contacts": ["it@globex.example"],
            "time_zone": None,
            "crm": "G-1",
            "since": "2026-11-30T09:30:00Z",
            "archived": None,
        },
        "licenses": 1,
        "moved": {"prod-1": "prod-1-2"},
        "same": {},
    }
    for name in ("acme", "globex"):
        result = pair.desk.ok("journal", "show", "--customer", name, "--json").json["rows"]
        assert {each["customer"] for each in result} == {"acme", "globex"}
        shown = pair.desk.ok("customer", "show", name, "--json").json
        assert len(shown["licenses"]) == 2
        assert "globex" in {each["customer"] for each in shown["journal"]}
    assert pair.desk.ok("journal", "verify").code == 0


def test_machines_with_one_fingerprint_become_one(books: Books) -> None:
    """Of its two current licenses the one that expires earlier is to retire."""
    acme, globex = books.customer(), books.customer("Globex AG", "globex")
    longer = books.desk.now + timedelta(days=400)
    books.license(acme, books.machine(acme), license_id=NEW)
    machine = books.machine(globex, "web's")
    old = books.license(globex, machine, license_id=OLD, expires_at=longer)
    books.license(globex)
    result = books.desk.ok("customer", "merge", "globex", "acme", *REASON).text
    assert "  machine web's has the same fingerprint as prod-1 of acme, so" in result
    assert "prod-1 has two current licenses; aaaaaaaa expires later than bbbbbbbb" in result
    (command,) = [line.strip() for line in result.splitlines() if "license retire" in line]
    assert command == ("polygent-issue license retire bbbbbbbb --reason 'same machine as aaaaaaaa'")
    books.desk.ok(*shlex.split(command)[1:])
    assert not books.record(NEW).is_current
    assert books.record(old.id).machine_label == "prod-1"
    clone = "this host is prod-1, but its fingerprint is registered for web's (Acme GmbH"
    assert clone in books.desk.ok("customer", "show", "acme").text
    assert books.desk.ok("journal", "verify").code == 0


def test_json_has_the_command_for_each_license(books: Books) -> None:
    """JSON has each part of the merge, with commands for the licenses."""
    acme, globex = books.customer(), books.customer("Globex AG", "globex", time_zone="Asia/Tokyo")
    books.license(acme, books.machine(acme), license_id=NEW)
    books.license(globex, books.machine(globex, "web"), license_id=OLD, expires_at=SOON)
    books.machine(globex, "db", OTHER)
    result = books.desk.ok("customer", "merge", "globex", "acme", *REASON, "--json").json
    assert (result["customer"]["slug"], result["customer"]["aliases"]) == ("acme", ["globex"])
    assert result["customer"]["time_zone"] == "Asia/Tokyo"
    assert (result["from"]["slug"], result["licenses"]) == ("globex", 1)
    assert result["machines"] == [
        {"was": "db", "label": "db", "what": "moved"},
        {"was": "web", "label": "prod-1", "what": "same"},
    ]
    assert result["still_named"] == [
        {
            "id": OLD,
            "name": "Globex AG",
            "slug": "globex",
            "machine": "prod-1",
            "expires_at": "2026-12-24T00:00:00Z",
            "mend": "polygent-issue reissue acme --license aaaaaaaa",
            "argv": [*books.desk.argv, "reissue", "acme", "--license", "aaaaaaaa"],
        }
    ]
    why = "--reason 'same machine as bbbbbbbb'"
    assert result["rivals"] == [
        {
            "id": OLD,
            "machine": "prod-1",
            "expires_at": "2026-12-24T00:00:00Z",
            "longer": NEW,
            "mend": f"polygent-issue license retire aaaaaaaa {why}",
            "argv": [*books.desk.argv, "license", "retire", "aaaaaaaa", *shlex.split(why)],
        }
    ]


def test_an_archived_customer_can_be_merged(books: Books) -> None:
    """Licenses of an archived FROM become renewable; an archived INTO is refused."""
    books.license(books.customer("Globex AG", "globex", time_zone="Asia/Tokyo"))
    books.customer()
    books.desk.ok("customer", "archive", "globex", "--reason", "x")
    refused = books.desk.run("customer", "merge", "acme", "globex", *REASON)
    assert refused.code == 3
    assert "hint: unarchive it first: polygent-issue customer archive globex --undo" in refused.err
    text = books.desk.ok("customer", "merge", "globex", "acme", *REASON).text
    assert "  globex was archived; its licenses become renewable again\n" in text
    assert "  time zone: Asia/Tokyo, from globex\n" in text
    assert "acme" in books.desk.ok("expiring", "--within", "1y").text


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (
            ("globex", "acme"),
            3,
            "a reason is required to merge customers",
        ),
        (("acme", "Acme GmbH", *REASON), 3, "both are the same customer: Acme GmbH (acme)"),
        (("acme", "acme", *REASON), 3, "hint: show it with: polygent-issue customer show acme"),
        (("globex", "unknown", *REASON), 5, "customer unknown"),
        (("glo", "acme", *REASON), 5, "customer glo"),
        (("globex", *REASON), 2, "missing argument 'INTO'"),
        (("globex", "acme", "--reason", "\x1b[2J"), 3, "\\x1b[2J"),
    ],
)
def test_wrong_input_changes_nothing(
    pair: Books, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Wrong input is an error, and nothing is written."""
    outcome = pair.desk.run("customer", "merge", *argv)
    assert outcome.code == code
    assert message in outcome.err
    assert "\x1b" not in outcome.err
    assert slugs(pair) == ["acme", "globex"]


def test_a_second_merge_is_refused(pair: Books) -> None:
    """The old slug is now the same customer; a new one with that name merges as usual."""
    pair.desk.ok("customer", "merge", "globex", "acme", *REASON)
    before = pair.last_row()
    assert pair.desk.run("customer", "merge", "globex", "acme", *REASON).code == 3
    assert pair.desk.run("customer", "merge", "acme", "globex", *REASON).code == 3
    assert pair.last_row() == before
    pair.customer("Holding", "holding")
    pair.desk.ok("customer", "merge", "globex", "holding", *REASON)
    assert slugs(pair) == ["holding"]
    with pair.reading() as db:
        assert customers.get(db, "globex").aliases == ("acme", "globex")
    assert pair.desk.ok("journal", "verify").code == 0


def test_a_damaged_license_stops_it(pair: Books) -> None:
    """A damaged license is exit 7, and both customers stay."""
    with pair.writing() as db:
        db.update("licenses", OLD, file=b"x")
        db.record("test")
    outcome = pair.desk.run("customer", "merge", "globex", "acme", *REASON)
    assert outcome.code == 7
    assert slugs(pair) == ["acme", "globex"]


def test_the_old_slug_stays_an_alias(desk: Desk) -> None:
    """Every command finds the customer by the old slug; new files have the new one."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    other = desk.machine_info("g.json", fingerprint=OTHER, customer="Globex AG", hostname="gx")
    (issued,) = desk.ok("sign", "--machine-info", other, "--json").json["licenses"]
    file = Path(issued["file"])
    merged = desk.ok("customer", "merge", "globex-ag", "acme-gmbh", *REASON).text
    assert desk.ok("verify", str(file), "--machine-info", other).code == 0
    assert desk.ok("license", "show", issued["id"]).code == 0
    assert desk.ok("license", "export", issued["id"], "-o", "-").out == file.read_bytes()
    assert "gx" in desk.ok("license", "list", "--customer", "globex-ag").text
    assert (
        desk.ok("renew", "globex-ag", "--machine", "gx", "--dry-run", "--accept", "not-due").code
        == 0
    )
    (command,) = [line.strip() for line in merged.splitlines() if "reissue" in line]
    (again,) = desk.ok(*command.split()[1:], "--json").json["licenses"]
    assert (again["claims"]["sub"], again["claims"]["customer"]) == ("acme-gmbh", "Acme GmbH")
    third = desk.machine_info("t.json", fingerprint="ef" * 32, customer=None, hostname="third")
    flags = ("--accept", "additional-machine", "--reason", "x")
    argv = ("sign", "--machine-info", third, "--customer", "globex-ag", *flags, "--json")
    (signed,) = desk.ok(*argv).json["licenses"]
    assert (signed["customer"], signed["new_customer"]) == ("acme-gmbh", False)
    assert desk.run("customer", "add", "Globex AG").code == 4
    assert desk.ok("journal", "verify").code == 0


def test_a_terminal_asks_for_confirmation(pair: Books) -> None:
    """The consequences are shown first; a no changes nothing, and --yes skips the prompt."""
    argv = ("customer", "merge", "glo", "acme", "--accept", "clock-behind")
    with terminal(pair.desk, *argv) as person:
        person.sees("reason for the journal: ")
        person.types("one firm")
        person.sees("machine prod-1 → prod-1-2, since the label was in use")
        person.sees(pair.desk.command("reissue", "acme", "--license", "aaaaaaaa"))
        person.sees("permanently merge globex into acme? [y/N]: ")
        person.types("n")
        assert person.ends() == 130
    assert slugs(pair) == ["acme", "globex"]
    with terminal(pair.desk, *argv, "--yes", *REASON) as person:
        person.sees("merged globex into acme")
        assert person.ends() == 0


@pytest.mark.parametrize(
    "meanwhile",
    [
        ("customer", "edit", "acme", "--crm", "B-2"),
        ("customer", "merge", "globex", "acme", "--reason", "hers"),
    ],
)
def test_a_change_during_the_prompt_stops_it(pair: Books, meanwhile: tuple[str, ...]) -> None:
    """If the preview is outdated, it is exit 7, and nothing is changed."""
    argv = ("customer", "merge", "globex", "acme", "--accept", "clock-behind", *REASON)
    with terminal(pair.desk, *argv) as person:
        person.sees("into acme? [y/N]: ")
        pair.desk.ok(*meanwhile)
        before = pair.last_row()
        person.types("y")
        person.sees("the registry changed after the preview; nothing was merged")
        assert person.ends() == 7
    assert pair.last_row() == before


def test_a_machine_with_two_current_licenses_gets_no_third(books: Books) -> None:
    """`sign` is refused, and each license is selected by its ID."""
    acme, globex = books.customer(), books.customer("Globex AG", "globex")
    soon = books.desk.now + timedelta(days=1)
    books.license(acme, books.machine(acme), license_id=OLD, expires_at=soon)
    books.license(globex, books.machine(globex), license_id=NEW)
    books.desk.ok("customer", "merge", "globex", "acme", *REASON)
    books.desk.now += timedelta(days=2)
    refused = books.desk.run("sign", "--machine-info", books.desk.machine_info(), "--dry-run")
    assert refused.code == 3
    assert (
        "already has a license for the machine prod-1, which expires at 2027-11-30" in refused.err
    )
    assert "polygent-issue reissue acme --license bbbbbbbb" in refused.err
    for argv in (("reissue", "acme"), ("reissue", "acme", "--machine", "prod-1")):
        result = books.desk.run(*argv, "--dry-run").err
        assert "--license aaaaaaaa (machine prod-1, " in result
        assert "--license bbbbbbbb (machine prod-1, " in result
    books.desk.ok("reissue", "acme", "--license", "bbbbbbbb", "--dry-run")
    books.desk.now += timedelta(days=365)
    continued = books.desk.ok("sign", "--machine-info", books.desk.machine_info(), "--dry-run")
    assert "license bbbbbbbb has expired; the new license replaces it" in continued.text


def test_the_other_license_of_a_machine_that_changed(books: Books) -> None:
    """It is not renewed for the earlier fingerprint; both printed commands work."""
    acme, globex = books.customer(), books.customer("Globex AG", "globex")
    soon = books.desk.now + timedelta(days=30)
    books.license(acme, books.machine(acme), license_id=OLD, expires_at=soon)
    books.license(globex, books.machine(globex), license_id=NEW, expires_at=soon)
    books.desk.ok("customer", "merge", "globex", "acme", *REASON)
    again = books.desk.ok("renew", "acme", "--dry-run", "--json").json["licenses"]
    assert {each["claims"]["machineFingerprint"] for each in again} == {FINGERPRINT}
    with books.writing() as db:
        (machine,) = machines.of(db, customers.get(db, "acme"))
        identity: dict[str, Any] = {"hostname": None, "components": {}, "document_id": None}
        machines.change_identity(db, machine, fingerprint=OTHER, **identity)
        db.record("test")
    refused = books.desk.run("renew", "acme", "--license", OLD[:8], "--dry-run")
    assert refused.code == 3
    assert "license aaaaaaaa was issued for the previous fingerprint of prod-1" in refused.err
    assert books.desk.run("reissue", "acme", "--all-machines", "--dry-run").code == 3
    document = books.desk.machine_info(fingerprint=OTHER)
    anew = ("reissue", "acme", "--license", OLD[:8], "--machine-info", document, "--dry-run")
    (given,) = books.desk.ok(*anew, "--json").json["licenses"]
    assert given["claims"]["machineFingerprint"] == OTHER
    books.desk.ok("license", "retire", OLD[:8], "--reason", "x")


LEFT = ("--reason", "they left")
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
    outcome = filled.desk.ok("customer", "archive", "acme", *LEFT)
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
    filled.desk.ok("customer", "archive", "acme", *LEFT)
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
    filled.desk.ok("customer", "archive", "acme", *LEFT)
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
    result = filled.desk.ok("customer", "archive", "acme", *LEFT, "--json").json
    assert result["changed"] is True
    assert result["customer"]["archived_at"] == "2026-12-02T09:30:00Z"
    (running,) = result["running"]
    assert (running["machine"], running["works_until"]) == ("prod-1", "2026-12-10T00:00:00Z")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("acme",), 3, "a reason is required to archive a customer"),
        (("acme", "--reason", "a\x1b"), 3, "\\x1b"),
        (("unknown", *LEFT), 5, "customer unknown"),
        ((), 2, "missing argument 'CUSTOMER'"),
    ],
)
def test_wrong_input_archives_nothing(
    filled: Books, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Wrong input is an error, and nothing is written."""
    before = filled.last_row()
    outcome = filled.desk.run("customer", "archive", *argv)
    assert outcome.code == code
    assert message in outcome.err
    assert filled.last_row() == before


def test_an_archived_customer_is_issued_no_licenses(desk: Desk) -> None:
    """`sign`, `renew` and `reissue` stop with the command that unarchives the customer."""
    document = desk.machine_info()
    desk.ok("sign", "--machine-info", document)
    desk.ok("customer", "archive", "acme-gmbh", *LEFT)
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


def test_a_terminal_asks_before_archiving(filled: Books) -> None:
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
    with terminal(filled.desk, *argv, "--yes", *LEFT) as person:
        person.sees("archived Acme GmbH (acme)")
        assert person.ends() == 0


def test_a_change_during_the_prompt_stops_an_archiving(filled: Books) -> None:
    """If the preview is outdated, nothing is changed, and the hint names the next step."""
    argv = ("customer", "archive", "acme", "--accept", "clock-behind", *LEFT)
    with terminal(filled.desk, *argv) as person:
        person.sees("archive Acme GmbH (acme)? [y/N]: ")
        filled.desk.ok("customer", "edit", "acme", "--crm", "A-1")
        person.types("y")
        person.sees("the registry changed after the preview; nothing was changed")
        assert person.ends() == 7
