"""The users and the agents' hosts of the pretended server."""

from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Final

from polygent_issuer.enforcement import Connection, HostKind, Refusal, ServerLicense

MOST: Final = 1_000_000
"""Users that may be pretended."""


class Population:
    """Users and hosts that the license counts."""

    def __init__(self, license: ServerLicense, *, now: Callable[[], datetime]) -> None:  # noqa: A002 - the noun of the field
        """Three users, and no host connected."""
        self._license = license
        self._now = now
        self._numbers = count(1)
        self._pretended: dict[HostKind, list[Connection]] = {kind: [] for kind in HostKind}
        self.users = 3

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
        return bool(self._pretended[kind])

    def connect(self, kind: HostKind, *, request_host: str) -> Refusal | None:
        """One more host, whose agent comes under this Host header."""
        name = f"pretended-{next(self._numbers)}"
        connection = self._license.connect(kind, name, self._now(), request_host=request_host)
        if isinstance(connection, Refusal):
            return connection
        self._pretended[kind].append(connection)
        return None

    def disconnect(self, kind: HostKind) -> None:
        """The one that came last goes."""
        if self._pretended[kind]:
            self._license.hosts.disconnect(self._pretended[kind].pop())
