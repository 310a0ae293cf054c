"""Routes: the kind of a request, by its method and path.

Only the exact spelling of a route makes a request exempt. Any other path is read as the most
lenient server, proxy or router would read it. A path of the API with a control character is
refused, since routers read it differently: Starlette's patterns end in `$`, which matches before a
final newline. Code that builds a URL of a decoded path, as `request.url` did before Starlette 1,
ends the path at `?` or `#`. Werkzeug adds a missing slash in front. Quart removes scheme and
authority of an absolute form (RFC 9112 §3.2.2), which h11 leaves in the path. Litestar ends the
`root_path` wherever the path has it.
"""

import posixpath
import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from ..verifier.tables import ENTERPRISE_FEATURES, FEATURES
from .refusals import MALFORMED_PATH, Refusal


class Route(StrEnum):
    """The kinds of route of a server; all but the last three are allowed in every state."""

    LICENSE_STATUS = "license_status"
    MACHINE_INFO = "machine_info"
    LICENSE_UPLOAD = "license_upload"
    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    CURRENT_USER = "current_user"
    HEALTH = "health"
    PAGE = "page"
    API = "api"
    SESSION_AGENT = "session_agent"
    DEPLOY_AGENT = "deploy_agent"


RECOVERY: Final = frozenset(
    {
        Route.LICENSE_STATUS,
        Route.MACHINE_INFO,
        Route.LICENSE_UPLOAD,
        Route.SIGN_IN,
        Route.SIGN_OUT,
        Route.CURRENT_USER,
    }
)
"""The routes that lead out of every state: an admin signs in, and uploads a license."""

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

_CONTROL: Final = r"\x00-\x1f\x7f-\x9f"
_CHANGED: Final = rf"/%;\\?#{_CONTROL}"
_PLAIN: Final = rf"(?:/[^.{_CHANGED}][^{_CHANGED}]*+)*+/?\Z"
"""Segments that software changes in no way but their case, and the slash at the end."""
_is_plain: Final = re.compile(_PLAIN).match
_SLASHES: Final = re.compile(r"[/\\]+")
_CONTROLS: Final = re.compile(f"[{_CONTROL}]")
_ENDS: Final = re.compile(r"[?#]")
_ABSOLUTE: Final = re.compile(r"[^/\\:]*:(?:[/\\]{2}[^/\\]*)?")
_ROUNDS: Final = 3
_FEATURES: Final = frozenset((*FEATURES, *ENTERPRISE_FEATURES))


class Paths:
    """A server's table of routes; it keeps nothing of a request, since clients choose its path."""

    def __init__(
        self, *, routes: Mapping[tuple[str, str], Route], api: str, features: Mapping[str, str]
    ) -> None:
        """Arguments and errors are those of `LicenseMiddleware`."""
        _check(routes, api, features)
        # Routers also run the endpoint of a GET for a HEAD.
        heads = {
            ("HEAD", path): route for (method, path), route in routes.items() if method == "GET"
        }
        table = {**heads, **routes}
        self._exempt = frozenset(at for at, route in table.items() if route not in JUDGED)
        self._judged = frozenset(
            (method, _prefix(path)) for method, path in table.keys() - self._exempt
        )
        self._features = [(_prefix(path), name) for path, name in features.items()]
        prefixes = {_prefix(api), *(prefix for prefix, _ in self._features)}
        # A path below the paths of two features needs both.
        self._below = {
            each: frozenset(
                name for prefix, name in self._features if f"{each}/".startswith(f"{prefix}/")
            )
            for each in prefixes
        }
        longest_first = sorted(self._below, key=len, reverse=True)
        self._match = re.compile(f"({'|'.join(map(re.escape, longest_first))})(?:/|\\Z)").match

    def needs(self, method: str, path: str, root_path: str | None = None) -> Needs:
        """Return the needs of a request; `path` is as ASGI decodes it, `method` may be `WEBSOCKET`.

        The path may begin with the `root_path` of a mount or proxy, or a proxy may have removed
        that. It is checked both ways.
        """
        paths = {path}
        if root_path:
            paths |= {path.removeprefix(root_path), root_path + path}
        if any((method, each) in self._exempt for each in paths):
            return None
        if root_path:
            paths |= {each.split(root_path, maxsplit=1)[-1] for each in (path, _relative(path))}
        readings = set().union(*map(_readings, paths))
        matches = [self._below[at[1]] for at in map(self._match, readings) if at]
        upper = method.upper()  # as Django and werkzeug do
        if not matches and not any((upper, each.rstrip("/")) in self._judged for each in readings):
            return None
        if any(map(_CONTROLS.search, readings)):
            return MALFORMED_PATH
        return tuple(sorted(frozenset().union(*matches)))

    def clues(self, features: Collection[str]) -> tuple[str, ...]:
        """Return a segment of each path that needs another feature than these, for `allows`."""
        lacking = (prefix for prefix, name in self._features if name not in features)
        ends = {prefix.rpartition("/")[2] for prefix in lacking}
        # In others than ASCII, the lower case of a letter depends on those around it.
        return tuple(end if end.isascii() else "" for end in ends)


