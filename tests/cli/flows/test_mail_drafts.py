"""`--eml DIR`: mail drafts in addition to license files."""

import json
import re
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk
from support.registries import ACTOR
from support.screen import at_terminal, finish

from polygent_issuer.delivery.template import template_path
from polygent_issuer.email_address import Mailbox
from polygent_issuer.registry import Registry

ACME = ("customer", "add", "Acme GmbH", "--contact", "Ada <ada@acme.example>")


@pytest.fixture
def mail(desk: Desk) -> Path:
    """A folder for drafts."""
    folder = desk.folder / "mail"
    folder.mkdir()
    return folder


def read(path: Path | str) -> EmailMessage:
    """Read a draft as a mail program does."""
    message = BytesParser(policy=policy.default).parsebytes(Path(path).read_bytes())
    assert isinstance(message, EmailMessage)
    return message


def text(message: EmailMessage) -> str:
    """Return the text of a draft."""
    body = message.get_body()
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def sign(desk: Desk, mail: Path, customer: str = "Acme GmbH") -> dict[str, Any]:
    """Sign Acme's license, with drafts."""
    document = desk.machine_info()
    argv = ("sign", "--machine-info", document, "--customer", customer, "--eml", str(mail))
    told = desk.ok(*argv, "--json")
    [issued] = told.json["licenses"]
    return dict(issued)


def test_sign_renew_and_reissue_write_drafts(desk: Desk, mail: Path) -> None:
    """Each draft names the action, and its attachment is the issued file."""
    desk.ok(*ACME, "--contact", "ops@acme.example")
    first = sign(desk, mail)
    assert [Path(path).parent for path in first["drafts"]] == [mail, mail]
    early = ("--accept", "not-due", "--reason", "asked for it")
    renew = ("renew", "acme-gmbh", "--users", "40", *early)
    [renewed] = desk.ok(*renew, "--eml", str(mail), "--json").json["licenses"]
    reissue = ("reissue", "acme-gmbh", "--eml", str(mail), "--json")
    [reissued] = desk.ok(*reissue).json["licenses"]
    for issued, kind in ((first, "new license"), (renewed, "renewal"), (reissued, "replacement")):
        to_ada, to_ops = map(read, issued["drafts"])
        assert (to_ada["To"], to_ops["To"]) == ("Ada <ada@acme.example>", "ops@acme.example")
        assert f": {kind}, upload before 2026-12-07" in to_ada["Subject"]
        for message in (to_ada, to_ops):
            [part] = message.iter_attachments()
            assert part.get_content() == Path(issued["file"]).read_bytes()
            assert part.get_filename() == Path(issued["file"]).name
    assert "  users: 40 instead of 25\n" in text(read(renewed["drafts"][0]))
    assert "only the license file" in text(read(reissued["drafts"][0]))
    assert len(list(mail.iterdir())) == 6


ENCODED = "=?utf-8?q?=0D=0ABcc:thief@x.example=0D=0AX:?="


