"""Routes: the kind of a request, by its method and path.

Only the exact spelling of a route makes a request exempt. Any other path is read as the most
lenient server, proxy or router would read it. A path of the API with a control character is
refused, since routers read it differently: Starlette's patterns end in `$`, which matches before a
final newline. Code that builds a URL of a decoded path, as `request.url` did before Starlette 1,
ends the path at `?` or `#`. Werkzeug adds a missing slash in front.
"""

import posixpath
import re
import string
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from .refusals import MALFORMED_PATH, Refusal


class Route(StrEnum):
    """The kinds of route of a server; the first six and pages are allowed in every state."""

    LICENSE_STATUS = "license_status"
    MACHINE_INFO = "machine_info"
    LICENSE_UPLOAD = "license_upload"
    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    CURRENT_USER = "current_user"
    PAGE = "page"
    API = "api"
    SESSION_AGENT = "session_agent"
    DEPLOY_AGENT = "deploy_agent"


JUDGED: Final = frozenset({Route.API, Route.SESSION_AGENT, Route.DEPLOY_AGENT})
"""The routes that need an active license; decide here about each new route."""

WEBSOCKET: Final = "WEBSOCKET"
"""The method of websockets in a table of routes."""
DEFAULT_ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    ("GET", "/api/license"): Route.LICENSE_STATUS,
    ("POST", "/api/license"): Route.LICENSE_UPLOAD,
    ("GET", "/api/machine-info"): Route.MACHINE_INFO,
    ("POST", "/api/sign-in"): Route.SIGN_IN,
    ("POST", "/api/sign-out"): Route.SIGN_OUT,
    ("GET", "/api/me"): Route.CURRENT_USER,
    (WEBSOCKET, "/api/agents/session"): Route.SESSION_AGENT,
    (WEBSOCKET, "/api/agents/deploy"): Route.DEPLOY_AGENT,
}
"""Exact method and path of the routes other than API and pages."""

Needs = tuple[str, ...] | Refusal | None
"""The features that a request needs in addition to an active license, or the refusal of a path that
no license allows; None if the request needs no license."""

_PLAIN: Final = string.ascii_lowercase + string.digits + "/-_~"
"""No software changes a path of these characters without a doubled slash."""
_SLASHES: Final = re.compile(r"[/\\]+")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENDS: Final = re.compile(r"[?#]")
_ROUNDS: Final = 3

# The number and length of cached requests are limited, since clients choose method and path.
_SEEN: Final = 4_096
_SHORT: Final = 200
_UNSEEN: Final = ("",)


class Paths:
    """A server's table of routes."""

    def __init__(
        self, *, routes: Mapping[tuple[str, str], Route], api: str, features: Mapping[str, str]
    ) -> None:
        """Arguments and errors are those of `LicenseMiddleware`."""
        judged = {at for at, route in routes.items() if route in JUDGED}
        for path in (api, *features, *(path for _, path in judged)):
            if not path.startswith("/") or "{" in path:
                raise ValueError(f"{path!a} does not begin with a slash, or has a parameter")
        self._exempt: dict[tuple[str, str], Needs] = dict.fromkeys(routes.keys() - judged)
        self._seen = dict(self._exempt)
        # Routers also run the endpoint of a GET for a HEAD.
        judged |= {("HEAD", path) for method, path in judged if method.upper() == "GET"}
        self._judged = {
            (method.upper(), each)
            for method, path in judged
            for each in (path, path.lower(), _prefix(path))
        }
        pairs = [(_prefix(path), name) for path, name in features.items()]
        prefixes = {_prefix(api), *(prefix for prefix, _ in pairs)}
        # A path below the paths of two features needs both.
        self._below = {
            each: frozenset(name for prefix, name in pairs if f"{each}/".startswith(f"{prefix}/"))
            for each in prefixes
        }
        longest_first = sorted(self._below, key=len, reverse=True)
        self._match = re.compile(f"({'|'.join(map(re.escape, longest_first))})(?:/|\\Z)").match

    def needs(self, method: str, path: str, root_path: str | None = None) -> Needs:
        """Return the needs of a request; `path` is as ASGI decodes it, `method` may be `WEBSOCKET`.

        The path may begin with the `root_path` of a mount or proxy, or a proxy may have removed
        that. It is checked both ways.
        """
        if root_path:
            return self._read(method, path, path.removeprefix(root_path), root_path + path)
        seen = self._seen.get((method, path), _UNSEEN)
        if seen is _UNSEEN:
            seen = self._read(method, path)
            if len(self._seen) >= _SEEN:
                self._seen = dict(self._exempt)
            if len(method) + len(path) <= _SHORT:
                self._seen[method, path] = seen
        return seen

    def _read(self, method: str, *paths: str) -> Needs:
        if any((method, path) in self._exempt for path in paths):
            return None
        readings = set().union(*map(_readings, paths))
        matches = [self._below[at[1]] for at in map(self._match, readings) if at]
        upper = method.upper()  # as Django and werkzeug do
        if not matches and not any((upper, reading) in self._judged for reading in readings):
            return None
        if any(map(_CONTROLS.search, readings)):
            return MALFORMED_PATH
        return tuple(sorted(frozenset().union(*matches)))


def _prefix(path: str) -> str:
    return path.rstrip("/").lower()


def _readings(path: str) -> set[str]:
    """Return the path unchanged, and as software that decodes, folds or resolves it reads it."""
    if path.startswith("/") and not path.strip(_PLAIN) and "//" not in path:
        return {path}
    decoded = [path]
    for _ in range(_ROUNDS):
        decoded.append(unquote(decoded[-1]))
    decoded += [_ENDS.split(each, maxsplit=1)[0] for each in decoded]
    # A router that accepts a control character removes it, or ends the path there.
    tolerant = {_CONTROLS.sub("", each) for each in decoded}
    tolerant.update(_CONTROLS.split(each, maxsplit=1)[0] for each in decoded)
    return {path, path.lower()}.union(*map(_foldings, tolerant.union(decoded)))


def _foldings(decoded: str) -> set[str]:
    folded = _SLASHES.sub("/", f"/{decoded.lower()}")
    bare = "/".join(each.partition(";")[0] for each in folded.split("/"))
    resolved = (posixpath.normpath(each) for each in (folded, _SLASHES.sub("/", bare)))
    return {folded, *resolved}
