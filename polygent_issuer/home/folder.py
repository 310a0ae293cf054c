"""The home: the one folder that holds an operator's settings and registry.

Only a few commands make one (DESIGN, "Command line"); elsewhere a missing home is an error, so that
a mistyped `--home` never starts an empty registry. Whoever can write in the home decides what
is signed: one that another user owns, or may write to, is refused (`files.reading`).
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from polygent_issuer.errors import HomeMissing, HomeProblem
from polygent_issuer.files import disk, reading
from polygent_issuer.hints import Hint, run
from polygent_issuer.text import escape, for_shell

VARIABLE = "POLYGENT_ISSUER_HOME"
"""The environment variable that names the home when `--home` does not."""

_PRIVATE = 0o700
_NAME_ONE: Final = f"name the home: --home DIR, or export {VARIABLE}=DIR"


class UnsafeHome(HomeProblem):
    """Another user owns the home, or may write to it."""

    code = "unsafe_home"


def default_home() -> Path:
    """Return the default place of the home: the platform's folder for a user's data.

    Raises:
        HomeMissing: (`home_missing`) for a user without an account and an absolute `HOME`.
    """
    from platformdirs import user_data_dir  # noqa: PLC0415 - not needed with --home

    try:
        folder = Path(user_data_dir("polygent-issuer", appauthor=False))
        if folder.is_absolute():  # older versions of platformdirs leave `~` as it is
            return folder
    except RuntimeError:
        pass
    raise HomeMissing(
        "there is no default home: HOME is not set, and this user has no account here",
        hint=_NAME_ONE,
    )


def locate(option: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the home, which need not exist; `option` is that of `--home`.

    Raises:
        HomeMissing: (`home_missing`) as `default_home`.
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
            f"the home {escape(named)} cannot be found from here", hint="name the whole path"
        ) from None


def require(home: Path, *, user: int | None = None) -> tuple[str, ...]:
    """Judge a home before anything in it is read; return warnings: that others can read it.

    On Windows neither owner nor mode is judged: the profile folder's access list protects the home.

    Args:
        user: the uid that asks; the process's effective one when not given.

    Raises:
        HomeMissing: (`home_missing`) when there is none.
        UnsafeHome: (`unsafe_home`) when another user owns it or may write to it.
        HomeProblem: (`home_problem`) when it is no folder or cannot be looked at.
    """
    try:
        status = home.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise HomeMissing(f"there is no home at {escape(str(home))}", hint=run("init")) from None
    except (OSError, ValueError) as problem:
        raise _failed(home, "read", problem) from None
    if not stat.S_ISDIR(status.st_mode):
        raise HomeProblem(
            f"the home {escape(str(home))} is not a folder", hint="name a folder with --home"
        )
    if user is None:
        if not hasattr(os, "geteuid"):
            return ()
        user = os.geteuid()
    exposure = reading.exposure_of(home, "home", status, user=user)
    if exposure is not None:
        hint = exposure.hint(reading.LOOK_FOR_CHANGES)
        raise UnsafeHome(
            exposure.message, hint=Hint(hint, "; or name another home with --home DIR")
        )
    place = escape(str(home))
    if status.st_uid != user and not os.access(home, os.R_OK | os.X_OK):
        raise UnsafeHome(
            f"the home {place} belongs to another user (uid {status.st_uid}, not {user})",
            hint="run this as its owner, or name another home with --home DIR",
        )
    if reading.is_open_to_others(status):
        return (f"other users may look into the home {place}: chmod 700 {for_shell(str(home))}",)
    return ()


def create(home: Path) -> tuple[str, ...]:
    """Make a home that only its owner can enter, and the folders above it.

    A folder that exists already is left as it is. Return the warnings of `require`.

    Raises:
        UnsafeHome: (`unsafe_home`) as `require`.
        HomeProblem: (`home_problem`) when the folder cannot be made.
    """
    made: list[Path] = []
    try:
        above = [folder for folder in home.parents if not folder.exists()]
        for folder in (*reversed(above), home):
            folder.mkdir(mode=_PRIVATE, exist_ok=folder != home)
            made.append(folder)
        disk.make_private(home, _PRIVATE)
    except FileExistsError:
        pass
    except (OSError, ValueError) as problem:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise _failed(home, "made", problem) from None
    return require(home)


def _failed(home: Path, verb: str, problem: OSError | ValueError) -> HomeProblem:
    reason = getattr(problem, "strerror", None) or "the path has characters that no path may have"
    return HomeProblem(
        f"the home {escape(str(home))} cannot be {verb}: {reason.lower()}",
        hint="choose another place with --home DIR",
    )
