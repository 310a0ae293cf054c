"""The home: its folder, the text of its settings file, and its id.

Only a few commands create one (DESIGN, "Command line"). For the others a missing home is an error,
so that a mistyped `--home` never creates an empty registry. A user who can write to the home can
decide what is signed, so a home that another user owns or may write to is refused
(`files.reading`).
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from polygent_issuer.errors import (
    HomeMissing,
    HomeProblem,
    InvalidSettings,
    OutputExists,
    UnreadableInput,
)
from polygent_issuer.files import disk, publication, reading
from polygent_issuer.files.reading import NotUtf8, read_text
from polygent_issuer.text import Hint, backslash_hint, escape, for_shell, run

VARIABLE = "POLYGENT_ISSUER_HOME"
"""The environment variable for the home; `--home` overrides it."""

SETTINGS_FILE = "settings.toml"
LIMIT = 64 * 1024
"""The largest settings file, in bytes."""
BY_HAND: Final = Hint("edit the settings file; ", run("config", "path"), " prints its path")
"""The hint for what no command can change."""
HOME_ID_FILE: Final = "home-id"
"""The file with the id of the home, by which a registry that several share knows whose files are
pending. A copy of the folder keeps it."""

_PRIVATE = 0o700
_NAME_ONE: Final = f"give the home: --home DIR, or export {VARIABLE}=DIR"
_ID_LIMIT: Final = 100
_ID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")


class UnsafeHome(HomeProblem):
    """Another user owns the home, or may write to it."""

    code = "unsafe_home"


def default_home() -> Path:
    """Return the default path of the home: the platform's folder for a user's data.

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
        "no default home: HOME is not set, and this user has no account", hint=_NAME_ONE
    )


