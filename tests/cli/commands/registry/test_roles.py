"""`registry roles` and `registry upgrade`, and the role that each command needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli import PASSPHRASE, Desk, Outcome
from support.postgres import Cluster

from polygent_issuer.cli.commands import COMMANDS, ROLES, Entry
from polygent_issuer.cli.main import load, role_of
from polygent_issuer.errors import ExitCode
from polygent_issuer.registry import Registry, journal, schema
from polygent_issuer.registry.postgres.roles import ROLES as ROLES_OF_SERVER
from polygent_issuer.registry.postgres.roles import sql
from polygent_issuer.registry.postgres.tables import CHANGES

# Each role with its commands, in an order in which all of them work, each once by its name.
COMMANDS_OF = {
    "auditor": """
        customer.export: customer export
        customer.list: customer list
        customer.show: customer show acme
        doctor: doctor --quick
        expiring: expiring
        inspect: inspect {folder}/acme.lic
        journal.show: journal show
        journal.verify: journal verify --note {folder}/heads
        key.export-public: key export-public main
        key.list: key list
        key.show: key show main
        license.list: license list
        license.show: license show {license}
        machine-info.check: machine-info check {folder}/m.json
        registry.backup: registry backup {folder}/registry.backup
        registry.export: registry export
        registry.roles: registry roles
        report: report
        verify: verify {folder}/acme.lic
        """,
    "issuer": """
        customer.add: customer add Wayne
        customer.edit: customer edit wayne --name Waynes --crm 17
        customer.hold: customer hold wayne --reason unpaid
        customer.import: customer import {folder}/customers.csv --yes
        sign: sign --machine-info {folder}/stark.json --customer Stark --term 60d --yes
        renew: renew acme --yes --term 1y
        reissue: reissue acme --yes --users 20
        apply: apply {folder}/rows.csv --yes
        license.edit: license edit {license} --note first
        license.export: license export {license} --output {folder}/again.lic
        license.sent: license sent {license}
        registry.import: registry import {folder}/acme.lic --yes
        license.retire: license retire {globex} --reason left --yes
        journal.seal: journal seal
        """,
    "key-admin": """
        key.generate: key generate third --store file:{folder}/third.key --no-backup
        key.backup: key backup main {folder}/second.backup
        key.import: key import {folder}/main.backup --store file:{folder}/again.key
        key.passphrase: key passphrase spare --new-passphrase-file {folder}/new-passphrase
        key.use: key use spare --accept key-rollout --reason change
        key.retire: key retire main --reason change --yes
        """,
    "manager": """
        customer.archive: customer archive initech --reason left --yes
        customer.merge: customer merge globex acme --reason one --yes
        renew: renew acme --yes --term 1y --accept not-due --reason asked --machine prod-1
        """,
    "owner": """
        registry.upgrade: registry upgrade
        registry.restore: registry restore {folder}/b.db --accept registry-rollback --reason r
        registry.move: registry move --to sqlite:
        """,
}


def named(role: str, entry: Entry = COMMANDS, *above: str) -> set[str]:
    """Return the commands of the table that need a role."""
    below = (named(role, each, *above, each.name) for each in entry.entries)
    return set().union(*below) | ({".".join(above)} if role_of(entry) == role else set())


LOWER = {"issuer": "auditor", "key-admin": "issuer", "manager": "issuer", "owner": "manager"}


@dataclass
class Team:
    """A server with a filled registry, which is copied together with its home."""

    server: Cluster
    desk: Desk
    database: str
    licenses: tuple[str, str]

    def copy(self, folder: Path, user: str) -> "Member":
        """Return a user's own copy."""
        database = self.server.create(self.database)
        self.server.share(database)
        desk = self.desk.copy_to(folder)
        member = Member(self.server, desk, database, self.licenses)
        member.become(user, self.server.uri(self.database, "owner"))
        return member


