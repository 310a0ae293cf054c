"""The topic *team* on a real server: a test runs exactly its commands, each as its person."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.doctor_rows import SERVER_ROWS
from support.keys import kid_of
from support.postgres import PROGRAMS, Cluster, cluster
from support.runbooks import blocks, lines

from polygent_issuer.guide import markdown

pytestmark = pytest.mark.slow

TOPIC = "team"
URI = "postgresql://db.example/polygent"
CONNECTING = (
    "REVOKE CONNECT ON DATABASE polygent FROM PUBLIC",
    "GRANT CONNECT ON DATABASE polygent TO polygent_auditor",
)


class Person:
    """An account on a machine: a home folder, and a name at the server."""

    def __init__(self, folder: Path, server: Cluster, user: str) -> None:
        """Create the home folder."""
        self.folder = folder / user
        self.folder.mkdir()
        self.server = server
        programs = [str(Path(sys.executable).parent), str(PROGRAMS)]
        self.environ = {
            **os.environ,
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
            "HOME": str(self.folder),
            "PGHOST": str(server.folder),
            "PGUSER": user,
            "DBUS_SESSION_BUS_ADDRESS": "",
            "POLYGENT_ISSUER_HOME": str(self.folder / "home"),
            "POLYGENT_ISSUER_PASSPHRASE_FILE": str(self.folder / "passphrase"),
        }
        (self.folder / "passphrase").write_text(PASSPHRASE)
        (self.folder / "passphrase").chmod(0o600)

    def run(self, *commands: str) -> str:
        """Run commands in a shell, which must all succeed; return the stdout of the last."""
        out = ""
        for command in commands:
            here = command.replace(URI, f"postgresql:///polygent?host={self.server.folder}")
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", here],
                env=self.environ,
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            out = done.stdout
        return out


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A server of its own: roles belong to the whole server."""
    with cluster() as running:
        yield running


@pytest.fixture
def ada(tmp_path: Path, server: Cluster) -> Person:
    """The operator of a laptop, who has issued a license."""
    person = Person(tmp_path, server, "ada")
    desk = Desk(person.folder, environ={"DBUS_SESSION_BUS_ADDRESS": ""}).set_up()
    desk.ok("sign", "--machine-info", desk.machine_info(customer="Acme"), "--term", "60d")
    return person


def test_from_one_laptop_to_a_team(ada: Person, server: Cluster, tmp_path: Path) -> None:
    """The ten commands, each as the person of the text; then backup, upgrade and the way back."""
    dba, grace, ivy = (Person(tmp_path, server, name) for name in ("postgres", "grace", "ivy"))
    title = "From one laptop to a team"
    creation, moving, granting, joining, reading = map(lines, blocks(title, TOPIC))
    assert sum(map(len, (creation, moving, granting, joining, reading))) == 10
    (people,) = blocks(title, TOPIC, language="sql")
    (dba.folder / "people.sql").write_text(people)
    kid = kid_of(ada.folder / "main.key")

    dba.run(*creation)
    ada.run(*moving)
    dba.run(*granting)
    for sql in CONNECTING:
        assert f"`{sql}`" in " ".join(markdown(TOPIC).split())
        server.execute(sql)
    shutil.copy(ada.folder / "main.key", grace.folder)
    init, store, renew = joining
    grace.run(init, store.replace("KID", kid), renew)
    ivy.run(*reading)

    assert len(list((grace.folder / "licenses").glob("*.lic"))) == 1
    assert "Acme" in (ivy.folder / "report.csv").read_text()
    rows = json.loads(ivy.run("polygent-issue journal show --json"))["rows"]
    acts = [(r["event"], r["operator"], r["server_user"]) for r in rows]
    assert acts[-2:] == [
        ("registry-moved", "Ada", "polygent_owner"),
        ("license-renewed", "Grace", "grace"),
    ]
    for person in (ada, grace):
        report = json.loads(person.run("polygent-issue doctor --quick --json"))["rows"]
        states = {each["name"]: each["state"] for each in report}
        assert {states[name] for name in SERVER_ROWS} == {"ok"}, report

    dump(dba, ivy)
    assert monitoring(server) == len(rows)
    upgrade(ada, dba)
    back, renaming = map(lines, blocks("Back into a file", TOPIC))
    ada.environ["PGUSER"] = "polygent_owner"
    ada.run(*back, "polygent-issue journal verify")
    assert (ada.folder / "home" / "registry.db").exists()
    ada.run(*renaming, moving[0])


def dump(dba: Person, ivy: Person) -> None:
    """Dump the database, restore it as another, and verify the journal there."""
    (commands,) = map(lines, blocks("Backups", TOPIC))
    dba.run(*commands)
    other = f"postgresql:///polygent2?host={dba.server.folder}"
    ivy.run(
        f"polygent-issue --home restored init --registry '{other}'",
        "polygent-issue --home restored journal verify",
    )


def monitoring(server: Cluster) -> int:
    """Run the monitoring query; return the number of journal rows."""
    (query,) = blocks("Monitoring", TOPIC, language="sql")
    ((count, last, _, undelivered, _, waiting),) = server.rows(query, "polygent")
    assert last is not None
    assert (undelivered, waiting) == (0, 0)
    return int(str(count))


def upgrade(ada: Person, dba: Person) -> None:
    """Run the commands of an upgrade, on tables of the newest version."""
    (commands,) = map(lines, blocks("Upgrades", TOPIC))
    assert "newest version" in ada.run(commands[0])
    dba.run(*commands[1:])