def allows(clues: tuple[str, ...], path: str) -> bool:
    """Return whether a license allows a path (with its `root_path` before it), at first glance.

    No reading of a path without `%` has a segment that is not in it, nor a control character.
    """
    if "%" in path or not path.isprintable():
        return False
    if clues:
        lower = path.lower()
        for clue in clues:
            if clue in lower:
                return False
    return True


def _check(routes: Mapping[tuple[str, str], Route], api: str, features: Mapping[str, str]) -> None:
    """Refuse what would have no effect, or would lock an admin out."""
    for path in (api, *features, *(path for _, path in routes)):
        if not path.startswith("/") or "{" in path:
            raise ValueError(
                f"{path!a} does not begin with a slash, or has a parameter, so no request would "
                "match it: write each path as requests have it"
            )
    if lower := [method for method, _ in routes if method != method.upper()]:
        raise ValueError(f"the method {lower[0]!a} matches no request: write it in capitals")
    answered = {route for (method, _), route in routes.items() if method != WEBSOCKET}
    if missing := sorted(RECOVERY - answered):
        raise ValueError(
            f"no route for {', '.join(missing)}: without one, an expired license could not be "
            "renewed; start from DEFAULT_ROUTES, or name yours with these kinds"
        )
    if unknown := sorted(set(features.values()) - _FEATURES):
        raise ValueError(
            f"no license has the feature {unknown[0]!a}: use one of {', '.join(sorted(_FEATURES))}"
        )


def _prefix(path: str) -> str:
    return path.rstrip("/").lower()


def _readings(path: str) -> set[str]:
    """Return the path unchanged, and as software that decodes, folds or resolves it reads it."""
    if _is_plain(path):
        return {path.lower()}
    decoded = [path]
    for _ in range(_ROUNDS):
        decoded.append(unquote(decoded[-1]))
    decoded += [_ENDS.split(each, maxsplit=1)[0] for each in decoded]
    # A router that accepts a control character removes it, or ends the path there.
    tolerant = {_CONTROLS.sub("", each) for each in decoded}
    tolerant.update(_CONTROLS.split(each, maxsplit=1)[0] for each in decoded)
    return {path, path.lower()}.union(*map(_foldings, tolerant.union(decoded)))


def _foldings(decoded: str) -> set[str]:
    return _resolved(decoded) | _resolved(_relative(decoded))


def _relative(path: str) -> str:
    absolute = _ABSOLUTE.match(path)
    return path if absolute is None else path[absolute.end() :]


def _resolved(path: str) -> set[str]:
    folded = _SLASHES.sub("/", f"/{path.lower()}")
    bare = "/".join(each.partition(";")[0] for each in folded.split("/"))
    resolved = (posixpath.normpath(each) for each in (folded, _SLASHES.sub("/", bare)))
    return {folded, *resolved}
