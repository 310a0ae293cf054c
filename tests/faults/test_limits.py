"""Limits of a machine for the commands after `sign`: space, stdout, permissions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Desk, Outcome
from support.desk_state import litter_in, read_state, tree
from support.fault_sweep import FULL
from support.forks import ANY_TIME, NOBODY, Forks, Limits
from support.scenarios import SCENARIOS, Scenarios, give_to_nobody, prepare

from polygent_issuer.errors import ExitCode

pytestmark = pytest.mark.slow

WRITERS = [name for name in SCENARIOS if not name.startswith("sign")]
ISSUERS = ("renew", "reissue", "reissue for another machine")


def kept(desk: Desk) -> str:
    """Return the hint when stdout cannot be written."""
    return f"completed changes are kept: {desk.command('journal', 'show')}"


@pytest.mark.parametrize("size", [300, 900, 5000, 50_000, 150_000] if FULL else [300, 900])
@pytest.mark.parametrize("name", WRITERS)
def test_a_limit_on_file_sizes(scenarios: Scenarios, forks: Forks, name: str, size: int) -> None:
    """With `ulimit -f` the kernel cuts a write short and refuses the next one."""
    scenario = scenarios(name)
    before = scenario.begin()
    outcome, _ = scenario.run(forks, limits=Limits(file_size=size))
    after = scenario.judge(before, outcome)
    after.go_on(scenario.task.argv, size)
    assert after.problems == []


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_stdout(scenarios: Scenarios, forks: Forks, name: str) -> None:
    """With `> /dev/full` the command succeeds, and exit 8 reports where to look."""
    scenario = scenarios(name)
    before = scenario.begin()
    outcome, _ = scenario.run(forks, limits=Limits(stdout="/dev/full"))
    assert outcome.code == ExitCode.OUTPUT
    assert kept(scenario.desk) in outcome.err
    state = read_state(scenario.desk)
    assert scenario.done in (None, state)
    assert (state.rows, state.unsealed) != (before.rows, before.unsealed) or name == "config set"
    after = scenario.judge(before, outcome)
    after.go_on(scenario.task.argv, 1)
    assert after.problems == []


@pytest.mark.parametrize("way", ["closed", "pipe"])
@pytest.mark.parametrize("name", [*WRITERS[:1], "license retire", "key generate"])
def test_a_closed_stdout(scenarios: Scenarios, name: str, way: str) -> None:
    """With `>&-` or `| true` the result is that of a full stdout; no file is taken for stdout."""
    scenario = scenarios(name)
    before = scenario.begin()
    done = _without_stdout(scenario.desk, scenario.task.argv, way)
    assert done.code == ExitCode.OUTPUT, done
    assert (kept(scenario.desk) in done.err) == (way == "closed")
    assert read_state(scenario.desk).rows != before.rows


@pytest.mark.parametrize("way", ["closed", "pipe", "full"])
@pytest.mark.parametrize("what", ["license export", "key export-public"])
def test_a_file_that_stdout_did_not_receive(desk: Desk, what: str, way: str) -> None:
    """A license or a public key on a failed stdout gives exit 8."""
    signed = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"][0]
    before = read_state(desk)
    argv = (*what.split(), *((signed["id"],) if what == "license export" else ()), "-o", "-")
    done = _without_stdout(desk, argv, way)
    assert done.code == ExitCode.OUTPUT, done
    assert read_state(desk).rows == before.rows, "an export has no journal row"
    assert desk.ok(*argv).out


def _without_stdout(desk: Desk, argv: tuple[str, ...], way: str) -> Outcome:
    if argv[0] in ISSUERS or argv[:2] == ("license", "retire"):
        argv = (*argv, *ANY_TIME)
    command = [sys.executable, "-m", "polygent_issuer", "--home", str(desk.home), *argv]
    if way == "closed":
        command = ["bash", "-c", 'exec "$@" >&-', "bash", *command]
    reader, writer = os.pipe()
    os.close(reader)
    if way == "full":
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run(
            command, check=False, stdout=stdout, stderr=subprocess.PIPE, env=desk._environ()
        )
    assert b"Traceback" not in done.stderr
    return Outcome(done.returncode, b"", done.stderr.decode())


@pytest.mark.parametrize("place", ["home", "home/registry.db", "out", "keys"])
@pytest.mark.parametrize("name", WRITERS)
def test_missing_permissions(
    open_desk: Desk,
    forks: Forks,
    tmp_path: Path,
    *,
    name: str,
    place: str,
) -> None:
    """A user with read access succeeds, or is refused without changes."""
    scenario = prepare(SCENARIOS[name], open_desk, forks, tmp_path / "order")
    desk = scenario.desk
    scenario.begin()
    give_to_nobody(desk)
    target = desk.folder / place
    if not target.exists():
        return
    usual = target.stat().st_mode
    target.chmod(0o555 if target.is_dir() else 0o400)
    before = tree(desk.folder)
    limits = Limits(user=NOBODY)
    outcome, _ = scenario.run(forks, limits=limits)
    target.chmod(usual)
    if outcome.code:
        assert outcome.code in (ExitCode.REGISTRY, ExitCode.OUTPUT), outcome
        assert "hint: " in outcome.err
        assert outcome.out == b""
        assert tree(desk.folder) == before or "created a home" in outcome.err
        again, _ = scenario.run(forks, limits=limits)
        assert again.code == 0, again
    assert litter_in(desk.output) == []


@pytest.mark.power
@pytest.mark.parametrize("pages", range(0, 48, 4) if FULL else (0, 6, 24))
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_breaks_no_promise(
    made_desk: Desk,
    disk: Path,
    forks: Forks,
    tmp_path: Path,
    *,
    name: str,
    pages: int,
) -> None:
    """Some free pages of 4 KiB are left on the disk, and later there is space again."""
    desk = made_desk.copy_to(disk / "desk")
    scenario = prepare(SCENARIOS[name], desk, forks, tmp_path / "order")
    before = scenario.begin()
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(b"f" * (free.f_bavail - pages) * free.f_frsize)
    outcome, _ = scenario.run(forks)
    filler.unlink()
    after = scenario.judge(before, outcome)
    after.go_on(scenario.task.argv, pages)
    assert after.problems == []


READERS = (
    ("customer", "list"),
    ("customer", "show", "acme-gmbh"),
    ("license", "list"),
    ("expiring",),
    ("verify", "--customer", "acme-gmbh"),
    ("key", "list"),
    ("journal", "show"),
    ("journal", "verify"),
    ("config", "show"),
    ("key", "export-public"),
)


@pytest.mark.power
def test_a_read_only_home(made_desk: Desk, disk: Path, forks: Forks, tmp_path: Path) -> None:
    """Everything can be read; a command that would write is refused."""
    desk = made_desk.copy_to(disk / "desk")
    retire = SCENARIOS["license retire"](desk, forks).argv
    renew = ("renew", "acme-gmbh", "--accept", "not-due", "--reason", "asked for")
    shutil.move(desk.output, tmp_path / "out")
    desk.output.symlink_to(tmp_path / "out")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for argv in READERS:
        desk.ok(*argv)
    before = tree(desk.folder)
    for writer in (retire, renew):
        outcome, _ = forks.run(desk, *writer)
        assert outcome.code in (ExitCode.REGISTRY, ExitCode.OUTPUT), outcome
        assert "hint: " in outcome.err
    assert tree(desk.folder) == before
