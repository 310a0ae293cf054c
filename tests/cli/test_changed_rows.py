"""Rows changed outside the tool: a command that would use one ends with exit 7."""

import pytest
from support.cli import Desk
from support.registries import new_key, tampering

ENDS = ("--expires", "2026-12-10")
FOREIGN = new_key(9)
KEYS = "INSERT INTO keys VALUES ('{kid}', 'evil', CAST('{pem}' AS BLOB), '{at}', 0, NULL, 0, NULL)"
MOVED = "UPDATE licenses SET customer_id = (SELECT id FROM customers WHERE slug = 'globex')"
EXPORT = ("key", "export-public", "--all", "--format", "jwks", "-o", "-")
EDITS: dict[str, tuple[str, str, list[tuple[str, ...]]]] = {
    "a foreign key": (KEYS, "keys/", [EXPORT, ("verify", "{lic}"), ("key", "export-public")]),
    "a term": (
        "UPDATE licenses SET term = '34mo' WHERE id LIKE '{id}%'",
        "licenses/",
        [("renew", "acme-gmbh"), ("license", "export", "{id}"), ("registry", "export")],
    ),
    "a license of another": (MOVED, "licenses/", [("renew", "globex"), ("renew", "acme-gmbh")]),
    "a slug": (
        "UPDATE customers SET slug = 'evil', name = 'Evil' WHERE slug = 'acme-gmbh'",
        "customers/",
        [("renew", "evil"), ("license", "export", "{id}"), ("sign", "--machine-info", "{m}")],
    ),
    "a retired license": (
        "UPDATE licenses SET retired_at = NULL, retired_reason = NULL WHERE id LIKE '{other}%'",
        "licenses/",
        [("renew", "globex"), ("license", "sent", "{other}")],
    ),
    "a compromised key": (
        "UPDATE keys SET compromised = 0, retired_at = NULL WHERE label = 'old'",
        "keys/",
        [EXPORT, ("key", "use", "old"), ("renew", "acme-gmbh", "--key", "old")],
    ),
    "no row of row_journal": (
        "DELETE FROM row_journal WHERE name LIKE 'licenses/{id}%'",
        "licenses/",
        [("renew", "acme-gmbh")],
    ),
    "an older row of row_journal": (
        "UPDATE row_journal SET seq = 2 WHERE name LIKE 'customers/%'",
        "customers/",
        [("renew", "acme-gmbh"), ("customer", "edit", "globex", "--crm", "C-1")],
    ),
}


@pytest.fixture
def office(desk: Desk) -> tuple[Desk, dict[str, str]]:
    """Set up two customers, a retired license and a compromised key; return the names of rows."""
    key = f"file:{desk.folder / 'old.key'}"
    first = desk.ok("sign", "--machine-info", desk.machine_info(), *ENDS, "--json").json
    enterprise = ("--tier", "enterprise", "--users", "9", "--session-hosts", "1", "--yes")
    more = ("--deploy-hosts", "1", "--allowed-domain", "globex.example")
    other = desk.ok("sign", "--customer", "Globex", *enterprise, *more, *ENDS, "--json").json
    desk.ok("license", "retire", other["licenses"][0]["id"], "--reason", "left", "--yes")
    desk.ok("key", "generate", "old", "--store", key, "--no-backup")
    desk.ok("key", "retire", "old", "--compromised", "--reason", "leaked", "--yes")
    return desk, {
        "id": first["licenses"][0]["id"][:8],
        "other": other["licenses"][0]["id"][:8],
        "lic": str(next(desk.output.glob("acme*.lic"))),
        "m": desk.machine_info(),
        "kid": FOREIGN.kid,
        "pem": FOREIGN.to_pem().decode(),
        "at": "2026-01-01T00:00:00.000000Z",
    }


@pytest.mark.parametrize("edit", EDITS)
def test_a_command_that_uses_a_changed_row_ends(
    office: tuple[Desk, dict[str, str]], edit: str
) -> None:
    """The error has exit 7, names the row and the ways out; other commands still work."""
    desk, names = office
    sql, named, commands = EDITS[edit]
    change(desk, sql.format(**names))
    files = sorted(desk.output.iterdir())
    for command in commands:
        outcome = desk.run(*(each.format(**names) for each in command))
        assert outcome.code == 7, (command, outcome)
        assert named in outcome.err
        assert "differs from the journal" in outcome.err
        for remedy in ("journal verify", "registry restore BACKUP", "registry import FILE"):
            assert f"polygent-issue {remedy}" in outcome.err.replace("\n", " ")
    assert sorted(desk.output.iterdir()) == files
    assert desk.run("journal", "verify").code == 7
    assert desk.run("doctor").code == 7
    for unaffected in (
        ("registry", "backup", str(desk.folder / "copy.db")),
        ("journal", "show"),
        ("customer", "list"),
        ("license", "list"),
        ("key", "list"),
        ("expiring",),
    ):
        desk.ok(*unaffected)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE licenses SET term = '34mo' WHERE id LIKE '{id}%'",
        "UPDATE customers SET name = 'Evil' WHERE slug = 'acme-gmbh'",
        "UPDATE machines SET label = 'evil' WHERE id = 1",
        "DELETE FROM row_journal WHERE name LIKE 'licenses/{id}%'",
        "UPDATE row_journal SET seq = 2 WHERE name LIKE 'licenses/{id}%'",
    ],
)
@pytest.mark.parametrize("due", [True, False])
def test_a_changed_row_fails_one_item_of_a_batch(
    office: tuple[Desk, dict[str, str]], edit: str, *, due: bool
) -> None:
    """A batch renews the other licenses."""
    desk, names = office
    desk.ok("sign", "--machine-info", hooli(desk), *ENDS)
    change(desk, edit.format(**names))
    which = ("--due-within", "30d") if due else ("acme-gmbh", "hooli")
    outcome = desk.run("renew", *which, "--term", "1y", "--yes", "--json")
    assert outcome.code == 20, outcome
    assert "differs from the journal" in outcome.text
    hooli_files = list(desk.output.glob("hooli*.lic"))
    assert len(hooli_files) == 2


def test_a_changed_row_of_an_unlisted_customer_fails_no_batch(
    office: tuple[Desk, dict[str, str]],
) -> None:
    """`apply` ignores a changed row of a customer that is not in the file."""
    desk, _ = office
    desk.ok("sign", "--machine-info", hooli(desk), *ENDS)
    change(desk, "UPDATE licenses SET term = '34mo' WHERE customer_id = 1")
    rows = desk.folder / "rows.csv"
    rows.write_text("customer,term\nhooli,1y\n", encoding="utf-8")
    assert desk.ok("apply", str(rows), "--yes").text
    assert len(list(desk.output.glob("hooli*.lic"))) == 2


def test_an_outbox_row_without_a_license_is_a_warning(office: tuple[Desk, dict[str, str]]) -> None:
    """An outbox row without a license does not stop commands that do not use it."""
    desk, _ = office
    change(
        desk,
        "INSERT INTO outbox VALUES ('nope', '/nowhere', 'x.lic', '2026-01-01T00:00:00Z', NULL)",
    )
    for command in (("journal", "show"), ("journal", "verify"), ("license", "list")):
        assert "outbox/nope" in desk.ok(*command).err


def hooli(desk: Desk) -> str:
    """Write a document of a third customer."""
    return desk.machine_info("hooli.json", customer="Hooli", fingerprint="sha256:" + "ef" * 32)


def change(desk: Desk, sql: str) -> None:
    """Edit the registry, as another program could."""
    with tampering(desk.registry) as raw:
        assert raw.execute(sql).rowcount > 0
