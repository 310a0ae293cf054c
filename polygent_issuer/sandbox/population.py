"""The users and the agents' hosts of the pretended server."""

from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Final

from polygent_issuer.enforcement import Connection, HostKind, Refusal, ServerLicense

MOST: Final = 1_000_000
"""Users that may be pretended."""

_AT_FIRST: Final = 3


class Population:
    """Who and what the license counts."""

    def __init__(self, license: ServerLicense, *, now: Callable[[], datetime]) -> None:  # noqa: A002 - the noun of the field
        """Three users, and no host connected."""
        self._license = license
        self._now = now
        self._numbers = count(1)
        self._connections: dict[HostKind, list[Connection]] = {kind: [] for kind in HostKind}
        self.users = _AT_FIRST

    def add_user(self) -> Refusal | None:
        """One more, if the license allows it.

        Counted and added in one step: one thread serves the sandbox. Where several do, this is a
        transaction.
        """
        refusal = self._license.may_add_user(self.users, self._now())
        if refusal is None:
            self.users += 1
        return refusal

    def set_users(self, number: int) -> None:
        """As if so many were active already, whatever the license says."""
        self.users = min(max(number, 0), MOST)

    def connected(self, kind: HostKind) -> int:
        """How many hosts are connected, those of real sockets among them."""
        return self._license.hosts.connected(kind)

    def may_disconnect(self, kind: HostKind) -> bool:
        """Whether one of them was pretended."""
        return bool(self._connections[kind])

    def connect(self, kind: HostKind, *, request_host: str) -> Connection | Refusal:
        """One more host.

        Args:
            request_host: the Host header under which its agent comes.
        """
        name = f"pretended-{next(self._numbers)}"
        made = self._license.connect(kind, name, self._now(), request_host=request_host)
        if isinstance(made, Connection):
            self._connections[kind].append(made)
        return made

    def disconnect(self, kind: HostKind) -> None:
        """The one that came last goes."""
        if self._connections[kind]:
            self._license.hosts.disconnect(self._connections[kind].pop())
