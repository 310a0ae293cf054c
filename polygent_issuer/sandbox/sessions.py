"""Sessions. There are no passwords: every user with access to the sandbox may sign in."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_SESSIONS: Final = 1_000
"""Sessions that are remembered: the newest."""


class Role(StrEnum):
    """What somebody may do: admins upload licenses, members use the product."""

    ADMIN = "admin"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in; the token is what the cookie holds."""

    token: str
    role: Role

    @property
    def name(self) -> str:
        """The user's name: there is one of each role."""
        return str(self.role)


class Sessions:
    """The sessions of the server, in memory."""

    def __init__(self) -> None:
        """With nobody signed in."""
        self._live: dict[str, Session] = {}

    def begin(self, role: Role) -> Session:
        """Sign in; beyond `MOST_SESSIONS` the oldest session ends."""
        session = Session(secrets.token_urlsafe(32), role)
        if len(self._live) >= MOST_SESSIONS:
            del self._live[next(iter(self._live))]
        self._live[session.token] = session
        return session

    def of(self, token: str | None) -> Session | None:
        """The session of a token; None when it has ended or never was."""
        return None if token is None else self._live.get(token)

    def others(self, session: Session) -> tuple[Session, ...]:
        """The other sessions of the same user."""
        return tuple(
            each for each in self._live.values() if each.role is session.role and each != session
        )

    def end(self, *sessions: Session) -> None:
        """Sign out."""
        for each in sessions:
            self._live.pop(each.token, None)
