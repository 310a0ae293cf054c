"""Backup, restore and import that are killed or fail at any call leave an intact registry.

For each kind of call that writes, syncs, names or removes, the fault happens at the first such
call, then at the second, and so on until the command ends without it. By default a part of the
points is tried. All of them: `POLYGENT_FAULTS=full pytest -m slow
tests/faults/test_registry_faults.py`.
"""

import os
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest
from support.cli import Desk
from support.desk_state import tree
from support.forks import KILLED, Forks
from support.strace import LINK, RENAME, UNLINK, Fault

from polygent_issuer.registry import Registry, journal, journal_check, licenses

pytestmark = pytest.mark.slow

FULL = os.environ.get("POLYGENT_FAULTS") == "full"
KINDS = ("signal=KILL", "error=EIO", "error=ENOSPC")
ACCEPT = ("--accept", "clock-behind", "--accept", "registry-rollback", "--reason", "x")
SETTINGS = ("settings.toml", "mail.txt")
CALLS: dict[str, Sequence[int]] = {
    "pwrite64": (1, 5, 20),
    "write": (1, 2),
    "fdatasync": (1, 2, 3),
    "fsync": range(1, 13),
    LINK: (1, 2, 3),
    RENAME: (1, 2, 3, 4),
    UNLINK: range(1, 9),
}


def points(calls: str) -> Sequence[int]:
    """Return the numbers of the calls to try."""
    return range(1, 500) if FULL else CALLS[calls]


def state(path: Path) -> tuple[int, str, int]:
    """Return the journal head and the number of licenses of an intact registry."""
    with Registry.open(path) as registry, registry.reading() as db:
        assert journal_check.verify(db).problems == ()
        return *journal.head(db), sum(1 for _ in licenses.select(db))


def settings_files(home: Path) -> dict[str, bytes]:
    """Return the content of the settings and the mail template."""
    return {name: (home / name).read_bytes() for name in SETTINGS}


def judge_settings(
    home: Path, old: dict[str, bytes], new: dict[str, bytes], *, restored: bool, failed: bool
) -> None:
    """Check that each file is old or new, and that the settings file is replaced last.

    After an error both are old or both are new. A kill may come between their two renames.
    """
    present = settings_files(home)
    assert all(present[name] in (old[name], new[name]) for name in SETTINGS)
    if present["settings.toml"] == new["settings.toml"]:
        assert restored
        assert present == new
    if failed:
        assert present in (old, new)
    for name in SETTINGS:
        if present[name] != old[name]:
            (copy,) = home.glob(f"{name}.before-restore-*Z")
            assert copy.read_bytes() == old[name]


@pytest.fixture
def worked(desk: Desk) -> Desk:
    """A desk with a backup, a newer license and other settings, and the files of both."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.ok("key", "export-public", "-o", str(desk.folder / "public.pem"))
    (desk.home / "mail.txt").write_text("Subject: first\n\nx\n")
    desk.ok("registry", "backup", str(desk.folder / "b.db"))
    desk.ok("config", "set", "plans.trial.users", "9")
    desk.ok("config", "set", "upload_window", "3d")
    (desk.home / "mail.txt").write_text("Subject: second\n\nx\n")
    other = desk.machine_info("2.json", customer="Globex", fingerprint="2e" * 32)
    desk.ok("sign", "--machine-info", other)
    return desk


def put_back(desk: Desk, order: Path) -> None:
    """Restore the files of the desk."""
    shutil.rmtree(desk.folder)
    shutil.copytree(order, desk.folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calls", CALLS)
def test_a_restore_is_complete_or_has_no_effect(
    worked: Desk, forks: Forks, tmp_path: Path, calls: str, kind: str
) -> None:
    """Registry and settings are the old ones or the backup's; the old ones are never lost."""
    path, order = worked.home / "registry.db", tmp_path / "order"
    shutil.copytree(worked.folder, order)
    before, content = state(path), path.read_bytes()
    command = ("registry", "restore", str(worked.folder / "b.db"), "--settings", "restore", *ACCEPT)
    worked.ok(*command)
    old, new = (settings_files(folder) for folder in (order / "home", worked.home))
    assert all(old[name] != new[name] for name in SETTINGS)
    put_back(worked, order)
    for number in points(calls):
        fault = Fault(calls=calls, what=kind, number=number)
        outcome, struck = forks.run(worked, *command, faults=[fault])
        if not struck:
            break
        after = state(path)
        restored = after[2] == 1
        assert restored or after == before, (number, outcome)
        assert outcome.code != 1, outcome
        assert restored or outcome.code != 0
        if restored:
            (copy,) = worked.home.glob("registry.db.before-restore-*Z")
            assert copy.read_bytes() == content
        judge_settings(worked.home, old, new, restored=restored, failed=outcome.code > 0)
        if outcome.code != KILLED and not restored:
            names = {each for each in tree(worked.home) if each != "home-id"}
            assert names == {"mail.txt", "registry.db", "settings.toml"}, (
                number,
                outcome,
            )
        worked.ok(*command)
        assert state(path)[2] == 1
        assert settings_files(worked.home) == new
        assert not list(worked.home.glob(".polygent-*"))
        put_back(worked, order)
    else:
        assert not FULL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calls", CALLS)
def test_a_backup_is_complete_or_missing(worked: Desk, forks: Forks, calls: str, kind: str) -> None:
    """The backup path has the whole backup or no file; the registry is intact."""
    path = worked.home / "registry.db"
    for number in points(calls):
        target = worked.folder / f"backup-{number}.db"
        fault = Fault(calls=calls, what=kind, number=number)
        outcome, struck = forks.run(worked, "registry", "backup", str(target), faults=[fault])
        if not struck:
            break
        assert outcome.code != 1, outcome
        assert state(path)[2] == 2
        assert target.exists() or outcome.code != 0
        if target.exists():
            assert state(target)[2] == 2
    else:
        assert not FULL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calls", [calls for calls in CALLS if calls not in (LINK, RENAME)])
def test_an_import_is_all_or_nothing(
    worked: Desk, forks: Forks, tmp_path: Path, calls: str, kind: str
) -> None:
    """One transaction imports all files or none; a second run completes it."""
    worked.ok("registry", "restore", str(worked.folder / "b.db"), *ACCEPT)
    path, order = worked.home / "registry.db", tmp_path / "order"
    shutil.copytree(worked.folder, order)
    command = ("registry", "import", str(worked.output), *ACCEPT)
    for number in count(1) if FULL else points(calls):
        fault = Fault(calls=calls, what=kind, number=number)
        outcome, struck = forks.run(worked, *command, faults=[fault])
        if not struck:
            break
        assert outcome.code != 1, outcome
        assert state(path)[2] in ((2,) if outcome.code == 0 else (1, 2))
        worked.ok(*command)
        assert state(path)[2] == 2
        put_back(worked, order)
