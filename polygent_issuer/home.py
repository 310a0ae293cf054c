"""The home: the one folder that holds an operator's settings and registry.

Only a few commands make one (DESIGN, "Command line"); elsewhere a missing home is an error, so that
a mistyped `--home` never starts an empty registry. Whoever can write in the home decides what
is signed: one that belongs to somebody else, or that everybody may write to, is refused.
"""

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from polygent_issuer.errors import HomeMissing, HomeProblem
from polygent_issuer.text import shown

VARIABLE = "POLYGENT_ISSUER_HOME"
"""The environment variable that names the home when `--home` does not."""

_PRIVATE = 0o700


class UnsafeHome(HomeProblem):
    """Somebody else owns the home, or everybody may write to it."""

    code = "unsafe_home"


def default_home() -> Path:
    """Where the home is when nobody says otherwise: the platform's folder for a user's data."""
    from platformdirs import user_data_dir  # noqa: PLC0415 - not needed with --home

    return Path(user_data_dir("polygent-issuer", appauthor=False))


def locate(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The absolute path of the home, which need not exist.

    Args:
        option: what `--home` said; it wins.
        environ: the process's environment, for `POLYGENT_ISSUER_HOME`.

    Raises:
        HomeProblem: (`home_problem`) when the place is the empty text, or `~` has no meaning here.
    """
    named = environ.get(VARIABLE) if option is None else str(option)
    if named is None:
        return default_home()
    if not named:
        raise HomeProblem(f"{VARIABLE} is empty", hint=f"unset {VARIABLE}, or name a folder")
    try:
        return Path(named).expanduser().absolute()
    except (RuntimeError, OSError):
        raise HomeProblem(
            f"the home {shown(named)} cannot be found from here", hint="name the whole path"
        ) from None


def require(home: Path, *, user: int | None = None) -> tuple[str, ...]:
    """Judge a home before anything in it is read.

    Args:
        home: the folder.
        user: the uid that asks; the process's effective one when not given. On Windows neither
            owner nor mode is judged: the profile folder's access list protects the home.

    Returns:
        Warnings: who else can read the home, or write to it as a member of its group.

    Raises:
        HomeMissing: (`home_missing`) when there is none.
        UnsafeHome: (`unsafe_home`) when somebody else owns it or everybody may write to it.
        HomeProblem: (`home_problem`) when it is no folder or cannot be looked at.
    """
    found = _look(home)
    if user is None:
        if not hasattr(os, "geteuid"):
            return ()
        user = os.geteuid()
    return _judge(home, found, user)


def create(home: Path, *, user: int | None = None) -> tuple[str, ...]:
    """Make a home that only its owner can enter, and the folders above it.

    A folder that exists already is judged as `require` does and otherwise left as it is.

    Returns:
        The warnings of `require`.

    Raises:
        UnsafeHome: (`unsafe_home`) as `require`.
        HomeProblem: (`home_problem`) when the folder cannot be made.
    """
    try:
        home.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        home.mkdir(mode=_PRIVATE)
        home.chmod(_PRIVATE)  # whatever the umask left of it
    except FileExistsError:
        pass
    except (OSError, ValueError) as problem:
        raise _failed(home, "made", problem) from None
    return require(home, user=user)


def _look(home: Path) -> os.stat_result:
    try:
        found = home.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise HomeMissing(
            f"there is no home at {shown(str(home))}", hint="polygent-issue init"
        ) from None
    except (OSError, ValueError) as problem:
        raise _failed(home, "read", problem) from None
    if not stat.S_ISDIR(found.st_mode):
        raise HomeProblem(
            f"the home {shown(str(home))} is not a folder", hint="name a folder with --home"
        )
    return found


def _judge(home: Path, found: os.stat_result, user: int) -> tuple[str, ...]:
    place = shown(str(home))
    mend = f"chmod 700 {shlex.quote(place)}"
    if found.st_uid != user:
        raise UnsafeHome(
            f"the home {place} belongs to another user (uid {found.st_uid}, not {user})",
            hint="run this as its owner, or name a home of your own with --home",
        )
    if found.st_mode & stat.S_IWOTH:
        raise UnsafeHome(
            f"everybody may write to the home {place}",
            hint=f"{mend}, then look for changes: polygent-issue journal verify",
        )
    if found.st_mode & stat.S_IWGRP:
        return (f"the group of the home {place} may write to it: {mend}",)
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return (f"other users may look into the home {place}: {mend}",)
    return ()


def _failed(home: Path, verb: str, problem: OSError | ValueError) -> HomeProblem:
    reason = getattr(problem, "strerror", None) or "the path has characters that no path may have"
    return HomeProblem(
        f"the home {shown(str(home))} cannot be {verb}: {reason.lower()}",
        hint="choose another place with --home DIR",
    )
