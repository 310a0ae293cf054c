"""Which requests need an active license, and which features.

Only the exact spelling of a route makes a request exempt. Everything else is read as the most
lenient server, proxy or router would read it, so that no other spelling of a path of the API
passes for a page, nor of a feature's path for one that needs none.
"""

import posixpath
import re
import string
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from .routes import JUDGED, Route

Needs = tuple[str, ...] | None
"""The features that a request needs beside an active license; None when it passes without one."""

_PLAIN: Final = string.ascii_lowercase + string.digits + "/-_~"
"""Of these, without a doubled slash, nobody makes another path."""

_SLASHES: Final = re.compile(r"[/\\]+")
_ROUNDS: Final = 3

# What was read lately; bounded, since the paths are the clients'.
_SEEN: Final = 4_096
_SHORT: Final = 200
_UNSEEN: Final = ("",)


class Paths:
    """A server's table of routes."""

    def __init__(
        self,
        *,
        routes: Mapping[tuple[str, str], Route],
        api: str,
        features: Mapping[str, str],
    ) -> None:
        """The arguments are those of `LicenseMiddleware`."""
        self._judged = {at for at, route in routes.items() if route in JUDGED}
        self._exempt: dict[tuple[str, str], Needs] = dict.fromkeys(routes.keys() - self._judged)
        self._seen = dict(self._exempt)
        self._below: dict[str, tuple[str, ...]] = {_prefix(api): ()}
        for each, name in features.items():
            self._below[_prefix(each)] = (name,)
        longest_first = sorted(self._below, key=len, reverse=True)
        self._match = re.compile(f"({'|'.join(map(re.escape, longest_first))})(?:/|\\Z)").match

    def needs(self, method: str, path: str, root_path: str | None = None) -> Needs:
        """What a request needs.

        Args:
            method: of HTTP, or `WEBSOCKET`.
            path: as ASGI gives it: decoded once.
            root_path: of the mount or proxy, if any. The path may begin with it or a proxy may
                have taken it off: it is judged each way.
        """
        if root_path:
            return self._read(method, path, path.removeprefix(root_path), root_path + path)
        seen = self._seen.get((method, path), _UNSEEN)
        if seen is _UNSEEN:
            seen = self._read(method, path)
            if len(self._seen) >= _SEEN:
                self._seen = dict(self._exempt)
            if len(path) <= _SHORT:
                self._seen[method, path] = seen
        return seen

    def _read(self, method: str, *paths: str) -> Needs:
        if any((method, path) in self._exempt for path in paths):
            return None
        readings = set().union(*map(_readings, paths))
        found = [self._below[at[1]] for at in map(self._match, readings) if at]
        if not found and not any((method, reading) in self._judged for reading in readings):
            return None
        return tuple(sorted({feature for features in found for feature in features}))


def _prefix(path: str) -> str:
    return path.rstrip("/").lower()


def _readings(path: str) -> set[str]:
    """The path as it stands, and as whoever decodes, folds or resolves it would read it."""
    if not path.strip(_PLAIN) and "//" not in path:
        return {path}
    decoded = path
    for _ in range(_ROUNDS):
        decoded = unquote(decoded)
    folded = _SLASHES.sub("/", decoded.lower())
    bare = "/".join(each.partition(";")[0] for each in folded.split("/"))
    resolved = (posixpath.normpath(each) for each in (folded, _SLASHES.sub("/", bare)))
    return {path, path.lower(), folded, *resolved}
