"""Commands of a home whose registry is in PostgreSQL, when that cannot be used."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.cli import Desk
from support.databases import Databases
from support.postgres import Cluster, cluster

from polygent_issuer.registry import REGISTRY_FILE
from polygent_issuer.registry.postgres.errors import unreachable

pytestmark = [pytest.mark.slow, pytest.mark.sqlite("moves the file itself")]

SECRET = "open sesame"


@pytest.fixture
def team(desk: Desk, databases: Databases) -> Iterator[Desk]:
    """A desk whose registry is in a database."""
    yield desk.move_registry(databases)
    databases.take_back_all()


def use(desk: Desk, uri: str) -> None:
    """Change the setting, as an editor can."""
    path = desk.home / "settings.toml"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("registry = ")]
    path.write_text("\n".join([f'registry = "{uri}"', *kept]))


def refused(desk: Desk, *argv: str) -> str:
    """Return the error of a command, which must be exit 7 in one line with a hint."""
    outcome = desk.run(*argv)
    first, *hints = outcome.err.splitlines()
    assert (outcome.code, outcome.text) == (7, "")
    assert first.startswith("error: ")
    assert [line[:6] for line in hints] == ["hint: "]
    assert SECRET not in outcome.err
    return outcome.err


@pytest.mark.parametrize(
    ("uri", "reason", "hint"),
    [
        ("postgresql://postgres@/none?host={}", 'database "none" does not exist', "the name"),
        ("postgresql://eve@/{0}?host={1}", 'role "eve" does not exist', "administrator"),
        ("postgresql://postgres@/postgres?host={}", "has no registry", "init --registry"),
        ("postgresql://127.0.0.1:1/x", "Connection refused", "the server"),
        ("postgresql:///?service=none", "not found", "services"),
    ],
    ids=["database", "user", "registry", "server", "service"],
)
def test_what_is_missing_is_named(
    team: Desk, postgres: Cluster, uri: str, reason: str, hint: str
) -> None:
    """Each is one error with the command or the place that fixes it."""
    database = str(team.registry).partition("@/")[2].partition("?")[0]
    places = (database, postgres.folder) if "{0}" in uri else (postgres.folder,)
    use(team, uri.format(*places))
    message = refused(team, "customer", "list")
    assert reason in message
    assert hint in message
    assert team.run("doctor", "--json").code == 7


def test_a_wrong_password(team: Desk, postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a missing nor a wrong password is shown, asked for or read from the settings."""
    monkeypatch.setenv("PGPASSFILE", str(team.folder / "pgpass"))
    rules = postgres.data / "pg_hba.conf"
    rules.write_text("local all ada scram-sha-256\n" + rules.read_text())
    postgres.execute("CREATE ROLE ada LOGIN PASSWORD 'right'", "SELECT pg_reload_conf()")
    use(team, str(team.registry).replace("postgres@", "ada@"))
    assert "no password supplied" in refused(team, "customer", "list")
    (team.folder / "pgpass").write_text(f"*:*:*:ada:{SECRET}\n")
    (team.folder / "pgpass").chmod(0o600)
    message = refused(team, "customer", "list")
    assert "password authentication failed" in message
    assert "check the user (PGUSER) and the password in ~/.pgpass" in message
    use(team, f"postgresql://ada:{SECRET.replace(' ', '')}@db.example/x")
    outcome = team.run("customer", "list")
    assert outcome.code == 3
    assert "sesame" not in outcome.err


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ('FATAL:  permission denied for database "x"', "administrator can run: GRANT CONNECT"),
        ('FATAL:  no pg_hba.conf entry for host "::1", database "x"', "check the user (PGUSER)"),
        (
            'server certificate for "a" (and 1 other name) does not match host name "b"',
            "as the server's certificate does",
        ),
        ('root certificate file "/x" does not exist', "sslrootcert=FILE"),
        (
            "server does not support SSL, but SSL was required",
            "administrator can set ssl = on",
        ),
        ("SSL error: certificate verify failed", "sslrootcert=FILE"),
        ("Connection refused", "(polygent-issue doctor), then run the command again"),
    ],
    ids=["connect", "rules", "host", "root", "tls", "authority", "network"],
)
def test_the_hint_for_a_refused_connection(reason: str, hint: str) -> None:
    """It names what puts this reason right, not what another reason with the same word needs."""
    error = psycopg.OperationalError(f"connection to server failed: {reason}")
    assert hint in (unreachable(error, "postgresql://db.example/x").hint or "")


def test_a_server_that_is_down(desk: Desk) -> None:
    """It is one error in each command, and the same command works when the server is back."""
    with cluster() as server:
        databases = Databases(server)
        desk.move_registry(databases)
        server.stop()
        document = desk.machine_info()
        for argv in (
            ("customer", "list"),
            ("sign", "--machine-info", document, "--yes"),
            ("renew", "acme", "--yes"),
            ("journal", "verify"),
            ("registry", "backup", str(desk.folder / "backup")),
            ("init",),
        ):
            assert "failed: No such file or directory" in refused(desk, *argv)
        assert desk.run("doctor").code == 7
        assert not (desk.home / REGISTRY_FILE).exists()
        server.start()
        desk.ok("sign", "--machine-info", document, "--yes")


def test_without_the_library(team: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'polygent-issuer[postgres]'" in refused(team, "customer", "list")


def test_a_second_home_joins(team: Desk, tmp_path: Path) -> None:
    """It has the customers of the first one; a home is created only once."""
    team.ok("customer", "add", "Acme GmbH")
    other = Desk(tmp_path / "other")
    other.output.mkdir(parents=True)
    argv = ("init", "--output", str(other.output), "--registry", str(team.registry))
    kid = team.ok("key", "list", "--json").json["keys"][0]["kid"]
    joined = other.ok(*argv).text
    assert f" config set stores.{kid} URI\n" in joined
    assert "key generate" not in joined
    assert "Acme GmbH" in other.ok("customer", "list").text
    for desk in (team, other):
        assert "already exists" in refused(desk, *argv)
    assert "Acme GmbH" in team.ok("customer", "list").text


def test_the_setting_is_not_changed_alone(team: Desk) -> None:
    """`config set registry` would leave the content behind, in both directions."""
    for value in ("none", "postgresql://db.example/x"):
        outcome = team.run("config", "set", "registry", value)
        assert outcome.code == 3
        assert "init --registry URI" in outcome.err
    team.ok("customer", "list")
