"""Publication under real faults: each step fails once, and nothing half is left.

The faults are the kernel's, or injected at the system call by strace; the code under test is not
replaced anywhere.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disks import mounted
from support.tools import require_tool, unmeasured

from polygent_issuer.files import sweep

pytestmark = pytest.mark.slow

# Which of these the C library calls depends on the architecture; ? excuses a missing one.
MOVES = "?rename,?renameat,renameat2"

# Runs one call in a process of its own; says what came of it as JSON. Imports come first, since a
# fault may be injected by the number of the call.
SCRIPT = """
import json, os, resource, sys
from pathlib import Path
from polygent_issuer import files
from polygent_issuer.errors import IssuerError
call, folder, size, limits = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if "file size" in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
if "user" in limits and os.geteuid() == 0:
    os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
os.umask(0o022)
data = b"x" * size
try:
    {"publish": lambda: files.publish(data, folder / "x.lic"),
     "replace": lambda: files.replace(data, folder / "x.lic"),
     "read": lambda: files.read_bounded(str(folder / "x.lic"), limit=10**9, what="license file"),
     "private": lambda: files.write_private(data, folder / "x.lic")}[call]()
    print(json.dumps({"code": "done"}))
except IssuerError as error:
    print(json.dumps({"code": error.code, "message": error.message, "hint": error.hint}))
"""


def run(
    call: str,
    folder: Path,
    *,
    inject: str | None = None,
    also: str | None = None,
    only: Path | None = None,
    limits: str = "",
    size: int = 5000,
) -> dict[str, Any]:
    """Run one call, under one or two faults, and return what it said; nothing if it was killed."""
    command = [sys.executable, "-c", SCRIPT, call, str(folder), str(size), limits]
    if inject is not None:
        faults = [fault for fault in (inject, also) if fault is not None]
        strace = [require_tool("strace", "strace"), "-f", "-qq", "-o", os.devnull]
        traced = ",".join(fault.partition(":")[0] for fault in faults)
        strace += ["-e", f"trace={traced}", *(f"--inject={fault}" for fault in faults)]
        command = [*strace, *(["-P", str(only)] if only else []), *command]
    environ = {**unmeasured(), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
    killed = inject is not None and "signal=KILL" in inject
    assert done.returncode == 0 or killed, done.stderr
    said: dict[str, Any] = json.loads(done.stdout or "{}")
    return said


def names(folder: Path) -> list[str]:
    """List a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize(
    ("inject", "message", "hint"),
    [
        ("fsync:error=EIO:when=1", "input/output error", "disk"),
        ("fsync:error=ENOSPC:when=1", "no space left", "make room"),
        ("fsync:error=EDQUOT:when=1", "quota", "quota"),
        ("linkat:error=EIO:when=1", "input/output error", "disk"),
        ("linkat:error=ENOSPC:when=1", "no space left", "make room"),
        ("linkat:error=EACCES:when=1", "permission denied", "another place"),
        ("linkat:error=EROFS:when=1", "read-only file system", "another place"),
    ],
)
@pytest.mark.parametrize("call", ["publish", "private"])
def test_fault_before_the_name(
    tmp_path: Path, call: str, inject: str, message: str, hint: str
) -> None:
    """The temporary file's sync or the link fails: our error, and nothing is left."""
    said = run(call, tmp_path, inject=inject)
    assert said["code"] == "output_failed"
    assert message in said["message"]
    assert hint in said["hint"]
    assert names(tmp_path) == []


def test_fault_of_the_folders_sync(tmp_path: Path) -> None:
    """The name is there but may not last: an error; the whole file stays, and again is right."""
    said = run("publish", tmp_path, inject="fsync:error=EIO:when=2")
    assert said["code"] == "output_failed"
    assert names(tmp_path) == ["x.lic"]
    assert (tmp_path / "x.lic").read_bytes() == b"x" * 5000
    assert run("publish", tmp_path)["code"] == "done"


@pytest.mark.parametrize("error", ["EINVAL", "EBADF", "EOPNOTSUPP"])
def test_folder_that_cannot_be_synced(tmp_path: Path, error: str) -> None:
    """Some network file systems know no sync of folders: that is no fault."""
    said = run("publish", tmp_path, inject=f"fsync:error={error}:when=2")
    assert said["code"] == "done"
    assert names(tmp_path) == ["x.lic"]


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"])
def test_file_system_without_hard_links(tmp_path: Path, error: str) -> None:
    """FAT, shares and FUSE have no links: the file is moved over a name held for it."""
    said = run("publish", tmp_path, inject=f"linkat:error={error}")
    assert said["code"] == "done"
    assert names(tmp_path) == ["x.lic"]
    assert (tmp_path / "x.lic").read_bytes() == b"x" * 5000
    assert (tmp_path / "x.lic").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("there", [b"", b"other", b"x" * 5000])
def test_nothing_is_overwritten_without_hard_links_either(tmp_path: Path, there: bytes) -> None:
    """There too a taken name is kept: the same bytes are fine, others an error."""
    (tmp_path / "x.lic").write_bytes(there)
    said = run("publish", tmp_path, inject="linkat:error=EPERM")
    assert said["code"] == ("done" if there == b"x" * 5000 else "output_exists")
    assert (tmp_path / "x.lic").read_bytes() == there
    assert names(tmp_path) == ["x.lic"]


