"""The begin of a transaction, the state that it returns, and the outcome of its COMMIT.

A COMMIT may be not answered, or not confirmed by a standby.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from polygent_issuer.errors import IssuerError
from polygent_issuer.registry.engine import MOVED_TO, REGISTRY_ID, Connection, State
from polygent_issuer.registry.errors import Place, RegistryFailed, display_place
from polygent_issuer.registry.postgres import roles
from polygent_issuer.registry.postgres.roles import Session
from polygent_issuer.registry.postgres.server import LOCK
from polygent_issuer.text import Hint, run

# A command that hangs there, as at a dead network disk, does not lock out the others for good. A
# move of a large registry checks its copy meanwhile, which takes minutes.
BEGIN: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    "SET LOCAL idle_in_transaction_session_timeout = '5min'",
    f"SELECT pg_advisory_xact_lock({LOCK})",
)
# For rows that the journal does not record. If the server crashes, the next command writes them.
UNLOCKED: Final = ("BEGIN ISOLATION LEVEL READ COMMITTED", "SET LOCAL synchronous_commit = off")
# The lock comes before the snapshot: a command that waits while a backup replaces the tables then
# sees the new rows.
SNAPSHOT: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "LOCK TABLE polygent.tables IN ACCESS SHARE MODE",
)
# The columns of `State`.
_COLUMNS: Final = f"""version, seq, hash, at, ({MOVED_TO}), ({REGISTRY_ID}),
    EXISTS (SELECT FROM outbox)"""
_TABLES: Final = """tables
    LEFT JOIN (SELECT seq, hash, at FROM journal ORDER BY seq DESC LIMIT 1) AS newest ON TRUE"""
STATE: Final = f"SELECT {_COLUMNS} FROM {_TABLES}"  # noqa: S608  # of our own
# One round trip for all that a command needs to know first.
OPENING: Final = f"""SELECT {_COLUMNS}, quote_ident(session_user),
    {", ".join(each.privilege for each in roles.ROLES)} FROM {_TABLES}"""  # noqa: S608  # of our own
# Its COMMIT waits for the synchronous standbys, which then have the earlier commits, too.
CONFIRM: Final = "SELECT pg_logical_emit_message(true, 'polygent-issue', '')"
_EXISTS: Final = "SELECT to_regclass('polygent.journal') IS NOT NULL"
_PAUSE: Final = timedelta(milliseconds=200)


def opened(row: tuple[Any, ...]) -> tuple[State, Session]:
    """Return the state and the user's roles from the row of `OPENING`."""
    size = len(State._fields)
    user, *has = row[size:]
    those = tuple(each.role for each, yes in zip(roles.ROLES, has, strict=True) if yes)
    return State(*row[:size]), Session(user=user, roles=those)


def require_committed(
    connection: Connection,
    reconnect: Callable[[], None],
    head: tuple[int, bytes],
    *,
    timeout: timedelta,
) -> None:
    """Find out on a new connection whether a transaction wrote its last journal row.

    Args:
        connection: the lost connection.
        reconnect: makes it again.
        head: the number and the hash of the row.
        timeout: the longest time to wait for the server.

    Raises:
        RegistryFailed: (`registry_failed`) the transaction was undone, or the server does not
            answer in time.
    """
    where = display_place(connection.place)
    end = time.monotonic() + timeout.total_seconds()
    while True:
        try:
            reconnect()
            committed = _was_committed(connection, head)
            break
        except IssuerError as error:
            if time.monotonic() > end:
                raise RegistryFailed(
                    f"the connection to the registry {where} was lost at the end of the command: "
                    "it is unknown whether anything was written",
                    hint=Hint("when the server answers, look at ", run("journal", "show")),
                ) from error
            time.sleep(_PAUSE.total_seconds())
    if not committed:
        raise RegistryFailed(
            f"the connection to the registry {where} was lost; what it was writing was undone",
            hint="run the command again",
        )


def unconfirmed(place: Place) -> RegistryFailed:
    """Return the error for Ctrl-C while a COMMIT waits for a synchronous standby."""
    return RegistryFailed(
        f"interrupted: the registry {display_place(place)} has written everything, but its "
        "synchronous standby has not confirmed it",
        hint=Hint("when the standby is back, see what was written: ", run("journal", "show")),
    )


def _was_committed(connection: Connection, head: tuple[int, bytes]) -> bool:
    connection.begin_writing()  # the lost transaction may still be running
    committed = False
    if connection.first(_EXISTS)[1] == (True,):  # it may be the one that creates the tables
        _, row = connection.first("SELECT hash FROM journal WHERE seq = ?", (head[0],))
        committed = row is not None and row[0] == head[1]
    if committed:
        connection.run(CONFIRM).close()
        connection.commit(None)
    connection.roll_back()
    return committed
