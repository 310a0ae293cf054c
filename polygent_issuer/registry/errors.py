"""Errors of the registry, and the translation of SQLite's errors to them.

No exception of SQLite leaves this package. Its message may quote stored text, so only the symbolic
name is used. Result codes: https://www.sqlite.org/rescode.html.
"""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from polygent_issuer.errors import (
    Ambiguous,
    ExitCode,
    HomeProblem,
    InputRefused,
    IssuerError,
    NotFound,
    OutputProblem,
)
from polygent_issuer.registry import schema
from polygent_issuer.registry_uri import is_database
from polygent_issuer.text import Hint, escape, escape_short, run

Place = Path | str
"""The file of a registry, or the URI of its database."""
NAMED: Final = 5
"""The number of matches that a hint names."""


class RegistryMissing(HomeProblem):
    """The registry does not exist, or its creation was interrupted; only `create` makes one."""

    code = "registry_missing"


class RegistryLocked(HomeProblem):
    """Another process kept the registry locked for longer than the busy timeout."""

    code = "registry_locked"


class RegistryMoved(HomeProblem):
    """The content of the registry was moved to another place, or this copy is not yet in use."""

    code = "registry_moved"


class RegistryDamaged(HomeProblem):
    """The file is not a registry of this tool, or was changed or damaged."""

    code = "registry_damaged"


class RegistryFailed(HomeProblem):
    """The system cannot read or write the registry: full disk, I/O error, no permission."""

    code = "registry_failed"


class Taken(InputRefused):
    """A slug, label, fingerprint or id that must be unique already exists."""

    code = "taken"


class RegistryMisuse(IssuerError):
    """A bug in this tool: it used the registry in a way that is never allowed."""

    code = "registry_misuse"
    exit_code = ExitCode.BUG


# The errors of the sqlite3 module, including those while binding or fetching values.
FOREIGN = (sqlite3.Error, UnicodeError, OverflowError, MemoryError)

_TWICE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# SQLITE_ERROR: a table or column of the statement is missing.
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
_HINTS = {
    sqlite3.SQLITE_FULL: "free space on that disk, then run the command again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for you",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder writable for you",
    sqlite3.SQLITE_PERM: "make the file and its folder writable for you",
    sqlite3.SQLITE_NOMEM: "free memory, then run the command again",
}
_KEYS = {**schema.KEYS, "journal": "seq"}
_FROM = re.compile(r"\bFROM (\w+)")
# Subqueries have their own tables; none in this package nests deeper.
_NESTED, _DEPTH = re.compile(r"\([^()]*\)"), 3
_BACK = run("registry", "restore", "BACKUP")
_VERIFY = Hint("list all damage with ", run("journal", "verify"), "; then ")
_RESTORE = Hint("restore your last backup: ", _BACK)
_WHAT_CHANGED = Hint(" the changes; to restore a backup: ", _BACK)


def display_place(place: Place) -> str:
    """Return the file or the database of a registry, escaped for a message."""
    return escape(str(place))


def exists(place: Place) -> HomeProblem:
    """Return the error for a place that has a registry already."""
    return HomeProblem(
        f"{display_place(place)} already exists",
        hint="choose another folder with --home DIR",
        code="registry_exists",
    )


def is_busy(error: Exception) -> bool:
    """Return whether another connection has a lock that the statement needs."""
    return _primary(error) in _BUSY


def translate(error: Exception, place: Place) -> IssuerError:
    """Return the registry's error for an error of the sqlite3 module.

    Returns:
        RegistryLocked, RegistryDamaged, RegistryFailed, Taken (a UNIQUE constraint), InputRefused
        (text that is not Unicode), or RegistryMisuse (any other constraint: a bug).
    """
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, place)
    if isinstance(error, UnicodeEncodeError | OverflowError):
        return InputRefused("the registry cannot store a text or number from the input")
    if isinstance(error, MemoryError):
        return _failed(sqlite3.SQLITE_NOMEM, "SQLITE_NOMEM", place)
    return damaged(place)


def not_copied(error: Exception, source: Place, target: Path) -> IssuerError:
    """Return `output_failed` for a failed copy, unless the error is in the source."""
    failure = translate(error, source)
    if not isinstance(failure, RegistryFailed):
        return failure
    name = getattr(error, "sqlite_errorname", "SQLITE_NOMEM")
    return OutputProblem(f"cannot write {escape(str(target))} ({name})", hint=failure.hint)


def damaged(place: Place, what: str = "is damaged") -> RegistryDamaged:
    """Return the error for a damaged registry; `what` follows its path in the message."""
    return RegistryDamaged(f"the registry {display_place(place)} {what}", hint=_RESTORE)


