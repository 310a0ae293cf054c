"""Promises to programs: commands, options, exit codes, JSON members and journal bytes.

`recorded/` contains the records; `CONTRACT=record pytest tests/contract -n0` writes them again. A
change of a record is a change of a promise, and is an entry in CHANGELOG.
"""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contract.bench import Bench, Step, fixed
from contract.steps import BROKEN, ROWS, STEPS
from support.cli import PASSPHRASE, Outcome
from support.databases import Databases

from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.cli.main import load
from polygent_issuer.home.settings import registry_place
from polygent_issuer.home.settings_editing import set_value
from polygent_issuer.registry import REGISTRY_FILE, Registry

HERE = Path(__file__).parent
HOMES = sorted(path.name for path in (HERE / "homes").iterdir())
RECORDED = HERE / "recorded"
# Members whose members are data: names of components, rows, files and settings.
MAPS = ("components", "parts", "rows", "files", "settings_differences")
RECORD = os.environ.get("CONTRACT") == "record"


def compare(name: str, seen: Any) -> None:
    """Compare a result with the record, or write the record."""
    path = RECORDED / name
    if RECORD:
        path.parent.mkdir(exist_ok=True)
        text = json.dumps(seen, indent=1, ensure_ascii=False, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert seen == json.loads(path.read_text(encoding="utf-8"))


def leaves(entry: Entry, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Entry]]:
    """Yield each command of the table with its full name."""
    for child in entry.entries:
        name = (*words, child.name)
        if child.entries:
            yield from leaves(child, name)
        else:
            yield " ".join(name), child


def test_the_command_tree_is_as_recorded() -> None:
    """Each command has its recorded arguments and options."""
    seen = {
        name: [
            [
                parameter.param_type_name,
                *(parameter.opts if parameter.param_type_name == "option" else [parameter.name]),
                *parameter.secondary_opts,
                *(
                    word
                    for word, applies in {
                        "required": parameter.required,
                        "repeatable": parameter.multiple or parameter.nargs != 1,
                        "flag": getattr(parameter, "is_flag", False),
                    }.items()
                    if applies
                ),
            ]
            for parameter in load(entry, None).params
        ]
        for name, entry in leaves(COMMANDS)
    }
    compare("commands.json", seen)


def test_each_command_is_in_a_step() -> None:
    """Every command is in a step, except for the sandbox, which does not end."""
    run = {" ".join(each.argv) + " " for each in STEPS}
    missing = {
        name
        for name, _entry in leaves(COMMANDS)
        if not any(line.startswith(f"{name} ") for line in run)
    }
    assert missing == {"sandbox"}


