"""Desks, commands for fault injection, and the process that forks commands."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.batch_items import due, mixed
from support.batch_scenarios import BATCHES
from support.cli import Desk
from support.databases import Databases
from support.disks import mounted
from support.forks import Forks, open_forks
from support.scenarios import SCENARIOS, Scenario, Scenarios, give_to_nobody, prepare


@pytest.fixture
def desk(made_desk: Desk, tmp_path: Path, engine: Databases | None) -> Desk:
    """A desk with a home, settings and one signing key."""
    copy = made_desk.copy_to(tmp_path / "desk")
    return copy.move_registry(engine) if engine else copy


@pytest.fixture(scope="session")
def forks(made_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A process that forks commands and has imported their modules."""
    folder = tmp_path_factory.mktemp("forks")
    warm = made_desk.copy_to(folder / "warm")
    with open_forks(folder) as running:
        consent = ("--accept", "not-due", "--reason", "x")
        running.warm_up(warm, "sign", "--machine-info", warm.machine_info())
        running.warm_up(warm, "renew", "acme-gmbh", *consent)
        running.warm_up(warm, "reissue", "acme-gmbh", "--json")
        [current] = warm.ok("license", "list", "--json", "--status", "current").json["licenses"]
        running.warm_up(warm, "license", "export", current["id"])
        running.warm_up(warm, "license", "retire", current["id"], "--reason", "x")
        running.warm_up(warm, "config", "set", "upload_window", "7d")
        store = ("--store", f"file:{folder / 'new.key'}", "--backup", str(folder / "backup"))
        running.warm_up(warm, "key", "generate", "second", *store)
        running.warm_up(warm, "key", "export-public")
        running.warm_up(warm, "registry", "import", str(warm.output))
        many = made_desk.copy_to(folder / "many")
        running.warm_up(many, *due(many))
        running.warm_up(many, *mixed(made_desk.copy_to(folder / "mixed")), "--dry-run")
        yield running


@pytest.fixture
def scenarios(desk: Desk, forks: Forks, tmp_path: Path) -> Scenarios:
    """The commands for fault injection, by name."""

    def scenario(name: str) -> Scenario:
        return prepare((SCENARIOS | BATCHES)[name], desk, forks, tmp_path / "order")

    return scenario


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MiB."""
    with mounted(tmp_path / "disk", size="1m") as folder:
        yield folder


@pytest.fixture
def open_desk(made_desk: Desk) -> Iterator[Desk]:
    """A desk that every user can reach; pytest's own folders are for one user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield made_desk.copy_to(Path(name) / "desk")


@pytest.fixture
def their_desk(open_desk: Desk) -> Desk:
    """Give the desk to an ordinary user."""
    open_desk.machine_info()
    give_to_nobody(open_desk)
    return open_desk