@pytest.mark.parametrize("where", ["hostname", "customer", "label"])
def test_an_encoded_word_makes_no_header(desk: Desk, mail: Path, where: str) -> None:
    """An encoded word in foreign text adds no header, and the draft shows it as it is written."""
    desk.ok(*ACME)
    document = desk.machine_info(hostname=ENCODED if where == "hostname" else "prod-1")
    name = ENCODED if where == "customer" else "acme-gmbh"
    if where == "customer":
        desk.ok("customer", "edit", "acme-gmbh", "--name", ENCODED)
    label = ("--label", ENCODED) if where == "label" else ()
    argv = ("sign", "--machine-info", document, "--customer", name, *label, "--eml", str(mail))
    desk.ok(*argv, "--accept", "claimed-customer", "--reason", "test")
    [draft] = mail.iterdir()
    assert b"\nBcc" not in draft.read_bytes()
    message = read(draft)
    assert set(message.keys()) == {
        *("X-Unsent", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type")
    }
    assert ENCODED in message["Subject"]
    assert ENCODED in text(message)


def test_an_older_contact_with_an_encoded_word_gets_no_draft(desk: Desk, mail: Path) -> None:
    """Registries of earlier versions may have such a contact; it gets a warning, not a draft."""
    desk.ok(*ACME)
    contact = f"{ENCODED} <r@x.example>"
    with (
        Registry.open(desk.registry) as registry,
        registry.writing(now=desk.now, actor=ACTOR) as db,
    ):
        db.update("customers", 1, contacts=json.dumps([contact]))
        db.record("test", customer="acme-gmbh")
    outcome = desk.ok(
        *("sign", "--machine-info", desk.machine_info(), "--customer", "acme-gmbh"),
        *("--eml", str(mail)),
    )
    assert f"no draft for {contact}" in outcome.err
    [draft] = mail.iterdir()
    assert read(draft)["To"] is None


def test_a_draft_that_does_not_read_back_is_not_written(
    desk: Desk, mail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a bug, exit 1: the license is kept, and the message names the command to report."""
    desk.ok(*ACME)

    def parse(text: str) -> Mailbox:
        return Mailbox(name="", address=f"{text}\nBcc:")

    monkeypatch.setattr("polygent_issuer.email_address.parse_address", parse)
    argv = ("sign", "--machine-info", desk.machine_info(), "--customer", "acme-gmbh")
    outcome = desk.run(*argv, "--eml", str(mail))
    assert outcome.code == 1
    [issued] = desk.ok("license", "list", "--json").json["licenses"]
    short = issued["id"][:8]
    assert f"license {short} was issued, but its mail draft could not be written: " in outcome.err
    command = f"polygent-issue license export {short} --eml {mail} --debug"
    assert f"hint: report the output of: {command}\n" in outcome.err
    assert list(mail.iterdir()) == []


def test_each_draft_is_named_on_the_screen(desk: Desk, mail: Path) -> None:
    """The path of each draft is printed."""
    desk.ok(*ACME)
    argv = ("sign", "--machine-info", desk.machine_info(), "--customer", "acme-gmbh")
    told = desk.ok(*argv, "--eml", str(mail)).text
    [draft] = mail.iterdir()
    assert f"  mail draft     {draft}\n" in told


def test_each_customer_gets_a_draft(desk: Desk, mail: Path) -> None:
    """Each draft is for the customer of its license."""
    for name in ("Acme", "Globex"):
        contact = f"ops@{name.casefold()}.example"
        desk.ok("customer", "add", name, "--contact", contact)
        desk.ok("sign", "--customer", name, "--tier", "enterprise", "--term", "30d")
    desk.now += timedelta(days=20)
    *told, summary = desk.ok("renew", "acme", "globex", "--eml", str(mail), "--json").json_lines
    assert summary["summary"]["renewed"] == 2
    for each in told:
        [issued] = each["licenses"]
        [draft] = issued["drafts"]
        assert read(draft)["To"] == f"ops@{issued['customer']}.example"
        assert issued["customer_name"] in read(draft)["Subject"]


def test_a_setting_names_the_sender(desk: Desk, mail: Path) -> None:
    """Without it the mail program adds the sender."""
    desk.ok(*ACME)
    [draft] = sign(desk, mail)["drafts"]
    assert read(draft)["From"] is None
    desk.ok("config", "set", "mail_from", "Polygent <licenses@polygent.example>")
    [draft] = desk.ok("reissue", "acme-gmbh", "--eml", str(mail), "--json").json["licenses"][0][
        "drafts"
    ]
    assert read(draft)["From"] == "Polygent <licenses@polygent.example>"


def test_a_customer_without_addresses_gets_a_draft(desk: Desk, mail: Path) -> None:
    """A warning names contacts without an address and the command that adds a contact."""
    desk.ok("customer", "add", "Acme GmbH", "--contact", "+49 30 1234")
    argv = ("sign", "--machine-info", desk.machine_info(), "--customer", "acme-gmbh")
    told = desk.ok(*argv, "--eml", str(mail))
    assert "no draft for +49 30 1234" in told.err
    assert "polygent-issue customer edit acme-gmbh --contact EMAIL" in told.err
    [draft] = mail.iterdir()
    assert read(draft)["To"] is None


def test_a_new_customer_gets_a_draft_without_recipient(desk: Desk, mail: Path) -> None:
    """The draft is written though the customer lacks a contact."""
    told = sign(desk, mail, "Newcomer")
    assert len(told["drafts"]) == 1


def test_without_the_option_no_draft_is_written(desk: Desk) -> None:
    """The JSON has an empty list of drafts."""
    told = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    assert told[0]["drafts"] == []


def test_a_dry_run_writes_no_drafts(desk: Desk, mail: Path) -> None:
    """It checks the folder."""
    argv = ("sign", "--machine-info", desk.machine_info(), "--dry-run", "--eml")
    desk.ok(*argv, str(mail))
    assert list(mail.iterdir()) == []
    assert desk.run(*argv, str(mail / "no")).code == 8


@pytest.mark.parametrize("command", ["sign", "export"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("no/such", "does not exist"),
        ("", "--eml is empty"),
        ("main.key", "does not exist"),
        ("~unknown-user/mail", "invalid path: ~unknown-user/mail"),
    ],
)
def test_an_unusable_folder_is_refused_first(
    desk: Desk, command: str, place: str, why: str
) -> None:
    """Exit 8 before anything is signed or exported."""
    argv: tuple[str, ...] = ("sign", "--machine-info", desk.machine_info())
    if command == "export":
        [issued] = desk.ok(*argv, "--json").json["licenses"]
        argv = ("license", "export", issued["id"], "-o", str(desk.folder / "x.lic"))
    before = desk.ok("journal", "show", "--json").json["rows"]
    outcome = desk.run(
        *argv, "--eml", place if place[:1] in ("", "~") else str(desk.folder / place)
    )
    assert outcome.code == 8
    assert why in outcome.err
    assert desk.ok("journal", "show", "--json").json["rows"] == before
    assert not (desk.folder / "x.lic").exists()


def test_an_invalid_template_is_refused_first(desk: Desk, mail: Path) -> None:
    """Exit 3 with the nearest name, and nothing is signed."""
    template_path(desk.home).write_text("Subject: x\n\n$custommer\n")
    argv = ("sign", "--machine-info", desk.machine_info(), "--eml", str(mail))
    outcome = desk.run(*argv)
    assert outcome.code == 3
    assert "hint: did you mean $customer?" in outcome.err
    assert desk.ok("license", "list", "--json").json["licenses"] == []


def test_an_edited_template_is_used(desk: Desk, mail: Path) -> None:
    """The draft has the subject and the text of the template."""
    desk.ok(*ACME)
    template_path(desk.home).write_text("Subject: Für $customer\n\nBis $last_day!\n", "utf-8")
    [draft] = sign(desk, mail)["drafts"]
    assert read(draft)["Subject"] == "Für Acme GmbH"
    assert text(read(draft)) == "Bis 2027-11-30!\n"


def test_export_writes_the_same_draft_later(desk: Desk, mail: Path) -> None:
    """An existing draft with the same bytes is accepted; another file is never overwritten."""
    desk.ok(*ACME)
    issued = sign(desk, mail)
    [draft] = map(Path, issued["drafts"])
    before = draft.read_bytes()
    desk.now += timedelta(days=2)
    argv = ("license", "export", issued["id"], "--eml", str(mail))
    told = desk.ok(*argv, "--json").json
    assert told["drafts"] == [str(draft)]
    assert draft.read_bytes() == before
    draft.unlink()
    assert f"  mail draft     {draft}\n" in desk.ok(*argv).text
    assert draft.read_bytes() == before
    draft.write_bytes(b"mine")
    outcome = desk.run(*argv)
    assert outcome.code == 8
    assert draft.read_bytes() == b"mine"


def test_unwritten_drafts_keep_the_licenses(desk: Desk, mail: Path) -> None:
    """The error states that the licenses are issued, and has the commands for the drafts."""
    desk.now = datetime.now(UTC) - timedelta(days=20)  # the terminal has today's clock
    names = ["aa", "bb", "cc"]
    for name in names:
        desk.ok("sign", "--customer", name, "--tier", "enterprise", "--term", "30d")
    secret = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)}
    terminal = at_terminal(desk.home, "renew", *names, "--eml", str(mail), **secret)
    terminal.expect_exact("go ahead with 3? [Y/n]: ")
    mail.rmdir()
    terminal.sendline("y")
    code, screen = finish(terminal)
    assert code == 20
    desk.now = datetime.now(UTC)
    listed = desk.ok("license", "list", "--status", "current", "--json").json["licenses"]
    issued = {each["customer"]: each["id"][:8] for each in listed}
    assert len(list(desk.output.iterdir())) == 6
    told = " ".join(plain(screen).split())
    assert told.count("was issued, but its mail draft could not be written") == 3
    assert desk.command("license", "export", issued["aa"], "--eml") in told
    mail.mkdir()
    desk.ok("license", "export", issued["aa"], "--eml", str(mail))
    assert len(list(mail.iterdir())) == 1


def test_an_unwritten_draft_keeps_the_license(desk: Desk, mail: Path) -> None:
    """The error states that the license is issued, and has the command for the draft."""
    desk.now = datetime.now(UTC) - timedelta(days=20)
    desk.ok("sign", "--customer", "aa", "--tier", "enterprise", "--term", "30d")
    secret = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)}
    terminal = at_terminal(desk.home, "renew", "aa", "--eml", str(mail), **secret)
    terminal.expect_exact("go ahead? [Y/n]: ")
    mail.rmdir()
    terminal.sendline("y")
    code, screen = finish(terminal)
    assert code == 8
    desk.now = datetime.now(UTC)
    [held] = desk.ok("license", "list", "--status", "current", "--json").json["licenses"]
    why = f"license {held['id'][:8]} was issued, but its mail draft could not be written: cannot"
    assert why in plain(screen)
    command = desk.command("license", "export", held["id"][:8], "--eml", str(mail))
    assert command in plain(screen)


def plain(screen: str) -> str:
    """A screen without colour."""
    return re.sub(r"\x1b\[[0-9;]*m", "", screen)
