"""Every command on a damaged registry reads the intact rows or exits with 7; never with a bug.

By default a part of the corruptions is tried. All of them: `POLYGENT_FAULTS=full pytest -m slow
tests/faults/test_damaged_registry.py`.
"""

import random
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import NOW, Desk
from support.corruption import Corruptions
from support.fault_sweep import FULL
from support.registries import tampering

from polygent_issuer.errors import ExitCode

pytestmark = pytest.mark.slow

PARTS, CORRUPTIONS = 4, 40_000 if FULL else 160
ACCEPT = ("--accept", "not-due", "--accept", "clock-behind", "--reason", "x", "--yes")
EDIT = ("customer", "edit", "acme", "--crm", "1")
MERGE = ("customer", "merge", "globex", "acme", "--reason", "x", "--yes")
RESTORE = ("--accept", "registry-rollback", "--accept", "clock-behind", "--reason", "x", "--yes")


def machine(desk: Desk, customer: str, number: int) -> str:
    """Write the document of a customer's machine; return its path."""
    return desk.machine_info(
        f"{number}.json",
        customer=customer,
        hostname=f"host-{number}",
        fingerprint=f"sha256:{number:064x}",
        components={"board": f"b{number}"},
    )


@pytest.fixture(scope="module")
def worked_once(made_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with rows in every table except the outbox, to be copied."""
    desk = made_desk.copy_to(tmp_path_factory.mktemp("worked") / "desk")
    for number, customer in enumerate(("Acme", "Globex", "Initech"), start=1):
        desk.ok("sign", "--machine-info", machine(desk, customer, number))
    desk.ok("customer", "add", "Soylent", "--contact", "ops@soylent.example")
    desk.ok("sign", "--customer", "soylent", "--tier", "enterprise")
    desk.ok("renew", "acme", *ACCEPT)
    desk.ok("reissue", "globex", "--machine-info", machine(desk, "Globex", 4))
    desk.ok("customer", "add", "Umbrella")
    desk.ok("customer", "merge", "umbrella", "soylent", "--reason", "x", "--yes")
    old = current(desk, "initech")
    desk.ok("license", "sent", old)
    desk.ok("license", "retire", old, "--reason", "x")
    desk.ok("customer", "archive", "initech", "--reason", "x", "--yes")
    second = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", second, "--no-backup")
    desk.ok("registry", "backup", str(desk.folder / "backup.db"))
    desk.ok("journal", "verify", "--note", str(desk.folder / "heads"))
    (desk.folder / "customers.csv").write_text("slug,name,crm\nacme,,9\n,Newest,\n")
    (desk.folder / "rows.csv").write_text("customer,users\nacme,30\nglobex,40\nNewer,5\n")
    return desk


@pytest.fixture
def worked(worked_once: Desk, tmp_path: Path) -> Desk:
    """A copy of the desk; a year has passed, and one license is in the outbox."""
    desk = worked_once.copy_to(tmp_path / "desk")
    desk.now = NOW + timedelta(days=340)
    machine(desk, "Hooli", 9)
    with closing(sqlite3.connect(desk.home / "registry.db")) as raw:
        at = "2026-11-30T09:30:00.000000Z"
        pending = (current(desk, "acme"), str(desk.output), "again.lic", at)
        raw.execute(
            "INSERT INTO outbox (license_id, folder, name, at) VALUES (?, ?, ?, ?)", pending
        )
        raw.commit()
    return desk


def current(desk: Desk, customer: str) -> str:
    """Return the ID of the customer's current license."""
    argv = ("license", "list", "--json", "--customer", customer, "--status", "current")
    [record] = desk.ok(*argv).json["licenses"]
    return str(record["id"])


def commands(desk: Desk) -> list[Sequence[str]]:
    """Return every command that reads the registry, some with several options."""
    folder, license_id = str(desk.folder), current(desk, "acme")
    file = str(min(desk.output.glob("*.lic")))
    new, rows = f"{folder}/9.json", f"{folder}/rows.csv"
    return [
        ("license", "list"),
        ("license", "list", "--json", "--unsent"),
        ("license", "list", "--csv"),
        ("license", "show", license_id[:8]),
        ("license", "show", license_id, "--json"),
        ("license", "export", license_id, "-o", f"{folder}/e.lic"),
        ("license", "sent", license_id),
        ("license", "retire", license_id, "--reason", "x"),
        ("customer", "list", "--archived"),
        ("customer", "list", "--json"),
        ("customer", "list", "--csv"),
        ("customer", "show", "acme"),
        ("customer", "show", "umbrella", "--json"),
        ("customer", "add", "Hooli"),
        ("customer", "edit", "acme", "--contact", "x@y.example"),
        ("customer", "archive", "globex", "--reason", "x", "--yes"),
        ("customer", "import", f"{folder}/customers.csv"),
        ("customer", "export", "--json"),
        MERGE,
        ("expiring", "--within", "999d"),
        ("expiring", "--within", "999d", "--json"),
        ("expiring", "--within", "999d", "--ics", f"{folder}/e.ics"),
        ("key", "list"),
        ("key", "show", "main"),
        ("key", "export-public", "--all", "--format", "jwks", "-o", "-"),
        ("key", "use", "second", "--accept", "key-rollout", "--reason", "x"),
        ("key", "retire", "second", "--reason", "x"),
        ("key", "backup", "main", f"{folder}/main.backup"),
        ("key", "generate", "third", "--store", f"file:{folder}/third.key", "--no-backup"),
        ("journal", "show"),
        ("journal", "show", "--json", "--customer", "acme"),
        ("journal", "show", "--csv"),
        ("journal", "verify"),
        ("journal", "verify", "--json", "--against", f"{folder}/heads"),
        ("registry", "export", "-o", "-"),
        ("registry", "backup", f"{folder}/again.db"),
        ("registry", "restore", f"{folder}/backup.db", *RESTORE),
        ("registry", "restore", f"{folder}/damaged.db", *RESTORE),
        ("registry", "import", str(desk.output)),
        ("doctor",),
        ("doctor", "--quick", "--json"),
        ("verify", file),
        ("inspect", file),
        ("sign", "--machine-info", new, *ACCEPT),
        ("sign", "--machine-info", f"{folder}/1.json", "--dry-run"),
        ("renew", "acme", *ACCEPT),
        ("renew", "globex", "soylent", *ACCEPT, "--eml", folder),
        ("renew", "--due-within", "999d", *ACCEPT),
        ("reissue", "acme"),
        ("reissue", "soylent", "--users", "30", "--json"),
        ("apply", rows, *ACCEPT),
        ("apply", rows, "--dry-run", "--json"),
    ]


@pytest.mark.parametrize("part", range(PARTS))
def test_no_damage_is_a_bug(worked: Desk, tmp_path: Path, part: int) -> None:
    """On any damaged file each command succeeds or ends with one of our errors."""
    order, registry = tmp_path / "order", worked.home / "registry.db"
    shutil.copytree(worked.folder, order)
    corruptions = Corruptions(registry.read_bytes(), journal=True)
    several, codes = commands(worked), set()
    for number in range(part, CORRUPTIONS, PARTS):
        what, data = corruptions.damage(number)
        argv = random.Random(number).choice(several)  # noqa: S311 - no secret
        shutil.rmtree(worked.folder)
        shutil.copytree(order, worked.folder)
        (worked.folder / "damaged.db").write_bytes(data)
        registry.write_bytes(data)
        outcome = worked.run(*argv)
        codes.add(outcome.code)
        assert outcome.code != ExitCode.BUG, (what, argv, outcome)
        assert outcome.err.replace("\n", "").isprintable(), (what, argv, outcome)
    assert {ExitCode.DONE, ExitCode.REGISTRY} <= codes


@pytest.mark.parametrize(
    ("statement", "argv", "row"),
    [
        ("UPDATE customers SET contacts = '[' WHERE id = 1", ("customer", "list"), "customers/1"),
        ("UPDATE customers SET contacts = '[\"\\ud800\"]'", ("customer", "list"), "customers/1"),
        (
            "UPDATE machines SET components = '{\"a\":1}'",
            ("customer", "show", "acme"),
            "machines/1",
        ),
        ("UPDATE keys SET created_at = 'x'", ("key", "list"), "keys/"),
        ("UPDATE licenses SET expires_at = 1 << 60", ("license", "list"), "licenses/"),
        ("UPDATE outbox SET license_id = 'x'", ("sign",), "outbox/x"),
        ("UPDATE journal SET bytes = CAST('[1]' AS BLOB)", ("journal", "show"), "journal/1"),
        (
            "UPDATE licenses SET term = 'x'",
            ("renew", "acme", *ACCEPT),
            "licenses/",
        ),
        ("UPDATE licenses SET kid = 'x'", ("license", "show", "{id}"), "licenses/"),
        ("UPDATE licenses SET document_id = 99", ("license", "show", "{id}"), "licenses/"),
        ("UPDATE licenses SET customer_id = 99", ("license", "list"), "licenses/"),
        ("UPDATE licenses SET machine_id = 99", ("renew", "acme", *ACCEPT), "licenses/"),
        ("UPDATE licenses SET replaced_by = 'x'", ("verify", "{file}"), "lacks the license that"),
        ("UPDATE journal SET hash = x'00' WHERE seq > 8", EDIT, "SQLite reports a damaged file"),
        ("UPDATE machines SET customer_id = 1", MERGE, "machines/"),
        ("PRAGMA user_version = -1", ("license", "list"), "impossible version -1"),
    ],
)
def test_the_damage_is_named(worked: Desk, statement: str, argv: tuple[str, ...], row: str) -> None:
    """Exit 7 names the table, the row if there is one, and the next command."""
    license_id = current(worked, "acme")
    with tampering(worked.home / "registry.db") as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        raw.execute(statement)
    file = str(min(worked.output.glob("*acme*.lic")))
    if argv == ("sign",):
        argv = ("sign", "--machine-info", str(worked.folder / "9.json"))
    outcome = worked.run(*(each.format(id=license_id, file=file) for each in argv))
    assert outcome.code == ExitCode.REGISTRY, outcome
    assert row in outcome.err
    assert "hint: " in outcome.err
    assert "registry restore" in outcome.err or "journal verify" in outcome.err