def test_fault_of_the_move_gives_the_name_back(tmp_path: Path) -> None:
    """Without links, when the move fails, the name that was held for it is free again."""
    said = run("publish", tmp_path, inject=f"{MOVES}:error=EIO", also="linkat:error=EPERM")
    assert said["code"] == "output_failed"
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("call", "number"),
    [("fsync", 1), ("fchmod", 1), ("linkat", 1), ("fsync", 2), ("?unlink,unlinkat", 1)],
)
def test_kill_at_every_step(tmp_path: Path, call: str, number: int) -> None:
    """A kill -9 leaves no name or the whole file; the next command can finish and sweep."""
    assert run("publish", tmp_path, inject=f"{call}:signal=KILL:when={number}") == {}
    target = tmp_path / "x.lic"
    assert not target.exists() or target.read_bytes() == b"x" * 5000
    assert run("publish", tmp_path)["code"] == "done"
    sweep(tmp_path, ".polygent-")
    assert names(tmp_path) == ["x.lic"]


def test_kill_while_a_name_is_held(tmp_path: Path) -> None:
    """Without links a kill may leave an empty file: it is named as such, not overwritten."""
    killed = run("publish", tmp_path, inject=f"{MOVES}:signal=KILL", also="linkat:error=EPERM")
    assert killed == {}
    target = tmp_path / "x.lic"
    assert target.read_bytes() in (b"", b"x" * 5000)
    if not target.read_bytes():
        said = run("publish", tmp_path)
        assert said["code"] == "output_exists"
        assert "empty" in said["hint"]


@pytest.mark.parametrize("call", ["publish", "private", "replace"])
def test_limit_on_file_sizes(tmp_path: Path, call: str) -> None:
    """`ulimit -f`: the kernel cuts the write short; nothing is left."""
    said = run(call, tmp_path, limits="file size")
    assert said["code"] == "output_failed"
    assert "too large" in said["message"]
    assert "ulimit -f" in said["hint"]
    assert names(tmp_path) == []


@pytest.mark.parametrize("fault", ["fsync:error=EIO:when=1", "fsync:error=ENOSPC:when=1"])
def test_replace_keeps_the_old_content(tmp_path: Path, fault: str) -> None:
    """Settings that cannot be written anew stay as they were."""
    (tmp_path / "x.lic").write_bytes(b"old")
    assert run("replace", tmp_path, inject=fault)["code"] == "output_failed"
    assert (tmp_path / "x.lic").read_bytes() == b"old"
    assert names(tmp_path) == ["x.lic"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that every user can reach; pytest's own are for one user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        folder.mkdir()
        folder.parent.chmod(0o755)
        yield folder


def test_folder_without_permission(open_folder: Path) -> None:
    """An ordinary user in a folder that she may not write to: it is named, and not our file."""
    open_folder.chmod(0o555)
    said = run("publish", open_folder, limits="user")
    assert said["code"] == "output_failed"
    assert said["message"] == f"cannot write into {open_folder}: permission denied"
    assert said["hint"] == "name another place for it"
    assert names(open_folder) == []


def test_folder_that_may_be_written_but_not_read(open_folder: Path) -> None:
    """A drop box: the folder cannot be opened for a sync, and the file is published."""
    open_folder.chmod(0o333)
    said = run("publish", open_folder, limits="user")
    open_folder.chmod(0o755)
    assert said["code"] == "done"
    assert names(open_folder) == ["x.lic"]


def test_file_without_permission(open_folder: Path) -> None:
    """An ordinary user and a file that she may not read: our error."""
    (open_folder / "x.lic").write_bytes(b"x")
    (open_folder / "x.lic").chmod(0)
    said = run("read", open_folder, limits="user")
    assert said["code"] == "unreadable_input"
    assert "permission denied" in said["message"]


def test_fault_of_a_read(tmp_path: Path) -> None:
    """A disk that cannot read says so through our error."""
    path = tmp_path / "x.lic"
    path.write_bytes(b"x")
    said = run("read", tmp_path, inject="read:error=EIO", only=path)
    assert said["code"] == "unreadable_input"
    assert "input/output error" in said["message"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 KiB."""
    with mounted(tmp_path / "disk", size="64k") as folder:
        yield folder


@pytest.mark.power
@pytest.mark.parametrize("call", ["publish", "private", "replace"])
def test_full_disk(small_disk: Path, call: str) -> None:
    """A disk that fills up while we write: our error, and the room is given back."""
    (small_disk / "full").write_bytes(b"f" * 48 * 1024)
    said = run(call, small_disk, size=40_000)
    assert said["code"] == "output_failed"
    assert "no space left" in said["message"]
    assert "make room" in said["hint"]
    assert names(small_disk) == ["full"]


@pytest.mark.power
def test_read_only_disk(small_disk: Path) -> None:
    """A disk mounted read-only: our error."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = run("publish", small_disk)
    assert said["code"] == "output_failed"
    assert "read-only file system" in said["message"]