def tampered(place: Place, what: str, *, older: bool = False) -> RegistryDamaged:
    """Return the error for a change that was made outside this tool.

    Args:
        what: the object or the rows, and the problem.
        older: the tables have an older version, so only `doctor` can open the file.
    """
    look = Hint(run("doctor"), " shows") if older else Hint(run("journal", "verify"), " lists")
    return RegistryDamaged(
        f"the registry {display_place(place)} was changed outside polygent-issue: {what}; "
        "nothing was written to it",
        hint=Hint(look, _WHAT_CHANGED),
    )


def changed_row(place: Place, name: str) -> RegistryDamaged:
    """Return the error for a row, such as `licenses/ID`, that differs from the journal."""
    return RegistryDamaged(
        f"{escape(name)} in the registry {display_place(place)} differs from the journal: it was "
        "changed outside polygent-issue",
        hint=Hint(
            run("journal", "verify"),
            " lists",
            _WHAT_CHANGED,
            "; without a backup, rebuild the registry from the license files: ",
            run("registry", "import", "FILE", "--home", "NEW"),
        ),
    )


def moved(
    place: Place, target: str, row: Mapping[str, Any], *, is_unfinished: bool
) -> RegistryMoved:
    """Return the error for a registry whose content was moved, or whose move is unfinished.

    Args:
        target: where its content is, or will be.
        row: the last journal row.
        is_unfinished: whether it is the copy of a move.
    """
    where, move = display_place(place), run("registry", "move", "--to", target)
    if is_unfinished:
        return RegistryMoved(
            f"the registry {where} is not yet in use: its move was interrupted",
            hint=Hint("finish it in the home where it began: ", move),
        )
    host = escape(str(row.get("host")))
    hint: str = f"use the home with that file on the host {host}: --home DIR"
    if is_database(target):
        hint = Hint("let this home use it there: ", move)
    operator = escape(str(row.get("operator")))
    return RegistryMoved(
        f"the registry {where} is closed: {operator} moved it to {escape(target)}", hint=hint
    )


def not_found(
    message: str, suggestion: str | None, every: Hint, *, otherwise: Hint | None = None
) -> NotFound:
    """Return a `not_found` error; without a suggestion its hint is `otherwise`.

    Args:
        every: the command that lists everything.
    """
    if not suggestion:
        return NotFound(message, hint=otherwise or every)
    return NotFound(message, hint=Hint(f"did you mean {suggestion}? or ", every))


def ambiguous(message: str, names: Sequence[str]) -> Ambiguous:
    """Return an `ambiguous` error; the hint names the first matches."""
    return Ambiguous(message, hint=give_one_of(names))


def give_one_of(names: Sequence[str]) -> str:
    """Return a hint that names the first of several matches."""
    more = ", …" if len(names) > NAMED else ""
    return f"give one of {', '.join(names[:NAMED])}{more}"


def first_problems(problems: Sequence[str]) -> str:
    """Return the first three problems in one line, with the number of the others."""
    left = len(problems) - 3
    return "; ".join((*problems[:3], *([f"and {left} more"] if left > 0 else [])))


def damaged_row(place: Place, sql: str, row: tuple[object, ...]) -> RegistryDamaged:
    """Return the error for a row of a statement with a value that this tool never writes."""
    error = damaged(place, f"has a row that cannot be read{_name(sql, row)}")
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
    return f" in the table {match[1]}"


def _of_sqlite(error: sqlite3.Error, place: Place) -> IssuerError:
    code = _primary(error)
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return RegistryMisuse("the registry was used outside its transaction, or after closing")
    if isinstance(error, sqlite3.IntegrityError):
        return _constraint(error)
    if code in _BUSY:
        return RegistryLocked(
            f"the registry {display_place(place)} is locked by another command",
            hint="wait for that command or answer its prompt, then run this one again",
        )
    if code is None or code in _DAMAGED:
        return damaged(place)
    return _failed(code, error.sqlite_errorname, place)


def _primary(error: Exception) -> int | None:
    # Errors of the sqlite3 module itself, such as undecodable text, have no code.
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _constraint(error: sqlite3.IntegrityError) -> IssuerError:
    if error.sqlite_errorcode in _TWICE:
        # "UNIQUE constraint failed: licenses.id" contains names of columns, no stored text.
        columns = str(error).rpartition(": ")[2]
        return Taken(f"the registry already contains the same {columns}")
    return RegistryMisuse(f"a constraint of the registry failed ({error.sqlite_errorname})")


def _failed(code: int, name: str, place: Place) -> RegistryFailed:
    return RegistryFailed(
        f"cannot read or write the registry {display_place(place)} ({name})",
        hint=_HINTS.get(code, "check the disk and the system log, then run the command again"),
    )
