"""Publication under real faults: each step fails once, and no partial file is left.

The faults come from the kernel, or strace injects them into system calls. The code under test is
not replaced.
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

from polygent_issuer.files.disk import sweep

pytestmark = pytest.mark.slow

# The C library calls one of these, depending on the architecture; ? ignores a missing one.
MOVES = "?rename,?renameat,renameat2"

# Runs one call in its own process and prints the result as JSON. The imports come first, because
# faults are injected by the number of a call.
SCRIPT = """
import json, os, resource, sys
from pathlib import Path
from polygent_issuer.files import publication, reading
from polygent_issuer.errors import IssuerError
call, folder, size, limits = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if "file size" in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
if "user" in limits and os.geteuid() == 0:
    os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
os.umask(0o022)
data = b"x" * size
try:
    {"publish": lambda: publication.publish(data, folder / "x.lic"),
     "replace": lambda: publication.replace(data, folder / "x.lic"),
     "read": lambda: reading.read_bounded(str(folder / "x.lic"), limit=10**9, what="license file"),
     "private": lambda: publication.write_private(data, folder / "x.lic")}[call]()
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
    """Run one call with up to two faults and return its result; empty if it was killed."""
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
    result: dict[str, Any] = json.loads(done.stdout or "{}")
    return result


def names(folder: Path) -> list[str]:
    """List a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize(
    ("inject", "message", "hint"),
    [
        ("fsync:error=EIO:when=1", "input/output error", "disk"),
        ("fsync:error=ENOSPC:when=1", "no space left", "free space"),
        ("fsync:error=EDQUOT:when=1", "quota", "quota"),
        ("linkat:error=EIO:when=1", "input/output error", "disk"),
        ("linkat:error=ENOSPC:when=1", "no space left", "free space"),
        ("linkat:error=EACCES:when=1", "permission denied", "another path"),
        ("linkat:error=EROFS:when=1", "read-only file system", "another path"),
    ],
)
@pytest.mark.parametrize("call", ["publish", "private"])
def test_fault_before_the_name(
    tmp_path: Path, call: str, inject: str, message: str, hint: str
) -> None:
    """If the sync of the temporary file or the link fails, an error is raised and nothing left."""
    result = run(call, tmp_path, inject=inject)
    assert result["code"] == "output_failed"
    assert message in result["message"]
    assert hint in result["hint"]
    assert names(tmp_path) == []


def test_fault_of_the_folders_sync(tmp_path: Path) -> None:
    """If the sync of the folder fails, an error is raised; the file can be published again."""
    result = run("publish", tmp_path, inject="fsync:error=EIO:when=2")
    assert result["code"] == "output_failed"
    assert names(tmp_path) == ["x.lic"]
    assert (tmp_path / "x.lic").read_bytes() == b"x" * 5000
    assert run("publish", tmp_path)["code"] == "done"


@pytest.mark.parametrize("error", ["EINVAL", "EBADF", "EOPNOTSUPP"])
def test_folder_that_cannot_be_synced(tmp_path: Path, error: str) -> None:
    """A file system that cannot sync folders is not an error."""
    result = run("publish", tmp_path, inject=f"fsync:error={error}:when=2")
    assert result["code"] == "done"
    assert names(tmp_path) == ["x.lic"]


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"])
def test_file_system_without_hard_links(tmp_path: Path, error: str) -> None:
    """Without hard links (FAT, shares, FUSE) the file is renamed over a reserved name."""
    result = run("publish", tmp_path, inject=f"linkat:error={error}")
    assert result["code"] == "done"
    assert names(tmp_path) == ["x.lic"]
    assert (tmp_path / "x.lic").read_bytes() == b"x" * 5000
    assert (tmp_path / "x.lic").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("there", [b"", b"other", b"x" * 5000])
def test_nothing_is_overwritten_without_hard_links_either(tmp_path: Path, there: bytes) -> None:
    """Without hard links an existing file with other bytes is not overwritten either."""
    (tmp_path / "x.lic").write_bytes(there)
    result = run("publish", tmp_path, inject="linkat:error=EPERM")
    assert result["code"] == ("done" if there == b"x" * 5000 else "output_exists")
    assert (tmp_path / "x.lic").read_bytes() == there
    assert names(tmp_path) == ["x.lic"]


def test_fault_of_the_rename_releases_the_name(tmp_path: Path) -> None:
    """Without hard links, if the rename fails, the reserved name is released."""
    result = run("publish", tmp_path, inject=f"{MOVES}:error=EIO", also="linkat:error=EPERM")
    assert result["code"] == "output_failed"
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("call", "number"),
    [("fsync", 1), ("fchmod", 1), ("linkat", 1), ("fsync", 2), ("?unlink,unlinkat", 1)],
)
def test_kill_at_every_step(tmp_path: Path, call: str, number: int) -> None:
    """A kill -9 leaves no file or the complete one; the next command can finish and sweep."""
    assert run("publish", tmp_path, inject=f"{call}:signal=KILL:when={number}") == {}
    target = tmp_path / "x.lic"
    assert not target.exists() or target.read_bytes() == b"x" * 5000
    assert run("publish", tmp_path)["code"] == "done"
    sweep(tmp_path, ".polygent-")
    assert names(tmp_path) == ["x.lic"]


def test_kill_while_a_name_is_reserved(tmp_path: Path) -> None:
    """Without hard links a kill may leave an empty file; the error's hint mentions that."""
    killed = run("publish", tmp_path, inject=f"{MOVES}:signal=KILL", also="linkat:error=EPERM")
    assert killed == {}
    target = tmp_path / "x.lic"
    assert target.read_bytes() in (b"", b"x" * 5000)
    if not target.read_bytes():
        result = run("publish", tmp_path)
        assert result["code"] == "output_exists"
        assert "empty" in result["hint"]


