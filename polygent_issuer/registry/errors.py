"""What can be wrong with the registry, and each failure of SQLite as one of these errors.

No exception of SQLite leaves the registry. Its message may quote stored text, so only its symbolic
name is passed on. Result codes: https://www.sqlite.org/rescode.html.
"""

import re
import sqlite3
from pathlib import Path

from polygent_issuer.errors import (
    ExitCode,
    HomeProblem,
    InputRefused,
    IssuerError,
    OutputProblem,
)
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.schema import KEYS
from polygent_issuer.text import escape, escape_short


class RegistryMissing(HomeProblem):
    """There is no registry here, or its creation was interrupted; it is never made by the way."""

    code = "registry_missing"


class RegistryLocked(HomeProblem):
    """Another process kept the registry locked for longer than the busy timeout."""

    code = "registry_locked"


class RegistryDamaged(HomeProblem):
    """The file is no registry of this tool, or not as this tool left it."""

    code = "registry_damaged"


class RegistryFailed(HomeProblem):
    """The system could not read or write the registry: full disk, I/O error, no permission."""

    code = "registry_failed"


class Taken(InputRefused):
    """A slug, label, fingerprint or id that must be unique is there already."""

    code = "taken"


class RegistryMisuse(IssuerError):
    """A bug in this tool: it asked of the registry what is never allowed."""

    code = "registry_misuse"
    exit_code = ExitCode.BUG


# What the sqlite3 module itself raises while binding or fetching, besides its own errors.
FOREIGN = (sqlite3.Error, UnicodeError, OverflowError, MemoryError)

_TWICE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# SQLITE_ERROR: a table or column that our statement names is not there any more.
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
_HINTS = {
    sqlite3.SQLITE_FULL: "free some space on that disk and run the command again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for you",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder writable for you",
    sqlite3.SQLITE_PERM: "make the file and its folder writable for you",
    sqlite3.SQLITE_NOMEM: "free some memory and run the command again",
}
_KEYS = {**KEYS, "journal": "seq"}
_FROM = re.compile(r"\bFROM (\w+)")
# Subqueries have tables of their own; none of ours nests deeper.
_NESTED, _DEPTH = re.compile(r"\([^()]*\)"), 3
_BACK = run("registry", "restore", "BACKUP")
_VERIFY = Hint("see what else is damaged: ", run("journal", "verify"), "; then ")
_RESTORE = Hint("go back to your last backup: ", _BACK)
_WHAT_CHANGED = Hint(" what was changed; to go back to a backup: ", _BACK)


def display_path(path: Path) -> str:
    """Return the path as a message may show it."""
    return escape(str(path))


def is_busy(error: Exception) -> bool:
    """Check whether another connection holds a lock that this statement needs."""
    return _primary(error) in _BUSY


def translate(error: Exception, path: Path) -> IssuerError:
    """Return our error for what the sqlite3 module raised.

    Returns:
        RegistryLocked, RegistryDamaged, RegistryFailed, Taken (a UNIQUE constraint), InputRefused
        (text that is not Unicode) or RegistryMisuse (any other constraint, a bug).
    """
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, path)
    if isinstance(error, UnicodeEncodeError | OverflowError):
        return InputRefused("text or a number that the registry cannot hold")
    if isinstance(error, MemoryError):
        return _failed(sqlite3.SQLITE_NOMEM, "SQLITE_NOMEM", path)
    return damaged(path)


def _of_sqlite(error: sqlite3.Error, path: Path) -> IssuerError:
    code = _primary(error)
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return RegistryMisuse("the registry was used outside its transaction, or after closing")
    if isinstance(error, sqlite3.IntegrityError):
        return _constraint(error)
    if code in _BUSY:
        return RegistryLocked(
            f"another command keeps the registry {display_path(path)} locked",
            hint="let it finish, or answer its prompt, then run this one again",
        )
    if code is None or code in _DAMAGED:
        return damaged(path)
    return _failed(code, error.sqlite_errorname, path)


def not_copied(error: Exception, source: Path, target: Path) -> IssuerError:
    """Return `output_failed` for a copy that broke off, unless the source is to blame."""
    failure = translate(error, source)
    if not isinstance(failure, RegistryFailed):
        return failure
    name = getattr(error, "sqlite_errorname", "SQLITE_NOMEM")
    return OutputProblem(f"cannot write {display_path(target)} ({name})", hint=failure.hint)


def damaged(path: Path, what: str = "is damaged") -> RegistryDamaged:
    """Return the error for a registry that this tool did not leave so: `what` follows its path."""
    return RegistryDamaged(f"the registry {display_path(path)} {what}", hint=_RESTORE)


def tampered(path: Path, what: str, *, older: bool = False) -> RegistryDamaged:
    """Return the error for what only something else than this tool can have changed.

    Args:
        what: the object or the rows, and what is wrong with them.
        older: its tables are of an older version, so only `doctor` can open it.
    """
    look = Hint(run("doctor"), " shows") if older else Hint(run("journal", "verify"), " lists")
    return RegistryDamaged(
        f"the registry {display_path(path)} was changed outside polygent-issue: {what}; "
        "nothing was written to it",
        hint=Hint(look, _WHAT_CHANGED),
    )


def changed_row(path: Path, name: str) -> RegistryDamaged:
    """Return the error for a row, such as `licenses/ID`, that is not as the journal recorded it."""
    return RegistryDamaged(
        f"{escape(name)} in the registry {display_path(path)} is not as the journal last recorded "
        "it: it was changed outside polygent-issue",
        hint=Hint(
            run("journal", "verify"),
            " lists",
            _WHAT_CHANGED,
            "; without one, rebuild from the license files: ",
            run("registry", "import", "FILE", "--home", "NEW"),
        ),
    )


def damaged_row(path: Path, sql: str, row: tuple[object, ...]) -> RegistryDamaged:
    """Return the error for a row of a statement that has a value which this tool never writes."""
    error = damaged(path, f"has a row that cannot be read{_name(sql, row)}")
    error.hint = Hint(_VERIFY, _RESTORE)
    return error


def _name(sql: str, row: tuple[object, ...]) -> str:
    for _ in range(_DEPTH):
        sql = _NESTED.sub("", sql)
    match = _FROM.search(sql)
    if match is None:
        return ""
    if sql.startswith(f"SELECT {_KEYS.get(match[1])},"):
        return f": {match[1]}/{escape_short(str(row[0]))}"
    return f": one of its table {match[1]}"


def _primary(error: Exception) -> int | None:
    # Absent on what the sqlite3 module raises by itself, such as undecodable text.
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _constraint(error: sqlite3.IntegrityError) -> IssuerError:
    if error.sqlite_errorcode in _TWICE:
        # "UNIQUE constraint failed: licenses.id": names of ours, no stored text.
        columns = str(error).rpartition(": ")[2]
        return Taken(f"the same {columns} is in the registry already")
    return RegistryMisuse(f"a rule of the registry forbids this ({error.sqlite_errorname})")


def _failed(code: int, name: str, path: Path) -> RegistryFailed:
    return RegistryFailed(
        f"the registry {display_path(path)} cannot be read or written ({name})",
        hint=_HINTS.get(code, "look at the disk and its system log, then run the command again"),
    )