def make_bench(name: str, folder: Path) -> Bench:
    """Copy a recorded home, 11 months later, with the files that the steps name."""
    (folder / "out").mkdir(parents=True)
    for file in (HERE / "homes" / name).iterdir():
        shutil.copy(file, folder)
        (folder / file.name).chmod(0o600)
    (folder / "home").mkdir(mode=0o700)
    (folder / "registry.db").rename(folder / "home" / "registry.db")
    settings = (folder / "settings.toml").read_text(encoding="utf-8")
    (folder / "settings.toml").unlink()
    copied = folder / "home" / "settings.toml"
    copied.write_text(settings.replace("{folder}", str(folder)), encoding="utf-8")
    copied.chmod(0o600)
    secret = folder / "passphrase"
    secret.write_text(PASSPHRASE + "\n", encoding="ascii")
    secret.chmod(0o600)
    new_secret = folder / "new-passphrase"
    new_secret.write_text("another horse, and long\n", encoding="ascii")
    new_secret.chmod(0o600)
    (folder / "drafts").mkdir()
    (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
    (folder / "broken.toml").write_text(BROKEN, encoding="utf-8")
    bench = Bench(folder)
    bench.now = bench.now.replace(year=2027, month=11, day=1)
    bench.machine_info("fresh.json")
    bench.machine_info("new.json", fingerprint="sha256:" + "5b2a9d70" * 8, hostname="w-1")
    bench.now = bench.now.replace(month=10)
    bench.machine_info("old.json", fingerprint="sha256:" + "e47c1f38" * 8, hostname="w-2")
    bench.now = bench.now.replace(month=11)
    return bench


@pytest.mark.parametrize(
    "name",
    [
        # The oldest runs each migration, and the newest none.
        pytest.param(name, marks=[] if name in {"tables-1", HOMES[-1]} else [pytest.mark.slow])
        for name in HOMES
    ],
)
def test_each_step_in_each_home_is_as_recorded(name: str, tmp_path: Path) -> None:
    """Exit codes, JSON members and journal bytes are the same for a registry of each version."""
    compare("steps.json", take_steps(make_bench(name, tmp_path)))


@pytest.mark.slow
def test_each_step_in_a_database_is_as_recorded(tmp_path: Path, databases: Databases) -> None:
    """Exit codes, JSON members and journal bytes are the same with a registry in PostgreSQL."""
    # A restore keeps the old content elsewhere, the settings of a team are in the journal, and
    # doctor has rows about the server.
    others = {("registry", "restore"), ("config", "set")}
    steps = [each for each in STEPS if each.argv[:2] not in others and each.argv[0] != "doctor"]
    benches = [make_bench("a8d37d9", tmp_path / name) for name in ("file", "database")]
    file = benches[1].home / REGISTRY_FILE
    Registry.open(file).close()  # migrates it
    uri = databases.take(file)
    set_value(benches[1].home, "registry", uri)
    file.unlink()
    try:
        in_file, in_database = (take_steps(each, steps) for each in benches)
    finally:
        databases.take_back_all()
    for expected, seen in zip(in_file, in_database, strict=True):
        # Some members are empty without a database: the setting, and the server's user and roles.
        for each in (expected, seen):
            each["members"] = sorted({member.partition(":")[0] for member in each["members"]})
        assert seen == expected


def take_steps(bench: Bench, steps: Sequence[Step] = STEPS) -> list[dict[str, Any]]:
    """Run steps; return the exit code, JSON members and new journal rows of each."""
    seen = []
    for number, each in enumerate(steps, 1):
        before = rows(bench)
        # Each step has its own IDs, independent of unused ones of earlier steps.
        with fixed(number << 8):
            outcome = bench.run(each)
        after = rows(bench)
        added = after[len(before) :] if after[: len(before)] == before else after
        seen.append(
            {
                "step": " ".join(each.argv),
                "exit": outcome.code,
                "members": members(outcome),
                "journal": [normal(row, bench.folder) for row in added],
            }
        )
    return seen


def rows(bench: Bench) -> list[str]:
    """Return the bytes of each journal row."""
    place = registry_place(bench.home)
    connection: Any = (
        sqlite3.connect(f"{place.as_uri()}?mode=ro", uri=True)
        if isinstance(place, Path)
        else psycopg.connect(place, options="-c search_path=polygent")
    )
    with closing(connection):
        bodies = connection.execute("SELECT bytes FROM journal ORDER BY seq").fetchall()
    return [bytes(body).decode() for (body,) in bodies]


def normal(row: str, folder: Path) -> str:
    """Return a row without the values that differ between runs: user, folder, and some hashes."""
    row = row.replace(json.dumps(str(folder))[1:-1], "{folder}")
    row = re.sub(r'"os_user":"[^"]*"', '"os_user":"ada"', row)
    row = re.sub(r'"uid":\d+', '"uid":1000', row)
    row = re.sub(r'("(?:head|replaced)":"\d+:)[0-9a-f]{64}"', r'\1{hash}"', row)
    return re.sub(r'"sha256":"[0-9a-f]{64}"', '"sha256":"{hash}"', row)


def members(outcome: Outcome) -> list[str]:
    """Return the paths of all JSON members on stdout with their types, and codes with values."""
    text = outcome.out.decode()
    if not text.startswith("{"):
        return []
    try:
        documents = [json.loads(text)]
    except ValueError:
        documents = [json.loads(line) for line in text.splitlines()]
    members_: set[str] = set()
    for document in documents:
        members_ |= set(paths(document, ""))
    return sorted(members_)


def paths(value: Any, path: str) -> Iterator[str]:
    """Yield each member below a value; all members of a map are one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "code":
                yield f"{path}.code = {inner}"
            is_map = path.endswith(MAPS) or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name)
            yield from paths(inner, f"{path}.{'*' if is_map else name}")
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{path}[]")
        if not value:
            yield f"{path}[]"
    else:
        yield f"{path}: {type(value).__name__}"