@pytest.mark.parametrize("call", ["publish", "private", "replace"])
def test_limit_on_file_sizes(tmp_path: Path, call: str) -> None:
    """If `ulimit -f` limits the write, an error is raised and nothing is left."""
    result = run(call, tmp_path, limits="file size")
    assert result["code"] == "output_failed"
    assert "too large" in result["message"]
    assert "ulimit -f" in result["hint"]
    assert names(tmp_path) == []


@pytest.mark.parametrize("fault", ["fsync:error=EIO:when=1", "fsync:error=ENOSPC:when=1"])
def test_replace_keeps_the_old_content(tmp_path: Path, fault: str) -> None:
    """If new settings cannot be written, the old ones stay."""
    (tmp_path / "x.lic").write_bytes(b"old")
    assert run("replace", tmp_path, inject=fault)["code"] == "output_failed"
    assert (tmp_path / "x.lic").read_bytes() == b"old"
    assert names(tmp_path) == ["x.lic"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own folders are for one user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        folder.mkdir()
        folder.parent.chmod(0o755)
        yield folder


def test_folder_without_permission(open_folder: Path) -> None:
    """A folder without write permission is named in the error, not the temporary file."""
    open_folder.chmod(0o555)
    result = run("publish", open_folder, limits="user")
    assert result["code"] == "output_failed"
    assert result["message"] == f"cannot write into {open_folder}: permission denied"
    assert result["hint"] == "choose another path"
    assert names(open_folder) == []


def test_folder_that_may_be_written_but_not_read(open_folder: Path) -> None:
    """A file is published into a folder that cannot be opened for a sync (a drop box)."""
    open_folder.chmod(0o333)
    result = run("publish", open_folder, limits="user")
    open_folder.chmod(0o755)
    assert result["code"] == "done"
    assert names(open_folder) == ["x.lic"]


def test_file_without_permission(open_folder: Path) -> None:
    """A file without read permission is `unreadable_input`."""
    (open_folder / "x.lic").write_bytes(b"x")
    (open_folder / "x.lic").chmod(0)
    result = run("read", open_folder, limits="user")
    assert result["code"] == "unreadable_input"
    assert "permission denied" in result["message"]


def test_fault_of_a_read(tmp_path: Path) -> None:
    """An I/O error while reading is `unreadable_input`."""
    path = tmp_path / "x.lic"
    path.write_bytes(b"x")
    result = run("read", tmp_path, inject="read:error=EIO", only=path)
    assert result["code"] == "unreadable_input"
    assert "input/output error" in result["message"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted disk of 64 KiB."""
    with mounted(tmp_path / "disk", size="64k") as folder:
        yield folder


@pytest.mark.power
@pytest.mark.parametrize("call", ["publish", "private", "replace"])
def test_full_disk(small_disk: Path, call: str) -> None:
    """If the disk fills up during the write, an error is raised and the space released."""
    (small_disk / "full").write_bytes(b"f" * 48 * 1024)
    result = run(call, small_disk, size=40_000)
    assert result["code"] == "output_failed"
    assert "no space left" in result["message"]
    assert "free space" in result["hint"]
    assert names(small_disk) == ["full"]


@pytest.mark.power
def test_read_only_disk(small_disk: Path) -> None:
    """Writing to a disk that is mounted read-only is `output_failed`."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = run("publish", small_disk)
    assert result["code"] == "output_failed"
    assert "read-only file system" in result["message"]
