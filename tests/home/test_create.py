"""Creation of a home: it is completed after an interruption, and never changed once complete."""

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.desk_state import tree
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
    registry_id="r-1", environ={}, actor=lambda settings: Actor(
        operator=settings.issuer, os_user="x", uid=1, host="h"))
"""


def create_home(folder: Path, **values: str | None) -> CreatedHome:
    """Create a home whose journal names its issuer as the actor."""

    def actor(settings: Settings) -> Actor:
        return Actor(operator=settings.issuer, os_user="ada", uid=1000, host="desk")

    return create.create_home(folder, values, now=NOW, registry_id="r-1", actor=actor, environ={})


def issuer_of(folder: Path) -> str:
    """Return the issuer in the settings of a home."""
    return settings.load(folder, {}).settings.issuer


def test_a_home_is_created(tmp_path: Path) -> None:
    """A new home has private settings and a private registry with the given values."""
    home = tmp_path / "deep" / "home"
    assert create_home(home, issuer="Acme", operator=None) == CreatedHome(
        folder=home, completed=False
    )
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
    """The actor is made from the current settings, including the environment."""
    seen: list[str | None] = []

    def actor(settings: Settings) -> Actor:
        seen.append(settings.operator)
        return ACTOR

    environ = {"POLYGENT_ISSUER_OPERATOR": "Grace"}
    create.create_home(
        tmp_path / "home", {}, now=NOW, registry_id="r-1", actor=actor, environ=environ
    )
    assert seen == ["Grace"]


def test_a_complete_home_is_not_changed(tmp_path: Path) -> None:
    """Creating a home again is refused and changes no byte."""
    create_home(tmp_path / "home", issuer="Acme")
    before = tree(tmp_path)
    with pytest.raises(HomeProblem) as refused:
        create_home(tmp_path / "home", issuer="Globex")
    assert refused.value.code == "registry_exists"
    assert "nothing was changed" in refused.value.message
    assert refused.value.hint is not None
    assert "config set" in refused.value.hint
    assert tree(tmp_path) == before


def test_settings_without_a_registry_are_completed(tmp_path: Path) -> None:
    """Comments and values of the settings stay, except for the values given now."""
    home = tmp_path / "home"
    create_home(home, issuer="Acme", operator="Ada")
    (home / REGISTRY_FILE).unlink()
    with (home / "settings.toml").open("a") as file:
        file.write("# mine\n")
    assert create_home(home, issuer="Globex", operator=None).completed
    assert issuer_of(home) == "Globex"
    assert settings.load(home, {}).settings.operator == "Ada"
    assert "# mine" in (home / "settings.toml").read_text()
    assert create.is_complete(home)


def test_a_home_with_an_empty_registry_is_incomplete(tmp_path: Path) -> None:
    """SQLite leaves an empty file when its first transaction is interrupted."""
    home = tmp_path / "home"
    create_home(home, issuer="Acme")
    (home / REGISTRY_FILE).write_bytes(b"")
    assert not create.is_complete(home)
    assert create_home(home).completed
    assert create.is_complete(home)


def test_a_lost_registry_is_not_created_again(tmp_path: Path) -> None:
    """A home whose settings list a key but which has no registry is refused with an error."""
    home = tmp_path / "home"
    create_home(home)
    settings_editing.set_value(home, f"stores.{KID}", "keyring:")
    (home / REGISTRY_FILE).unlink()
    before = tree(home)
    with pytest.raises(HomeProblem, match="is missing, but its settings list 1 key") as lost:
        create_home(home)
    assert lost.value.code == "registry_lost"
    assert tree(home) == before


def test_nothing_is_created_for_an_invalid_value(tmp_path: Path) -> None:
    """An invalid setting is refused before the folder is created."""
    with pytest.raises(InvalidSettings):
        create_home(tmp_path / "home", upload_window="soon")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_registry_is_not_overwritten(tmp_path: Path) -> None:
    """A damaged registry does not count as an interrupted creation, and is not changed."""
    content = b"not a database, but long enough for one" * 30
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / REGISTRY_FILE).write_bytes(content)
    with pytest.raises(RegistryDamaged):
        create_home(home)
    assert (home / REGISTRY_FILE).read_bytes() == content


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """A database of another program is neither used nor overwritten."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    other = sqlite3.connect(home / REGISTRY_FILE)
    other.execute("CREATE TABLE t (x)")
    other.commit()
    other.close()
    with pytest.raises(HomeProblem):
        create_home(home)
    assert not (home / "settings.toml").exists()


def test_an_unsafe_folder_is_refused(tmp_path: Path) -> None:
    """Nothing is written into a folder that every user may write to."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(HomeProblem, match="every user may write"):
        create_home(home)
    assert list(home.iterdir()) == []


def test_a_folder_is_created_once(tmp_path: Path) -> None:
    """`ensure_folder` returns whether the folder is new, and gives it the requested mode."""
    folder = tmp_path / "backup"
    assert create.ensure_folder(folder, mode=0o700)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not create.ensure_folder(folder)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/x", "no such file"), ("taken", "a file with this name"), ("a\0b", "invalid path")],
)
def test_a_folder_that_cannot_be_created(tmp_path: Path, name: str, reason: str) -> None:
    """A missing parent folder, a file with the same name and a NUL are refused with the reason."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputProblem, match=reason):
        create.ensure_folder(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "step"),
    [("fsync", 1), ("fdatasync", 1), ("linkat", 1), ("unlink", 1), ("pwrite64", 9)],
)
def test_a_killed_creation_is_completed(tmp_path: Path, call: str, step: int) -> None:
    """A creation that is killed at any sync, link, unlink or write is completed by the next."""
    strace = [require_tool("strace", "strace"), "-f", "-qq", "-o", os.devnull]
    for number in range(1, 200, step):
        home = tmp_path / str(number)
        inject = f"inject={call}:signal=KILL:when={number}"
        command = [*strace, "-e", f"trace={call}", "-e", inject, sys.executable, "-B", "-c"]
        done = subprocess.run([*command, SCRIPT, str(home)], check=False, capture_output=True)
        if done.returncode == 0:
            break
        if not create.is_complete(home):
            create_home(home, issuer="Acme")
        assert create.is_complete(home)
        assert issuer_of(home) == "Acme"
        with Registry.open(home / REGISTRY_FILE) as registry, registry.reading() as db:
            assert journal_check.verify(db).problems == ()
    assert number > 1
    assert done.returncode == 0, done.stderr
