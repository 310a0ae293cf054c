"""The translation of PostgreSQL's errors to those of the registry.

A server's message may quote stored text, so only its code (SQLSTATE) decides.
"""

import re
from typing import Final

import psycopg
from psycopg import errors as pg

from polygent_issuer.errors import HomeProblem, InputRefused, IssuerError
from polygent_issuer.registry.errors import (
    RegistryFailed,
    RegistryLocked,
    RegistryMisuse,
    Taken,
    damaged,
    display_place,
)
from polygent_issuer.text import Hint, escape, run

# The errors of the library, including those while binding or fetching values.
FOREIGN: Final = (psycopg.Error, UnicodeError, OverflowError, MemoryError)

_LOCKED: Final = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure)
_INPUT: Final = (pg.DataError, psycopg.DataError, UnicodeEncodeError, OverflowError)
_COLUMNS: Final = re.compile(r"\(([a-z_]+(?:, [a-z_]+)*)\)=\(")
_REFUSALS: Final = (
    *_LOCKED,
    *_INPUT,
    pg.InsufficientPrivilege,
    psycopg.IntegrityError,
    pg.RaiseException,
)
_FAILURES: Final = (
    psycopg.OperationalError,
    pg.ReadOnlySqlTransaction,
    pg.IdleInTransactionSessionTimeout,
)
_CREDENTIALS: Final = "keep it in ~/.pgpass (mode 0600), or use a client certificate"
_AUTHORITY: Final = (
    "the certificate of its authority belongs in ~/.postgresql/root.crt, or name its file in "
    "the URI: sslrootcert=FILE"
)
_ACCOUNT: Final = Hint(
    "ask the database's administrator for an account (", run("help", "team"), ")"
)
_NAME: Final = "check the name in the URI"
_ALLOWED: Final = (
    "check the user (PGUSER) and the database in the URI; the database's administrator allows "
    "them in pg_hba.conf"
)
_FREE: Final = "wait for others, or raise max_connections; then run the command again"
_WAIT: Final = "wait until the server runs, then run the command again"
# An error before the session begins has no code, and does not quote stored text.
_REFUSED: Final = (
    (
        "password authentication failed",
        "check the user (PGUSER) and the password in ~/.pgpass (mode 0600)",
    ),
    ("password", _CREDENTIALS),
    ("role ", _ACCOUNT),
    (
        "permission denied",
        "the database's administrator can run: GRANT CONNECT ON DATABASE … TO polygent_auditor",
    ),
    ("pg_hba", _ALLOWED),
    ("does not match host name", "name the host in the URI as the server's certificate does"),
    ("certificate", _AUTHORITY),
    (
        "does not support SSL",
        "the administrator can set ssl = on; for a local server name its socket: ?host=/FOLDER",
    ),
    ("too many", _FREE),
    ("connection slots", _FREE),
    ("database ", _NAME),
    ("definition of service", "check the name in the URI, and the file of libpq's services"),
    ("startup parameter", "a pool such as PgBouncer is not supported: name the server itself"),
    ("starting up", _WAIT),
    ("shutting down", _WAIT),
    ("read-only", "name the primary in the URI, or wait until there is one"),
)
_LOST: Final = ("08", "57P")
_NETWORK: Final = Hint(
    "check the network and the server (", run("doctor"), "), then run the command again"
)
_LONGEST: Final = 200
_HINTS: Final[tuple[tuple[type[psycopg.Error], str, str], ...]] = (
    (pg.InvalidPassword, "the server refused the password", _CREDENTIALS),
    (pg.InvalidAuthorizationSpecification, "the server refused the user", _ACCOUNT),
    (pg.InvalidCatalogName, "the database does not exist", _NAME),
    (pg.TooManyConnections, "the server has no free connection", _FREE),
    (
        pg.ReadOnlySqlTransaction,
        "the session cannot write, as on a standby",
        "name the primary, or add target_session_attrs=read-write to the URI",
    ),
    (pg.DiskFull, "the server's disk is full", "free space there, then run the command again"),
    (
        pg.IdleInTransactionSessionTimeout,
        "this command stopped for too long in a transaction, which was undone",
        "run the command again",
    ),
)


def translate(error: Exception, place: str) -> IssuerError:
    """Return the registry's error for an error of psycopg."""
    if isinstance(error, _REFUSALS):
        return _refused(error, place)
    if isinstance(error, _FAILURES):
        return failed(error, place)
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is not None:
        return damaged(place)  # a table or a column of the statement is missing
    if isinstance(error, psycopg.ProgrammingError | psycopg.InterfaceError):
        return RegistryMisuse("the registry was used outside its transaction, or after closing")
    if isinstance(error, MemoryError | psycopg.Error):
        return RegistryFailed(
            f"cannot read or write the registry {display_place(place)} ({_state(error)})"
        )
    return damaged(place)


def _refused(error: Exception, place: str) -> IssuerError:
    """Return the error for a statement that the server, or its client, refused."""
    where = display_place(place)
    if isinstance(error, _LOCKED):
        return RegistryLocked(
            f"the registry {where} is locked by another command",
            hint="wait for that command, then run this one again",
        )
    if isinstance(error, pg.InsufficientPrivilege):
        return HomeProblem(
            f"your role in the registry {where} does not allow this",
            hint=Hint(
                run("help", "team"),
                " lists the roles; the database's administrator grants them with ",
                run("registry", "roles", "--sql"),
            ),
            code="registry_role",
        )
    if isinstance(error, pg.UniqueViolation):
        return Taken(f"the registry already contains the same {_unique(error)}")
    if isinstance(error, _INPUT):
        return InputRefused("the registry cannot store a text or number from the input")
    return RegistryMisuse(f"a constraint of the registry failed ({_state(error)})")


def unreachable(error: psycopg.Error, place: str) -> RegistryFailed:
    """Return the error for a connection that was not made, with the reason that libpq names."""
    lines = str(error).splitlines() or [""]
    reason = next((line for line in reversed(lines) if " failed: " in line), lines[0])
    for before in ("connection is bad: ", "connection failed: ", "FATAL: "):
        reason = reason.rpartition(before)[2]
    reason = reason.strip()[:_LONGEST]
    hint = next((text for part, text in _REFUSED if part in reason), None)
    return RegistryFailed(
        f"cannot reach the registry {display_place(place)}: {escape(reason)}", hint=hint or _NETWORK
    )


def failed(error: psycopg.Error, place: str) -> RegistryFailed:
    """Return the error for a server that cannot be used, or a connection that was lost."""
    for kind, message, hint in _HINTS:
        if isinstance(error, kind):
            return RegistryFailed(
                f"cannot use the registry {display_place(place)}: {message}", hint=hint
            )
    code = error.sqlstate
    where = display_place(place)
    if code is None or code.startswith(_LOST):
        message = f"the connection to the registry {where} was lost"
    else:
        message = f"cannot use the registry {where}"
    return RegistryFailed(f"{message} ({code})" if code else message, hint=_NETWORK)


def _state(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or type(error).__name__


def _unique(error: pg.UniqueViolation) -> str:
    """Return the columns of the constraint, which contain no stored text, as SQLite names them."""
    # "Key (customer_id, label)=(7, prod) already exists.", in the language of the server.
    columns = _COLUMNS.search(error.diag.message_detail or "")
    if columns is None:
        return error.diag.constraint_name or "value"
    return ", ".join(f"{error.diag.table_name}.{name}" for name in columns[1].split(", "))
