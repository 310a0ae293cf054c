"""Rows edited outside the tool: their text is escaped on every screen and in every file."""

import json
import zipfile
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest
from support.cli import Desk
from support.many_customers import add_customers_at
from support.registries import tampering

from polygent_issuer.text import escape

pytestmark = pytest.mark.sqlite("PostgreSQL cannot store NUL")

LINE = "INJECTED: 1"
BREAKS = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\t", "\0")
EVIL = "Evil\x1b[31m\x9b1m\x07\x7f\u202e\u2066\u200b\u061c\U000e0041" + "".join(
    each + LINE for each in BREAKS
)
EDITS = {
    "name": "UPDATE customers SET name = ?",
    "slug": "UPDATE customers SET slug = ? WHERE id = 1",
    "contacts": "UPDATE customers SET contacts = json_array(?)",
    "crm": "UPDATE customers SET crm = ?",
    "time zone": "UPDATE customers SET time_zone = ?",
    "label": "UPDATE machines SET label = ?",
    "hostname": "UPDATE machines SET hostname = ?, components = json_object('board', hostname)",
    "fingerprint": "UPDATE machines SET fingerprint = ?",
    "key": "UPDATE keys SET label = ?",
    "term": "UPDATE licenses SET term = ?",
    "plan": "UPDATE licenses SET plan = ?",
    "reason": "UPDATE licenses SET retired_at = '2026-12-01T09:30:00Z', retired_reason = ?",
    "registry": "UPDATE about SET value = ?",
    "license": "UPDATE licenses SET id = ? WHERE id LIKE '00000001%'",
    "outbox": """INSERT INTO outbox SELECT id, '/nowhere', ?, '2026-12-01T09:30:00Z', NULL
        FROM licenses""",
}
COMMANDS = (
    "registry export",
    "registry export -o out/rows.toml",
    "license list",
    "license list --csv",
    "license show 00000001",
    "license export 00000001 -o out/x.lic --eml mail",
    "customer list",
    "customer list --csv",
    "customer export",
    "customer show c1",
    "expiring",
    "expiring --csv",
    "expiring --ics -",
    "expiring --ics out/due.ics",
    "journal show",
    "journal show --csv",
    "journal verify --note heads.txt",
    "key list",
    "key show main",
    "doctor --quick",
    "verify --license 00000001",
    "customer archive c1 --reason left --dry-run",
    "renew --due-within 30d --dry-run",
    "renew --due-within 30d --bundle all.zip --report report.csv --eml mail",
    "registry backup backups",
)


@pytest.mark.parametrize("edit", EDITS)
def test_edited_text_is_escaped_in_every_output(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, edit: str
) -> None:
    """No stream or file contains a raw line break, control or invisible character of a row."""
    monkeypatch.chdir(desk.folder)
    for folder in ("mail", "backups"):
        (desk.folder / folder).mkdir()
    desk.ok("config", "set", "mail_from", "licenses@polygent.example")
    add_customers_at(desk, range(1, 4), ends_in=21)
    before = set(desk.folder.rglob("*"))
    with tampering(desk.registry) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute(EDITS[edit], (EVIL,))
    for command in COMMANDS:
        for options in ([], ["--json"]):
            outcome = desk.run(*command.split(), *options)
            assert outcome.code != 1, (command, outcome.err)
            check(outcome.out.decode(), f"stdout of {command}")
            check(outcome.err, f"stderr of {command}")
    new = {path for path in desk.folder.rglob("*") if path.is_file()} - before
    for path in new - set((desk.folder / "backups").iterdir()):
        assert escape(str(path)) == str(path)
        for name, text in texts(path):
            check(text, name)
    assert desk.folder / "out" / "due.ics" in new


def check(text: str, where: str) -> None:
    """Check that no line begins with an injected text or contains a raw character."""
    for line in text.replace("\r\n", "\n").split("\n"):
        assert escape(line) == line, (where, line)
        assert not line.startswith(LINE), (where, line)


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the texts of a file: the manifest of an archive, the headers and body of a mail."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            yield f"manifest of {path}", archive.read("manifest.csv").decode("utf-8-sig")
    elif path.suffix == ".eml":
        yield str(path), path.read_bytes().decode()
        message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
        yield f"headers of {path}", "\n".join(map(str, message.values()))
        assert isinstance(message, EmailMessage)
        body = message.get_body()
        assert body is not None
        yield f"body of {path}", body.get_content()
    else:
        yield str(path), path.read_bytes().decode("utf-8-sig")


def test_an_edited_row_is_not_exported(desk: Desk) -> None:
    """An edited label of a machine, which no license contains, stops the export, too."""
    add_customers_at(desk, range(1, 3))
    with tampering(desk.registry) as raw:
        raw.execute("UPDATE machines SET label = ?", (EVIL,))
    outcome = desk.run("registry", "export")
    assert (outcome.code, outcome.out) == (7, b"")
    assert "machines/1 in the registry" in outcome.err


def test_json_contains_the_exact_text_of_an_edited_row(desk: Desk) -> None:
    """JSON is ASCII, and parses to the same text."""
    add_customers_at(desk, range(1, 2))
    with tampering(desk.registry) as raw:
        raw.execute("UPDATE customers SET name = ?", (EVIL,))
    out = desk.ok("customer", "list", "--json").out
    assert out.isascii()
    assert json.loads(out)["customers"][0]["name"] == EVIL
