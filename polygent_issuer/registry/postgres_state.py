"""The state of a registry in PostgreSQL, which the statement that begins a transaction returns."""

from typing import Any, Final

from polygent_issuer.registry import roles
from polygent_issuer.registry.engine import MOVED_TO, REGISTRY_ID, State
from polygent_issuer.registry.postgres_lock import LOCK
from polygent_issuer.registry.roles import Session

# A command that hangs there, as at a dead network disk, does not lock out the others for good. A
# move of a large registry checks its copy meanwhile, which takes minutes.
BEGIN: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    "SET LOCAL idle_in_transaction_session_timeout = '5min'",
    f"SELECT pg_advisory_xact_lock({LOCK})",
)
# For rows that the journal does not record. If the server crashes, the next command writes them.
UNLOCKED: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    "SET LOCAL synchronous_commit = off",
)
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


def opened(row: tuple[Any, ...]) -> tuple[State, Session]:
    """Return the state and the user's roles from the row of `OPENING`."""
    size = len(State._fields)
    user, *has = row[size:]
    those = tuple(each.role for each, yes in zip(roles.ROLES, has, strict=True) if yes)
    return State(*row[:size]), Session(user=user, roles=those)
