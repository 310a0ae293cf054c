"""The URI of a registry in PostgreSQL, as libpq reads it, without a password."""

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from polygent_issuer.errors import InvalidSettings
from polygent_issuer.text import escape

SCHEMES: Final = ("postgresql", "postgres")
EXAMPLE: Final = "postgresql://db.example/polygent"
_OPTIONS: Final = frozenset(
    {
        "connect_timeout",
        "dbname",
        "host",
        "hostaddr",
        "passfile",
        "port",
        "service",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
        "user",
    }
)
_REFUSED: Final = "the URI of a registry must not contain a password"
_PASSWORDS: Final = "keep it in ~/.pgpass, in a libpq service file, or use a client certificate"
# A password in the place of the port would be stored, too.
_HOST: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(:[0-9]*)?")
VERIFIED: Final = "verify-full"


def is_database(text: str) -> bool:
    """Return whether a text has the scheme of a database, in any letter case."""
    scheme, colon, _ = text.partition(":")
    return bool(colon) and scheme.casefold() in SCHEMES


def parse(text: str) -> str:
    """Return the URI of a database after a check, or raise `invalid_settings`.

    It never contains a password, and no `sslmode` other than `verify-full`. No message quotes it.
    """
    example = f"write it as {EXAMPLE}, or postgresql:///?service=NAME for a libpq service"
    if escape(text) != text or not text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        raise InvalidSettings("not the URI of a PostgreSQL database", hint=example)
    # As libpq reads it: a user and a password end before the first slash, even after a "?".
    authority = text.partition("://")[2].partition("/")[0]
    if ":" in authority.rpartition("@")[0]:
        raise InvalidSettings(_REFUSED, hint=_PASSWORDS)
    try:
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        parts = None
    if parts is None or not all(map(_HOST.fullmatch, parts.netloc.rpartition("@")[2].split(","))):
        raise InvalidSettings("not the URI of a PostgreSQL database", hint=example)
    options = dict(query)
    if "password" in options:
        raise InvalidSettings(_REFUSED, hint=_PASSWORDS)
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown or parts.fragment:
        name = escape(unknown[0]) if unknown else "#"
        raise InvalidSettings(
            f"the URI of a registry has the unknown option {name}",
            hint=f"known options: {', '.join(sorted(_OPTIONS))}",
        )
    if options.get("sslmode", VERIFIED) != VERIFIED:
        raise InvalidSettings(
            f"sslmode={escape(options['sslmode'])} does not verify the server",
            hint=f"write sslmode={VERIFIED}, or leave it out, which means the same",
        )
    if not (unquote(parts.path.strip("/")) or options.get("dbname") or options.get("service")):
        raise InvalidSettings("the URI of a registry names no database", hint=example)
    return text