def locate(option: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the home, which need not exist; `option` is that of `--home`.

    Raises:
        HomeMissing: (`home_missing`) as `default_home`.
        HomeProblem: (`home_problem`) for an empty path, or when `~` cannot be expanded.
    """
    named = environ.get(VARIABLE) if option is None else str(option)
    if named is None:
        return default_home()
    if not named:
        raise HomeProblem(f"{VARIABLE} is empty", hint=f"unset {VARIABLE}, or set it to a folder")
    try:
        return Path(named).expanduser().absolute()
    except (RuntimeError, OSError):
        raise HomeProblem(
            f"cannot resolve the path of the home {escape(named)}", hint="give the absolute path"
        ) from None


def require(home: Path, *, user: int | None = None) -> tuple[str, ...]:
    """Check a home before anything in it is read; return a warning if other users can read it.

    On Windows neither owner nor mode is checked: the access list of the profile folder protects it.

    Args:
        user: the uid of the user; default: the effective one of the process.

    Raises:
        HomeMissing: (`home_missing`) when the folder does not exist.
        UnsafeHome: (`unsafe_home`) when another user owns it or may write to it.
        HomeProblem: (`home_problem`) when it is not a folder or cannot be read.
    """
    try:
        status = home.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise HomeMissing(
            f"the home {escape(str(home))} does not exist", hint=run("init")
        ) from None
    except (OSError, ValueError) as error:
        raise _failed(home, "read", error) from None
    if not stat.S_ISDIR(status.st_mode):
        raise HomeProblem(
            f"the home {escape(str(home))} is not a folder", hint="give a folder with --home"
        )
    if user is None:
        if not hasattr(os, "geteuid"):
            return ()
        user = os.geteuid()
    exposure = reading.exposure_of(home, "home", status, user=user)
    if exposure is not None:
        hint = exposure.hint(reading.LOOK_FOR_CHANGES)
        raise UnsafeHome(exposure.message, hint=Hint(hint, "; or use another home with --home DIR"))
    place = escape(str(home))
    if status.st_uid != user and not os.access(home, os.R_OK | os.X_OK):
        raise UnsafeHome(
            f"the home {place} belongs to another user (uid {status.st_uid}, not {user})",
            hint="run this as its owner, or use another home with --home DIR",
        )
    if reading.is_open_to_others(status):
        return (f"other users can read the home {place}: chmod 700 {for_shell(str(home))}",)
    return ()


def create(home: Path) -> tuple[str, ...]:
    """Create a folder for a home, accessible only to its owner, and its parent folders.

    An existing folder is not changed. Return the warnings of `require`.

    Raises:
        UnsafeHome: (`unsafe_home`) as `require`.
        HomeProblem: (`home_problem`) when the folder cannot be created.
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
        raise _failed(home, "create", problem) from None
    return require(home)


def _failed(home: Path, verb: str, problem: OSError | ValueError) -> HomeProblem:
    reason = getattr(problem, "strerror", None) or "the path has invalid characters"
    return HomeProblem(
        f"cannot {verb} the home {escape(str(home))}: {reason.lower()}",
        hint="choose another folder with --home DIR",
    )


def settings_text(path: Path) -> str:
    """Read a settings file; a missing one is empty. A byte order mark is dropped.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns it or may write to it.
        InvalidSettings: (`invalid_settings`) when it cannot be read, is too large or not UTF-8.
    """
    if _is_missing(path):
        return ""
    try:
        return read_text(str(path), limit=LIMIT, what="settings file", trusted=True)
    except NotUtf8 as refused:
        raise InvalidSettings(refused.message, hint=refused.hint) from None
    except UnreadableInput as refused:
        raise InvalidSettings(refused.message, hint="check the file and its permissions") from None


def parse(text: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises:
        InvalidSettings: (`invalid_settings`) with the line of the syntax error.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InvalidSettings("invalid TOML: nested too deeply", hint=BY_HAND) from None
    except ValueError as problem:  # not TOMLDecodeError for a number of thousands of digits
        message = str(problem)
        raise InvalidSettings(
            f"invalid TOML: {escape(message[:1].lower() + message[1:])}",
            hint=backslash_hint(text, message) or BY_HAND,
        ) from None


def may_name_database(home: Path) -> bool:
    """Return whether the settings may name a team's database; True if they cannot be read.

    Many commands need no other setting. So this looks for a line with the setting, without loading
    the settings, which takes 30 ms.
    """
    try:
        lines = settings_text(home / SETTINGS_FILE).splitlines()
    except InvalidSettings:
        return True
    lines = [line for line in map(str.lstrip, lines) if not line.startswith("#")]
    return any("registry" in line or "\\" in line for line in lines)


def _is_missing(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass  # reading it reports the problem
    return False


def id_of(home: Path) -> str | None:
    """Return the id of a home; None if it has none yet.

    Raises:
        HomeProblem: (`home_problem`, `unsafe_file`) when the file cannot be read, is not an id, or
            another user may write to it.
    """
    path = home / HOME_ID_FILE
    if not path.exists():
        return None
    try:
        text = reading.read_text(str(path), limit=_ID_LIMIT, what="home's id", trusted=True).strip()
    except UnreadableInput as refused:
        raise _not_an_id(refused.message) from None
    if not _ID.fullmatch(text):
        raise _not_an_id(f"{escape(str(path))} does not contain the id of a home")
    return text


def ensure_id(home: Path, new_id: str) -> str:
    """Return the id of a home; it becomes `new_id` if it has none yet.

    Raises:
        HomeProblem: as `id_of`.
        OutputProblem: (`output_failed`) when it cannot be written.
    """
    present = id_of(home)
    if present is not None:
        return present
    try:
        publication.write_private(f"{new_id}\n".encode(), home / HOME_ID_FILE)
    except OutputExists:  # of another command
        return id_of(home) or new_id
    return new_id


def _not_an_id(message: str) -> HomeProblem:
    return HomeProblem(
        message,
        hint=Hint(
            "remove the file, and a new one is created; to list undelivered licenses: ",
            run("doctor"),
        ),
    )