@dataclass
class Member(Team):
    """A home of a user with a role."""

    def become(self, user: str, before: str) -> None:
        """Change the user of the home."""
        settings = self.desk.home / "settings.toml"
        text = settings.read_text()
        assert before in text
        settings.write_text(text.replace(before, self.uri(user)))

    def uri(self, user: str) -> str:
        """Return the URI of the registry for a user."""
        return self.server.uri(self.database, user.replace("-", "_"))

    def commands(self, role: str) -> Iterator[tuple[str, list[str]]]:
        """Yield each command of a role: its name, and its words."""
        names = {
            "folder": self.desk.folder,
            "license": self.licenses[0],
            "globex": self.licenses[1],
        }
        for line in COMMANDS_OF[role].strip().splitlines():
            name, _, words = line.strip().partition(": ")
            yield name, words.format(**names).split()

    def run(self, words: list[str]) -> Outcome:
        """Run a command."""
        return self.desk.run(*words)

    def state(self) -> tuple[object, list[str]]:
        """Return the journal's head and the files of the desk."""
        with Registry.open(self.uri("owner")) as registry, registry.reading() as db:
            head = journal.head(db)
        return head, sorted(map(str, self.desk.folder.rglob("*")))


@pytest.fixture(scope="module")
def team(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A registry with customers, licenses and two keys, made by its owner."""
    desk = Desk(tmp_path_factory.mktemp("team"))
    database = postgres.create()
    postgres.share(database)
    desk.output.mkdir()
    desk.passphrase_file.write_text(PASSPHRASE)
    desk.passphrase_file.chmod(0o600)
    (desk.folder / "new-passphrase").write_text(f"{PASSPHRASE} again")
    (desk.folder / "new-passphrase").chmod(0o600)
    (desk.folder / "customers.csv").write_text("name,crm\nTyrell,5\n")
    (desk.folder / "rows.csv").write_text(
        "customer,tier,plan,expires\nCyberdyne,enterprise,,2027-06-30\n"
    )
    uri = postgres.uri(database, "owner")
    desk.ok("init", "--registry", uri, "--operator", "Ada", "--output", str(desk.output))
    for key in ("main", "spare"):
        desk.ok("key", "generate", key, "--store", f"file:{desk.folder}/{key}.key", "--no-backup")
    desk.ok("key", "backup", "main", str(desk.folder / "main.backup"))
    acme = str(desk.folder / "acme.lic")
    info = desk.machine_info()
    desk.ok("sign", "--machine-info", info, "--term", "60d", "--yes", "--output", acme)
    desk.machine_info("stark.json", fingerprint="sha256:" + "cd" * 32, customer=None)
    desk.ok("sign", "--customer", "Globex", "--tier", "enterprise", "--term", "60d", "--yes")
    desk.ok("customer", "add", "Initech")
    postgres.grant(database)
    desk.ok("registry", "backup", str(desk.folder / "b.db"))
    listed = desk.ok("license", "list", "--json").json["licenses"]
    ids = {each["customer"]: each["id"] for each in listed}
    return Team(postgres, desk, database, (ids["acme-gmbh"], ids["globex"]))


def test_every_command_with_a_role_is_tried() -> None:
    """The commands below are those of the table, and the roles are those of the server."""
    tried = {
        role: set(re.findall(r"^\s*([\w.-]+): ", COMMANDS_OF[role], re.MULTILINE)) for role in ROLES
    }
    tried["manager"].discard("renew")  # a manager is an issuer, too
    assert tried == {role: named(role) for role in ROLES}
    assert list(ROLES) == [each.role for each in ROLES_OF_SERVER]


@pytest.mark.parametrize("role", ROLES)
def test_each_command_works_in_its_role(team: Team, tmp_path: Path, role: str) -> None:
    """No command needs more than the role in its help."""
    member = team.copy(tmp_path, role)
    failed = {
        name: (outcome.text, outcome.err)
        for name, words in member.commands(role)
        if (outcome := member.run(words)).code and name != "doctor"
    }
    assert not failed, failed


@pytest.mark.parametrize(("role", "lower"), LOWER.items())
def test_a_lower_role_changes_nothing(team: Team, tmp_path: Path, role: str, lower: str) -> None:
    """Without its role a command stops before it changes the registry, or writes a file."""
    member = team.copy(tmp_path, lower)
    before = member.state()
    for name, words in member.commands(role):
        if name in named(lower):
            continue
        outcome = member.run([*words, "--json"])
        error = outcome.json["error"]
        assert (outcome.code, error["code"]) == (ExitCode.REGISTRY, "registry_role"), (
            words,
            outcome,
        )
        assert f"lacks the role {role} " in error["message"]
        assert "help team" in error["hint"]
    assert member.state() == before


def test_an_auditor_works_without_a_key_and_without_write_rights(
    team: Team, tmp_path: Path
) -> None:
    """A session that cannot write at all is enough; copies are not recorded, with a warning."""
    member = team.copy(tmp_path, "auditor")
    server, database = member.server, member.database
    server.execute(
        f"ALTER ROLE auditor IN DATABASE {database} SET default_transaction_read_only = on"
    )
    for key in ("main.key", "spare.key"):
        (member.desk.folder / key).unlink()
    head, _ = member.state()
    for name, words in member.commands("auditor"):
        outcome = member.run(words)
        if name not in ("doctor", "key.show"):  # they report that the key is missing
            assert outcome.code == ExitCode.DONE, (words, outcome)
        assert ("does not record this copy" in outcome.err) == (
            name in ("registry.backup", "journal.verify")
        )
    assert member.state()[0] == head
    assert (tmp_path / "heads").exists()
    assert (tmp_path / "registry.backup").exists()


def test_a_server_that_grants_less_leaves_nothing_half_written(team: Team, tmp_path: Path) -> None:
    """A command that the server refuses in its middle writes no row and no file."""
    member = team.copy(tmp_path, "issuer")
    server, database = member.server, member.database
    server.execute("REVOKE INSERT ON polygent.outbox FROM polygent_issuer", database=database)
    before = member.state()
    outcome = member.run(["renew", "acme", "--yes", "--json"])
    assert (outcome.code, outcome.json["error"]["code"]) == (ExitCode.REGISTRY, "registry_role")
    assert "registry roles --sql" in outcome.json["error"]["hint"]
    assert member.state() == before


def test_a_session_that_cannot_write_is_named(team: Team, tmp_path: Path) -> None:
    """A standby looks like this, too."""
    member = team.copy(tmp_path, "issuer")
    server, database = member.server, member.database
    server.execute(
        f"ALTER ROLE issuer IN DATABASE {database} SET default_transaction_read_only = on"
    )
    before = member.state()
    outcome = member.run(["renew", "acme", "--yes"])
    assert outcome.code == ExitCode.REGISTRY
    assert "the session cannot write" in outcome.err
    assert member.state() == before


def test_public_keys_of_an_import_need_a_key_admin(team: Team, tmp_path: Path) -> None:
    """An issuer can import licenses, but no key."""
    member = team.copy(tmp_path, "issuer")
    public = str(tmp_path / "main.pem")
    member.desk.ok("key", "export-public", "main", "--output", public)
    file = str(tmp_path / "acme.lic")
    outcome = member.run(["registry", "import", file, "--public-key", public, "--json"])
    assert outcome.json["error"]["code"] == "registry_role"


def test_the_journal_shows_both_users(team: Team, tmp_path: Path) -> None:
    """The operator's name is a claim, the server's user is not."""
    member = team.copy(tmp_path, "issuer")
    member.desk.ok("config", "set", "operator", "Mallory")
    member.desk.ok("customer", "add", "Wayne")
    row = member.desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["operator"], row["server_user"]) == ("Mallory", "issuer")
    assert "Mallory (issuer)" in member.desk.ok("journal", "show").text
    assert member.desk.ok("journal", "show", "--csv").text.splitlines()[-1].endswith(',"issuer"')


@pytest.mark.sqlite("about the file")
def test_a_file_has_no_server_user(desk: Desk) -> None:
    """SQLite leaves it empty."""
    assert {each["server_user"] for each in desk.ok("journal", "show", "--json").json["rows"]} == {
        None
    }


def test_init_names_the_privilege_that_it_lacks(postgres: Cluster, empty_desk: Desk) -> None:
    """Only a user who may create a schema creates a registry, and thereby owns it."""
    database = postgres.create()
    postgres.share(database)
    uri = postgres.uri(database, "stranger")
    error = empty_desk.run("init", "--registry", uri, "--json").json["error"]
    assert error["code"] == "registry_role"
    assert f"GRANT CREATE ON DATABASE {database} TO stranger;" in error["hint"]


def test_the_roles_are_explained(team: Team, tmp_path: Path) -> None:
    """Each role has its commands, and the user's own are named."""
    member = team.copy(tmp_path, "manager")
    shown = member.desk.ok("registry", "roles", "--json").json
    assert shown["user"] == "manager"
    yours = {each["role"]: each["yours"] for each in shown["roles"]}
    assert [role for role, has in yours.items() if has] == ["auditor", "issuer", "manager"]
    commands = {each["role"]: each["commands"] for each in shown["roles"]}
    assert commands["manager"] == ["customer merge", "customer archive"]
    assert "of the user manager in this registry: auditor, issuer, manager" in (
        member.desk.ok("registry", "roles").text
    )


@pytest.mark.sqlite("about the file")
def test_a_file_has_no_roles(desk: Desk) -> None:
    """The roles are those of a team's registry."""
    assert {each["yours"] for each in desk.ok("registry", "roles", "--json").json["roles"]} == {
        None
    }
    assert "this registry is a file: it has no roles" in desk.ok("registry", "roles").text


def test_the_sql_needs_no_home(empty_desk: Desk) -> None:
    """A database's administrator can read it before there is a registry."""
    assert empty_desk.ok("registry", "roles", "--sql").text == sql()
    assert empty_desk.ok("registry", "roles", "--sql", "--json").json["sql"] == sql()


def test_the_owner_upgrades_older_tables(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands refuse the tables before, and work afterwards."""
    member = team.copy(tmp_path, "owner")
    changes = (*CHANGES, ("ALTER TABLE polygent.customers ADD COLUMN extra text",))
    monkeypatch.setattr("polygent_issuer.registry.postgres.tables.CHANGES", changes)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ()))
    refused = member.run(["customer", "list", "--json"]).json["error"]
    assert refused["code"] == "registry_older"
    assert "registry upgrade" in refused["hint"]
    version = len(schema.MIGRATIONS)
    upgraded = member.desk.ok("registry", "upgrade", "--json").json
    assert (upgraded["upgraded"], upgraded["from"], upgraded["to"]) == (True, version - 1, version)
    assert member.desk.ok("registry", "upgrade", "--json").json["upgraded"] is False
    member.desk.ok("customer", "list")


@pytest.mark.sqlite("about the file")
def test_a_file_needs_no_upgrade(desk: Desk) -> None:
    """The next command that opens it upgrades it."""
    assert "by the next command" in desk.ok("registry", "upgrade").text


@pytest.mark.parametrize("name", ["renew", "doctor", "init"])
def test_the_help_of_a_command_ends_with_its_role(name: str) -> None:
    """A command that needs no role does not mention one."""
    entry: Entry = next(each for each in COMMANDS.entries if each.name == name)
    command: Any = load(entry, None)
    expected = {"renew": "issuer", "doctor": "auditor"}.get(name)
    assert command.epilog == (expected and f"Role in a team's registry: {expected}.")
