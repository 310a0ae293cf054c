"""A session on a PostgreSQL server, with the settings that the registry needs."""

import math
from datetime import timedelta
from typing import Any, Final

import psycopg

from polygent_issuer.registry.errors import RegistryFailed, display_place
from polygent_issuer.registry.postgres_errors import unreachable
from polygent_issuer.registry.postgres_schema import SCHEMA
from polygent_issuer.registry_uri import VERIFIED
from polygent_issuer.text import Hint, run

_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
SEARCH_PATH: Final = f"{SCHEMA},pg_catalog,pg_temp"
_SETTINGS: Final = {
    "search_path": SEARCH_PATH,
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # A COMMIT that did not wait for its standby has a warning, which a user's setting would hide.
    "client_min_messages": "warning",
    # The server notices within half a minute that a computer is gone, and releases its lock.
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}


Connected = psycopg.Connection[tuple[Any, ...]]


def connect(place: str, *, timeout: timedelta) -> Connected:
    """Connect to a database.

    Args:
        place: a URI from `registry_uri.parse`.
        timeout: the longest time to wait for a lock, or for a network without an answer.

    Raises:
        RegistryFailed: (`registry_failed`) when the server cannot be reached.
    """
    wait = round(timeout.total_seconds() * 1000)
    settings = {**_SETTINGS, "lock_timeout": wait}
    try:
        # On a local socket libpq disregards `sslmode`.
        return psycopg.connect(
            place,
            autocommit=True,
            sslmode=VERIFIED,
            gssencmode="disable",  # with a ticket of Kerberos libpq would disregard `sslmode`
            application_name="polygent-issue",
            connect_timeout=math.ceil(min(_CONNECT_TIMEOUT, timeout).total_seconds()),
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=wait,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )
    except psycopg.Error as error:
        raise unreachable(error, place) from error


def without_settings(place: str) -> RegistryFailed:
    """Return the error for a pool of connections that drops the settings of a session."""
    return RegistryFailed(
        f"cannot use the registry {display_place(place)}: a pool of connections such as PgBouncer "
        "drops the settings of the session",
        hint=Hint("name the server itself in the URI: ", run("help", "team")),
    )
