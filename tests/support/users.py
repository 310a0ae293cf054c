"""Other users of the machine: what belongs to them, and commands that they run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.tools import require_tool

ADA, GRACE = 54321, 54322
"""Two uids, and gids of the same numbers, that no account of the machine has."""
_READ_ALL = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")


def require_root() -> None:
    """Only root can give files away; under `CI=true` nothing may be left out silently."""
    if os.geteuid() != 0:
        reason = "needs root, to give files to other users"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def give(*paths: Path, user: int, group: int | None = None) -> None:
    """Give files, folders and links to a user; all of a folder."""
    require_root()
    for path in paths:
        inner = () if path.is_symlink() else path.rglob("*")
        for each in (path, *inner):
            os.lchown(each, user, user if group is None else group)


@contextmanager
def lowered(user: int) -> Iterator[None]:
    """Be another user in this process, without root's rights."""
    require_root()
    os.setresuid(user, user, 0)  # access(2) goes by the real one
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def run_as(
    user: int,
    *argv: str,
    accounts: dict[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    **environ: str,
) -> subprocess.CompletedProcess[str]:
    """Run the tool as a user without other groups, with these variables alone.

    The process may read every file, since Python itself may be where only root can read; it may
    not write more than its user.

    Args:
        user: the uid, and the gid.
        argv: the command line.
        accounts: files that stand in for `/etc/passwd` and the like, by the path they replace.
        stdin: a descriptor.
        environ: the environment, next to PATH.
    """
    require_root()
    words = [f"mount --bind {new} {old}" for old, new in (accounts or {}).items()]
    become = [require_tool("setpriv", "util-linux"), "--reuid", str(user), "--regid", str(user)]
    command = [*become, "--clear-groups", *_READ_ALL, sys.executable, "-m", "polygent_issuer"]
    inner = ["sh", "-ec", "\n".join([*words, 'exec "$@"']), "sh", *command, *argv]
    return subprocess.run(
        [require_tool("unshare", "util-linux"), "--mount", *inner] if words else inner,
        check=False,
        capture_output=True,
        text=True,
        stdin=stdin,
        env={"PATH": os.environ["PATH"], **environ},
        cwd="/",
    )
