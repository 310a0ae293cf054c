"""Every command line in the guide exists, and runs at a prepared desk.

The tests in `tests/runbooks` run the topic *runbooks* in order.
"""

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Desk

from polygent_issuer.cli.main import run
from polygent_issuer.guide import TOPICS, markdown

CODE = re.compile(r"```.*?\n(.*?)```|`([^`\n]+)`", re.DOTALL)
LINE = re.compile(r"polygent-issue ((?:'[^'\n]*'|\"[^\"\n]*\"|[^`|>&;\n)#'\"])*)")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b|…")
# These do not end, or need a token, an agent, a server, a terminal, a backup or an empty folder:
# other tests run them.
ELSEWHERE = (
    "sandbox",
    "pkcs11:",
    "agent:",
    "vault:",
    "awskms:",
    "demo",
    "init",
    "key generate",
    "key passphrase",
    "registry import",
    "registry restore",
    "registry move",
    "machine-info create",
    "--customer Acme",
)
FOLDERS = (
    *("/srv/licenses", "/srv/drafts", "/srv/reports", "/media/safe", "/media/notes"),
    "/var/lib/prometheus/node-exporter",
)


def command_lines(topic: str) -> Iterator[str]:
    """Yield the arguments of each command line in the code of a topic."""
    for block, inline in CODE.findall(markdown(topic)):
        text = (block or inline).replace("\\\n", "").replace("$(date +%F)", "2026-11-30")
        text = text.replace("${last:-0}", "3")
        for line in LINE.findall(text):
            yield line.strip()


LINES = sorted(
    {
        line
        for topic in TOPICS
        if topic not in {"runbooks", "format", "enforcement"}
        for line in command_lines(topic)
    }
)


@pytest.fixture(scope="session")
def office(made_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Return a desk with three customers whose licenses are due, and the guide's files."""
    desk = made_desk.copy_to(tmp_path_factory.mktemp("office"))
    for name, digits in (("Acme", "ab"), ("Initech", "cd")):
        document = desk.machine_info(
            f"{name}.json", customer=name, fingerprint=f"sha256:{digits * 32}", hostname="prod"
        )
        desk.ok("sign", "--machine-info", document, "--term", "20d")
    enterprise = ("--tier", "enterprise", "--allowed-domain", "*.new.internal", "--term", "20d")
    desk.ok("sign", "--customer", "Globex", *enterprise)
    documents = {
        "machine-info.json": {"customer": "Umbrella", "fingerprint": "sha256:" + "ef" * 32},
        "theirs.json": {"customer": "Acme", "hostname": "prod"},
        "new.json": {"customer": "Acme", "hostname": "prod", "fingerprint": "sha256:" + "12" * 32},
    }
    documents["new-machine-info.json"] = documents["new.json"]
    for file, members in documents.items():
        desk.machine_info(file, **members)
    (license_,) = desk.ok("license", "list", "--customer", "acme", "--json").json["licenses"]
    desk.ok("license", "export", license_["id"], "-o", str(desk.folder / "x.lic"))
    (desk.folder / "licenses.csv").write_text("customer,users\nacme,30\n")
    desk.ok("key", "backup", "main", str(desk.folder / "main.backup"))
    (desk.folder / "customers.csv").write_text("name,contacts\nacme,ops@acme.example\n")
    desk.ok("journal", "verify", "--note", str(desk.folder / "heads.txt"))
    return desk


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_of_the_guide_runs(
    line: str, office: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line is exit 0 (9 if it asks for that); with a placeholder, its options exist."""
    if PLACEHOLDER.search(line) or any(word in line for word in ELSEWHERE):
        check_options(shlex.split(line.rstrip("…. ")))
        return
    desk = office.copy_to(tmp_path)
    monkeypatch.chdir(desk.folder)
    for folder in FOLDERS:
        (desk.folder / folder[1:]).mkdir(parents=True)
        line = line.replace(folder, str(desk.folder / folder[1:]))
    for name in ("out", "drafts"):
        (desk.folder / name).mkdir(exist_ok=True)
    (desk.folder / "media/notes/heads.txt").write_bytes((desk.folder / "heads.txt").read_bytes())
    if "--customer acme" in line:
        (desk.folder / "Acme.json").replace(desk.folder / "machine-info.json")
    (license_,) = desk.ok("license", "list", "--customer", "acme", "--json").json["licenses"]
    argv = shlex.split(line.replace("1f3a9c2e", license_["id"]))
    outcome = desk.run(*argv, stdin=b"acme\n", after=timedelta(minutes=5))
    assert outcome.code in ((0, 9) if "--exit-code" in argv else (0,)), (argv, outcome)


def check_options(words: list[str]) -> None:
    """Check that the command exists, and has each of these options."""
    path: list[str] = []
    for word in words:
        if word.startswith("-") or run([*path, word, "--help"]) != 0:
            break
        path.append(word)
    assert path, words
