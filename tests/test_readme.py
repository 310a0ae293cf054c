"""README is short and true: its tables are complete, its commands and its code are real."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk
from support.lic_files import Issuer
from support.runbooks import blocks_in, lines, walk

from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.errors import ExitCode
from polygent_issuer.guide import TOPICS, markdown

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
MACHINE = "sha256:" + "ab" * 32
ISSUER = Issuer()


def commands(entry: Entry = COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the words of every command, with its summary."""
    for child in entry.entries:
        here = (*path, child.name)
        if child.entries:
            yield from commands(child, here)
        else:
            yield " ".join(here), child.help


def rows(heading: str) -> list[tuple[str, ...]]:
    """Return the rows of the table of a chapter, with their Markdown."""
    chapter = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in chapter.splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in table[1:]]


def test_readme_is_short() -> None:
    """README has at most 320 lines and no pasted help."""
    assert len(README.splitlines()) <= 320
    assert "Usage:" not in README


def test_the_table_of_commands_is_the_command_tree() -> None:
    """README lists every command, in the same order and with the same summary."""
    assert rows("Commands at a glance") == [(f"`{name}`", text) for name, text in commands()]


def test_the_table_of_topics_is_the_guide() -> None:
    """README lists every topic with the same description."""
    assert rows("Guide") == [(f"`{name}`", text) for name, text in TOPICS.items()]


def test_the_exit_codes_are_those_of_the_guide() -> None:
    """Every exit code has its row, and both tables agree."""
    table = rows("Findings and exit codes")
    assert [row[0] for row in table] == [f"{code:d}" for code in ExitCode]
    assert all("| " + " | ".join(row) + " |" in markdown("scripting") for row in table)


def test_the_five_commands_run(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line runs as printed, except that the key is in a file."""
    monkeypatch.chdir(empty_desk.folder)
    monkeypatch.setenv("HOME", str(empty_desk.folder))
    empty_desk.passphrase_file.write_text("correct horse battery staple")
    empty_desk.machine_info("machine-info.json", hostname="prod")
    (block,) = blocks_in(README, "A first license in five commands")
    assert len(lines(block)) == 5
    in_file = {"key generate main": "key generate main --store file:main.key"}
    *_, signed, verified = walk(empty_desk, block, in_file)
    printed = README.split("```text\n")[1].split("```")[0]
    labels = re.compile(r"^(?:signed license|  [a-z ]+?(?=  |:)|after sending it)", re.MULTILINE)
    assert labels.findall(signed.text) == labels.findall(printed)
    assert ": accepted\n" in verified.text


def code_of(text: str) -> str:
    """Return the code that verifies."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return next(block for block in blocks if "public_pem" in block)


def run_server_code(text: str, file: bytes) -> tuple[str | None, list[str]]:
    """Run the code that verifies; return the accepted customer and the codes of the refusals."""
    refusals: list[str] = []
    names: dict[str, Any] = {
        "public_pem": ISSUER.signer.public_key.to_pem(),
        "uploaded_bytes": file,
        "installed_bytes": file,
        "this_machines_fingerprint": MACHINE,
        "request_host": None,
        "stored_last_seen": None,
        "stored_tampered": False,
        "show": lambda code, _license: refusals.append(str(code)),
        "deny": lambda code: refusals.append(str(code)),
    }
    exec(code_of(text), names)  # noqa: S102 - the test runs README's code
    return names["license"].customer if "license" in names else None, refusals


def test_the_code_for_a_server_runs() -> None:
    """README's 15 lines and the guide's whole example accept a good file and refuse another."""
    now = int(datetime.now(UTC).timestamp())
    file = ISSUER.file(1, iat=now, exp=now + 86_400)
    assert len(code_of(README).splitlines()) <= 15
    assert run_server_code(README, file) == ("Acme GmbH", [])
    assert run_server_code(README, b"no license") == (None, ["malformed"])
    assert run_server_code(markdown("server"), file) == ("Acme GmbH", [])
    assert run_server_code(markdown("server"), b"no license") == (None, ["malformed", "malformed"])
