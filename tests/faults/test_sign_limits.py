"""`sign` keeps its promise without disk space, stdout or permissions."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.aftermath import NAMED, IssueAftermath
from support.cli import Desk, Outcome
from support.desk_state import litter_in, read_state
from support.forks import ANY_TIME, NOBODY, Forks, Limits

from polygent_issuer.errors import ExitCode

pytestmark = pytest.mark.slow

FULL = "/dev/full"


def sign(desk: Desk) -> tuple[str, ...]:
    """Return a command line."""
    return ("sign", "--machine-info", desk.machine_info())


def problems_after(
    desk: Desk, run: Callable[[], Outcome], remove_limit: Callable[[], object]
) -> list[str]:
    """Return the promises that a command breaks, at once or after the limit is removed."""
    argv = sign(desk)
    other = desk.machine_info("globex.json", customer="Globex", fingerprint="1e" * 32)
    before = read_state(desk)
    outcome = run()
    remove_limit()
    after = IssueAftermath(desk, before, outcome)
    if not after.new:
        after.repeat(*argv)
    after.settle("sign", "--machine-info", other)
    return after.problems


@pytest.mark.parametrize("size", [300, 900, 5000, 50_000, 150_000, 170_000])
def test_a_limit_on_file_sizes(desk: Desk, forks: Forks, size: int) -> None:
    """With `ulimit -f` the kernel cuts a write short and refuses the next one."""
    limits = Limits(file_size=size)

    def run() -> Outcome:
        return forks.run(desk, *sign(desk), limits=limits)[0]

    assert problems_after(desk, run, lambda: None) == []


@pytest.mark.power
@pytest.mark.parametrize("pages", range(0, 40, 2))
def test_a_full_disk(made_desk: Desk, disk: Path, forks: Forks, pages: int) -> None:
    """Home and output folder are on a disk with some free pages of 4 KiB."""
    desk = made_desk.copy_to(disk / "desk")
    argv = sign(desk)
    desk.machine_info("globex.json")  # takes its space before
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(b"f" * (free.f_bavail - pages) * free.f_frsize)

    def run() -> Outcome:
        return forks.run(desk, *argv)[0]

    assert problems_after(desk, run, filler.unlink) == []


@pytest.mark.power
def test_a_read_only_disk(made_desk: Desk, disk: Path, forks: Forks) -> None:
    """The disk of the output folder is read-only: exit 8 before anything is signed."""
    desk = made_desk.copy_to(disk.parent / "desk")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    outcome, _ = forks.run(desk, *sign(desk), "--output", str(disk))
    assert outcome.code == ExitCode.OUTPUT
    assert "no permission to write" in outcome.err
    assert read_state(desk).files == {}


def test_the_license_itself_on_a_full_stdout(desk: Desk, forks: Forks) -> None:
    """The license is stored, reported by this and the next command, and can be exported."""
    outcome, _ = forks.run(desk, *sign(desk), "-o", "-", limits=Limits(stdout=FULL))
    assert outcome.code == ExitCode.OUTPUT
    assert "no space left" in outcome.err.lower()
    [(license_id, file)] = read_state(desk).files.items()
    warning = f"license {license_id[:8]} {NAMED} stdout"
    assert warning in desk.ok("customer", "list").err
    assert desk.ok("license", "export", license_id[:8], "-o", "-").out == file
    assert NAMED not in desk.ok("customer", "list").err


def test_the_report_on_a_full_stdout(desk: Desk, forks: Forks) -> None:
    """The file is delivered, and exit 8 reports the failed output."""
    outcome, _ = forks.run(desk, *sign(desk), limits=Limits(stdout=FULL))
    assert outcome.code == ExitCode.OUTPUT
    assert "completed changes are kept" in outcome.err
    [file] = read_state(desk).files.values()
    assert [path.read_bytes() for path in desk.output.iterdir()] == [file]
    assert NAMED not in desk.ok("customer", "list").err


@pytest.mark.parametrize("way", ["closed", "pipe"])
@pytest.mark.parametrize("output", ["stdout", "folder"])
def test_a_closed_stdout(desk: Desk, way: str, output: str) -> None:
    """With `>&-` or `| true` the result is that of a full stdout; no file is taken for stdout."""
    argv = [*sign(desk), *ANY_TIME, *(("-o", "-") if output == "stdout" else ())]
    command = [sys.executable, "-m", "polygent_issuer", "--home", str(desk.home), *argv]
    if way == "closed":
        command = ["bash", "-c", 'exec "$@" >&-', "bash", *command]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run(
            command, check=False, stdout=stdout, stderr=subprocess.PIPE, env=desk._environ()
        )
    assert done.returncode == ExitCode.OUTPUT, done.stderr
    assert b"Traceback" not in done.stderr
    [(license_id, file)] = read_state(desk).files.items()
    files = [path.read_bytes() for path in desk.output.iterdir()]
    assert files == ([] if output == "stdout" else [file])
    named = f"license {license_id[:8]} {NAMED} stdout" in desk.ok("customer", "list").err
    assert named == (output == "stdout")


@pytest.mark.parametrize(
    ("place", "mode", "code", "text"),
    [
        ("out", 0o555, ExitCode.OUTPUT, "no permission to write into"),
        ("home", 0o500, ExitCode.REGISTRY, "cannot read or write"),
        ("home/registry.db", 0o400, ExitCode.REGISTRY, "cannot read or write"),
        ("home/registry.db", 0o000, ExitCode.REGISTRY, "registry"),
        ("home/settings.toml", 0o000, ExitCode.INPUT, "settings"),
        ("main.key", 0o000, ExitCode.KEY, "key"),
        ("passphrase", 0o000, ExitCode.KEY, "passphrase"),
        ("m.json", 0o000, ExitCode.INPUT, "permission denied"),
    ],
)
def test_missing_permissions(
    their_desk: Desk, forks: Forks, place: str, mode: int, code: int, *, text: str
) -> None:
    """The exit code names the cause, and nothing is issued."""
    desk = their_desk
    path = desk.folder / place
    usual = path.stat().st_mode
    path.chmod(mode)
    document = str(desk.folder / "m.json")
    limits = Limits(user=NOBODY)
    outcome, _ = forks.run(desk, "sign", "--machine-info", document, limits=limits)
    path.chmod(usual)
    assert (outcome.code, outcome.out) == (code, b""), outcome
    assert text in outcome.err
    assert "hint: " in outcome.err
    assert litter_in(desk.output) == []
    again, _ = forks.run(desk, "sign", "--machine-info", document, limits=limits)
    assert again.code == 0, again
    assert len(list(desk.output.iterdir())) == 1


def test_the_home_of_another_user(their_desk: Desk, forks: Forks) -> None:
    """Its owner decides what is signed, so the command is refused, also for root."""
    outcome, _ = forks.run(their_desk, "sign", "--machine-info", str(their_desk.folder / "m.json"))
    assert outcome.code == ExitCode.REGISTRY
    assert f"belongs to another user (uid {NOBODY}" in outcome.err
    assert list(their_desk.output.iterdir()) == []
