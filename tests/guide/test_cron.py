"""The topic *cron*: its scripts run, its crontab names them, and its units belong together."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import Desk
from support.many_customers import add_customers_at
from support.tools import unmeasured

from polygent_issuer.guide import markdown

BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
SCHEDULE = re.compile(r"(?:[\d*/-]+ +){5}(.+)")
FOLDERS = ("/srv/licenses", "/srv/drafts", "/srv/reports", "/media/safe", "/media/notes")


def blocks(kind: str) -> dict[str, str]:
    """Return the scripts or units of the topic, by the name in their comment."""
    texts = [text for language, text in BLOCK.findall(markdown("cron")) if language == kind]
    named = ((re.search(r"^# (\S+)$", text, re.MULTILINE), text) for text in texts)
    return {Path(match[1]).name: text for match, text in named if match}


def test_the_crontab_names_the_scripts() -> None:
    """Each line has five fields and a command, without a `%`; each script is in a line."""
    [crontab] = [text for language, text in BLOCK.findall(markdown("cron")) if language == "text"]
    lines = [line for line in crontab.splitlines() if not re.match(r"[A-Z_]+=", line)]
    commands = [match[1] for line in lines if (match := SCHEDULE.fullmatch(line))]
    assert len(commands) == len(lines)
    assert "%" not in crontab
    scripts = [command for command in commands if not command.startswith("polygent-issue ")]
    assert scripts == list(blocks("sh"))


def test_the_units_belong_together() -> None:
    """The timer has the name of its service, and the service names the unit that mails."""
    units = blocks("ini")
    assert list(units) == [
        "polygent-renew.service",
        "polygent-renew.timer",
        "polygent-mail@.service",
    ]
    service = units["polygent-renew.service"]
    assert "OnFailure=polygent-mail@%n.service\n" in service
    assert "LoadCredential=passphrase:" in service
    assert "POLYGENT_ISSUER_PASSPHRASE_FILE=%d/passphrase\n" in service
    for command in re.findall(r"ExecStart=(\S+)", "".join(units.values())):
        assert command.startswith("/")


@pytest.mark.slow
def test_the_scripts_run_and_are_silent_without_work(desk: Desk) -> None:
    """A mail has what was renewed; the next night, there is nothing to mail."""
    desk.now = datetime.now(UTC) - timedelta(seconds=5)
    add_customers_at(desk, range(1, 3))
    desk.ok("journal", "seal")  # the first seal of earlier licenses warns
    environ = prepared(desk)

    def run(name: str) -> str:
        command = ("/bin/sh", str(desk.folder / "bin" / name))
        done = subprocess.run(
            command, env=environ, cwd=desk.folder, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout

    assert "renewed 2" in run("polygent-renew")
    assert run("polygent-renew") == ""
    for name in ("polygent-backup", "polygent-report", "polygent-ship", "polygent-ship"):
        assert run(name) == "", name
    assert len(list((desk.folder / "media/safe").glob("*.db"))) == 1
    assert len(list((desk.folder / "srv/reports").glob("*.html"))) == 1
    shipped = (desk.folder / "srv/reports/journal.ndjson").read_text().splitlines()
    numbers = [int(re.findall(r'"seq": (\d+)', line)[0]) for line in shipped]
    assert numbers == [*range(1, len(numbers) + 1)]
    desk.ok("customer", "add", "Later")
    run("polygent-ship")
    assert len((desk.folder / "srv/reports/journal.ndjson").read_text().splitlines()) == (
        len(numbers) + 1
    )


def prepared(desk: Desk) -> Mapping[str, str]:
    """Write the scripts for the folders of a desk; return the environment of the crontab."""
    programs = desk.folder / "bin"
    programs.mkdir()
    command = programs / "polygent-issue"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m polygent_issuer "$@"\n')
    command.chmod(0o755)
    for name, text in blocks("sh").items():
        for folder in FOLDERS:
            (desk.folder / folder[1:]).mkdir(parents=True, exist_ok=True)
            text = text.replace(folder, str(desk.folder / folder[1:]))  # noqa: PLW2901
        (programs / name).write_text(text)
    return {
        **unmeasured(),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "POLYGENT_ISSUER_HOME": str(desk.home),
        "POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file),
    }
