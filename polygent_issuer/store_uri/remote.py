"""URIs of remote keys: `SCHEME:KEY?OPTION=VALUE`, one row of a table for each scheme."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote, unquote_to_bytes

from polygent_issuer.errors import InvalidStore
from polygent_issuer.store_uri.token import QUERY_VALUE, attributes
from polygent_issuer.text import escape

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_KEY: Final = re.compile(r"(?:[^%?\s]|%[0-9A-Fa-f]{2})*")
_SAFE: Final = "/:@+=,$!*()"


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteScheme:
    """A kind of service that signs with its own keys: it generates them, and this tool never does.

    Attributes:
        name: of the scheme, without its colon.
        where: its name in a sentence.
        example: a URI, for hints.
        options: the names that may follow `?`, in the order in which they are written.
        generating: how to generate a key there, for hints.
        missing: what to do if a key is not there, for hints.
        problem: returns why a key and its options are invalid, and the hint; else None.
    """

    name: str
    where: str
    example: str
    options: tuple[str, ...]
    generating: str
    missing: str
    problem: Callable[["RemoteUri"], tuple[str, str] | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteUri:
    """A key of a service, which makes each signature: `SCHEME:KEY?OPTION=VALUE`.

    Attributes:
        key: the key's name there; empty for the only one.
        options: names and values, in the order of the scheme.
    """

    stays: ClassVar[bool] = True

    scheme: RemoteScheme
    key: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def where(self) -> str:
        """The name of the service in a sentence."""
        return self.scheme.where

    @property
    def uri(self) -> str:
        """The URI in its only spelling: options in order, percent-encoded where needed."""
        options = "&".join(f"{name}={quote(value, safe=_SAFE)}" for name, value in self.options)
        mark = "?" if options else ""
        return f"{self.scheme.name}:{quote(self.key, safe=_SAFE)}{mark}{options}"

    def option(self, name: str) -> str | None:
        """Return the value of an option; None if it is not given."""
        return dict(self.options).get(name)


def _agent_problem(place: RemoteUri) -> tuple[str, str] | None:
    socket = place.option("socket")
    if socket is not None and not Path(socket).is_absolute():
        return f"the path of the socket is not absolute: {socket}", "write socket=/PATH"
    if place.key.startswith("SHA256:") and not _FINGERPRINT.fullmatch(place.key):
        return "a fingerprint has 43 characters of base64", "to list the fingerprints: ssh-add -l"
    return None


REMOTE: Final = {
    scheme.name: scheme
    for scheme in (
        RemoteScheme(
            name="agent",
            where="the SSH agent",
            example="agent:SHA256:FINGERPRINT",
            options=("socket",),
            generating="ssh-keygen -t ecdsa -b 256 -f FILE, then ssh-add FILE",
            missing="add it to the agent: ssh-add FILE; if the agent is locked: ssh-add -X",
            problem=_agent_problem,
        ),
    )
}
"""The services that sign with keys that stay there, by the name of their scheme."""


def parse_remote_uri(text: str) -> RemoteUri:
    """Parse the URI of a remote key.

    Raises:
        InvalidStore: (`invalid_store`) unless it is valid; the hint shows how to write it.
    """
    name, _, rest = text.partition(":")
    scheme = REMOTE[name]

    def refused(problem: str, hint: str | None = None) -> InvalidStore:
        message = f"invalid {name}: URI: {problem}"
        return InvalidStore(message, hint=hint or f"write it as '{scheme.example}'")

    key, mark, query = rest.partition("?")
    if not _KEY.fullmatch(key):
        raise refused("a character must be percent-encoded", "write a space as %20, a % as %25")
    given = attributes(query, "&", scheme.options, QUERY_VALUE, refused=refused) if mark else {}
    try:
        texts = {"": unquote_to_bytes(key).decode()} | {n: v.decode() for n, v in given.items()}
    except UnicodeDecodeError:
        texts = {"": "\0"}
    if any(escape(value) != value for value in texts.values()):
        raise refused("it is not printable UTF-8 text")
    options = tuple((option, texts[option]) for option in scheme.options if option in texts)
    place = RemoteUri(scheme=scheme, key=texts[""], options=options)
    if (problem := scheme.problem(place)) is not None:
        raise refused(*problem)
    return place
