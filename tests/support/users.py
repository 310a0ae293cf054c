"""Other users of the machine: their files, and commands that they run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.tools import require_tool

ADA, GRACE = 54321, 54322
"""Two uids, with equal gids, without an account."""
_READ_ALL = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")


def require_root() -> None:
    """Skip the test without root, which is needed to change owners; with `CI=true` fail it."""
    if os.geteuid() != 0:
        reason = "needs root, to give files to other users"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def give(*paths: Path, user: int, group: int | None = None) -> None:
    """Give files, links and whole folders to a user."""
    require_root()
    for path in paths:
        inner = () if path.is_symlink() else path.rglob("*")
        for each in (path, *inner):
            os.lchown(each, user, user if group is None else group)


@contextmanager
def lowered(user: int) -> Iterator[None]:
    """Become another user in this process, without root's rights."""
    require_root()
    os.setresuid(user, user, 0)  # access(2) checks the real uid
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
    """Run the tool as a user without other groups, with only these variables.

    The process may read every file, since only root may be able to read Python itself. It may not
    write more than its user.

    Args:
        user: the uid, and the gid.
        argv: the command line.
        accounts: files that replace `/etc/passwd` and similar ones, by the path that they replace.
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
