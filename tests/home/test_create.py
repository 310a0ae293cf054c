"""Making a home: complete, or completed later; never changed."""

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.keys import tree
from support.registries import ACTOR
from support.tools import require_tool

from polygent_issuer.errors import HomeProblem, InvalidSettings, OutputProblem
from polygent_issuer.home import create, settings, settings_editing
from polygent_issuer.home.create import CreatedHome
from polygent_issuer.home.settings import Settings
from polygent_issuer.registry import REGISTRY_FILE, Actor, Registry, journal, journal_check
from polygent_issuer.registry.errors import RegistryDamaged

NOW = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
KID = "A" * 43

SCRIPT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from polygent_issuer.home import create
from polygent_issuer.registry import Actor, journal
create.create_home(Path(sys.argv[1]), {"issuer": "Acme"}, now=datetime(2026, 11, 30, tzinfo=UTC),
    registry_id="r-1", environ={}, actor=lambda held: Actor(
        operator=held.issuer, os_user="x", uid=1, host="h"))
"""


def found(folder: Path, **given: str | None) -> CreatedHome:
    """Make a home whose journal names its issuer as the actor."""

    def actor(held: Settings) -> Actor:
        return Actor(operator=held.issuer, os_user="ada", uid=1000, host="desk")

    return create.create_home(folder, given, now=NOW, registry_id="r-1", actor=actor, environ={})


def issuer_of(folder: Path) -> str:
    """What the settings of a home say."""
    return settings.load(folder, {}).settings.issuer


def test_a_home_is_made(tmp_path: Path) -> None:
    """Settings and registry are there, private, and say what was given."""
    home = tmp_path / "deep" / "home"
    assert found(home, issuer="Acme", operator=None) == CreatedHome(folder=home, completed=False)
    assert home.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()} == {
        "settings.toml": 0o600,
        REGISTRY_FILE: 0o600,
    }
    assert issuer_of(home) == "Acme"
    assert create.is_complete(home)
    with Registry.open(home / REGISTRY_FILE) as registry, registry.reading() as db:
        (row,) = journal.rows(db)
    assert (row.event, row.operator, row.at) == ("registry-created", "Acme", NOW)
    assert row.details == {"registry": "r-1"}


def test_the_environment_names_the_actor(tmp_path: Path) -> None:
    """The settings that the actor is made of are those in force, the environment included."""
    seen: list[str | None] = []

    def actor(held: Settings) -> Actor:
        seen.append(held.operator)
        return ACTOR

    environ = {"POLYGENT_ISSUER_OPERATOR": "Grace"}
    create.create_home(
        tmp_path / "home", {}, now=NOW, registry_id="r-1", actor=actor, environ=environ
    )
    assert seen == ["Grace"]


def test_a_complete_home_is_left_alone(tmp_path: Path) -> None:
    """Making it again changes no byte of it."""
    found(tmp_path / "home", issuer="Acme")
    before = tree(tmp_path)
    with pytest.raises(HomeProblem) as refused:
        found(tmp_path / "home", issuer="Globex")
    assert refused.value.code == "registry_exists"
    assert "nothing was changed" in refused.value.message
    assert refused.value.hint is not None
    assert "config set" in refused.value.hint
    assert tree(tmp_path) == before


def test_settings_without_a_registry_are_completed(tmp_path: Path) -> None:
    """What was written by hand since then stays; what is given now is in force."""
    home = tmp_path / "home"
    found(home, issuer="Acme", operator="Ada")
    (home / REGISTRY_FILE).unlink()
    with (home / "settings.toml").open("a") as file:
        file.write("# mine\n")
    assert found(home, issuer="Globex", operator=None).completed
    assert issuer_of(home) == "Globex"
    assert settings.load(home, {}).settings.operator == "Ada"
    assert "# mine" in (home / "settings.toml").read_text()
    assert create.is_complete(home)


def test_an_empty_registry_is_none(tmp_path: Path) -> None:
    """SQLite leaves an empty file when its first transaction breaks off."""
    home = tmp_path / "home"
    found(home, issuer="Acme")
    (home / REGISTRY_FILE).write_bytes(b"")
    assert not create.is_complete(home)
    assert found(home).completed
    assert create.is_complete(home)


def test_a_lost_registry_is_not_made_anew(tmp_path: Path) -> None:
    """Settings that name a key belonged to a registry with licenses: that is said, loudly."""
    home = tmp_path / "home"
    found(home)
    settings_editing.set_value(home, f"stores.{KID}", "keyring:")
    (home / REGISTRY_FILE).unlink()
    before = tree(home)
    with pytest.raises(HomeProblem, match="lost its registry: its settings name 1 key") as lost:
        found(home)
    assert lost.value.code == "registry_lost"
    assert tree(home) == before


def test_nothing_is_made_for_a_wrong_value(tmp_path: Path) -> None:
    """A value that the settings refuse is refused before the folder is made."""
    with pytest.raises(InvalidSettings):
        found(tmp_path / "home", upload_window="soon")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_registry_is_no_room(tmp_path: Path) -> None:
    """What cannot be read is not taken for an interrupted making, and stays."""
    content = b"not a database, but long enough for one" * 30
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / REGISTRY_FILE).write_bytes(content)
    with pytest.raises(RegistryDamaged):
        found(home)
    assert (home / REGISTRY_FILE).read_bytes() == content


def test_another_program_s_database_is_no_room(tmp_path: Path) -> None:
    """A file of another program is neither used nor overwritten."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    other = sqlite3.connect(home / REGISTRY_FILE)
    other.execute("CREATE TABLE t (x)")
    other.commit()
    other.close()
    with pytest.raises(HomeProblem):
        found(home)
    assert not (home / "settings.toml").exists()


def test_an_unsafe_folder_is_refused(tmp_path: Path) -> None:
    """Nothing is put where everybody may write."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(HomeProblem, match="every user may write"):
        found(home)
    assert list(home.iterdir()) == []


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    """The answer says whether it had to be made; its mode is the one that was asked for."""
    folder = tmp_path / "backup"
    assert create.ensure_folder(folder, mode=0o700)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not create.ensure_folder(folder)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/x", "no such file"), ("taken", "something else"), ("a\0b", "no such path")],
)
def test_a_folder_that_cannot_be_made(tmp_path: Path, name: str, reason: str) -> None:
    """A missing folder above it, a file of its name: refused with the reason."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputProblem, match=reason):
        create.ensure_folder(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "step"),
    [("fsync", 1), ("fdatasync", 1), ("linkat", 1), ("unlink", 1), ("pwrite64", 9)],
)
def test_a_making_that_was_killed_is_completed(tmp_path: Path, call: str, step: int) -> None:
    """Killed at syncs, links, unlinks and writes in turn: the next one makes it whole."""
    strace = [require_tool("strace", "strace"), "-f", "-qq", "-o", os.devnull]
    for number in range(1, 200, step):
        home = tmp_path / str(number)
        inject = f"inject={call}:signal=KILL:when={number}"
        command = [*strace, "-e", f"trace={call}", "-e", inject, sys.executable, "-B", "-c"]
        done = subprocess.run([*command, SCRIPT, str(home)], check=False, capture_output=True)
        if done.returncode == 0:
            break
        if not create.is_complete(home):
            found(home, issuer="Acme")
        assert create.is_complete(home)
        assert issuer_of(home) == "Acme"
        with Registry.open(home / REGISTRY_FILE) as registry, registry.reading() as db:
            assert journal_check.verify(db).problems == ()
    assert number > 1
    assert done.returncode == 0, done.stderr
