"""What the pretended server is made of besides HTTP: clock, machine, host name, users, agents.

All of it can be moved; what follows is decided by the enforcement library alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from polygent_issuer.enforcement import (
    Admin,
    AlertRun,
    Connection,
    HostKind,
    InstallRefused,
    Refusal,
    Route,
    ServerLicense,
    SqliteStore,
    Standing,
)
from polygent_issuer.sandbox.machine import another_fingerprint
from polygent_issuer.verifier import (
    AllowedDomain,
    CheckCode,
    KeySet,
    License,
    LicenseError,
    Verifier,
)

ADMINS = (
    Admin(name="admin", address="admin@sandbox.example"),
    Admin(name="second-admin", address=None),
)
"""Who is alerted; the second shows what happens to one without an address."""

MOST = 1_000_000
"""Users or hosts that may be pretended."""

_USERS = 3


@dataclass(kw_only=True, slots=True)
class Background:
    """The queue, the automations and the sync: one stands for all.

    Attributes:
        reason: why they are paused; None while they run.
        told: how often they were told anything.
    """

    reason: Refusal | None = None
    told: int = 0

    def pause(self, reason: Refusal) -> None:
        """Start nothing more."""
        self.reason, self.told = reason, self.told + 1

    def resume(self) -> None:
        """Work again."""
        self.reason, self.told = None, self.told + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """The last upload: what became of it."""

    installed: License | None = None
    refused: InstallRefused | None = None


@dataclass(kw_only=True, slots=True)
class _Pretended:
    """What the control strip moves."""

    ahead: timedelta = timedelta(0)
    fingerprint: str
    host: str | None = None
    users: int = _USERS
    hosts: dict[HostKind, list[Connection]] = field(
        default_factory=lambda: {kind: [] for kind in HostKind}
    )
    mails: list[tuple[datetime, AlertRun]] = field(default_factory=list)
    attempt: Attempt | None = None


class Site:
    """The pretended server. One thread serves it, as its web server does."""

    def __init__(
        self,
        keys: KeySet,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        window: timedelta,
        first: bytes | None = None,
    ) -> None:
        """Start it, with the license that the customer has, if any.

        Args:
            keys: that the server trusts.
            folder: takes the database; nothing of the site is kept anywhere else.
            clock: the true time, aware.
            window: how long after its issue a license may be installed.
            first: a license file; the server is the machine that it is for.
        """
        self._verifier = Verifier(keys)
        self._folder = folder
        self._clock = clock
        self._window = window
        self._first = first
        self._numbers = count(1)
        self._store: SqliteStore | None = None
        self.start_over()

    def close(self) -> None:
        """Let go of its database; nothing can be asked of it any more."""
        if self._store is not None:
            self._store.close()

    def start_over(self) -> None:
        """A server that was never used, at the true time, with the license it began with."""
        first = self._decoded(self._first)
        own = first.machine_fingerprint if first is not None else None
        self.home_fingerprint = own or another_fingerprint()
        self._is = _Pretended(fingerprint=self.home_fingerprint)
        self.background = Background()
        self.close()
        self._store = SqliteStore(self._folder / f"license-{next(self._numbers)}.db")
        self.license = ServerLicense(
            self._verifier,
            self._store,
            fingerprint=lambda: self._is.fingerprint,
            freshness_window=self._window,
        )
        if self._first is not None:
            self._install_first(self._first, first)
        self.license.listen(self.background, self.now())

    def _decoded(self, file: bytes | None) -> License | None:
        try:
            return None if file is None else self._verifier.authenticate(file)
        except LicenseError:
            return None

    def _install_first(self, file: bytes, held: License | None) -> None:
        """Install it now; one that is older than the window, when it was issued."""
        self.install(file, by="admin")
        refused = self._is.attempt and self._is.attempt.refused
        if held is None or not refused or refused.code != CheckCode.STALE_ISSUE_DATE:
            return
        try:
            self.license.install(file, now=held.issued_at, by="admin")
        except InstallRefused:
            return
        self._is.attempt = None

    # Clock

    def now(self) -> datetime:
        """What the server's clock says, UTC."""
        return self._clock() + self._is.ahead

    @property
    def ahead(self) -> timedelta:
        """How far the server's clock is ahead of the true time."""
        return self._is.ahead

    def set_clock(self, now: datetime) -> None:
        """Set the server's clock; the daily run comes when a 09:00 has passed.

        A clock may not be set beyond what `datetime` holds with a day to spare.
        """
        self._is.ahead = now - self._clock()
        self.license.tick(self.now())
        if self.license.alerts_due(self.now()):
            self.run_alerts()

    def run_alerts(self) -> AlertRun:
        """The daily run, whatever the hour."""
        run = self.license.alerts(self.now(), ADMINS)
        if run.alert is not None:
            self._is.mails.append((self.now(), run))
        return run

    @property
    def mails(self) -> tuple[tuple[datetime, AlertRun], ...]:
        """The alerts that were sent, the newest first."""
        return tuple(reversed(self._is.mails))

    # License

    def standing(self) -> Standing:
        """What is in force now."""
        return self.license.standing(self.now())

    def install(self, file: bytes, *, by: str) -> Attempt:
        """Install a license; a refusal leaves the present one in force."""
        try:
            attempt = Attempt(installed=self.license.install(file, now=self.now(), by=by))
        except InstallRefused as refused:
            attempt = Attempt(refused=refused)
        self._is.attempt = attempt
        return attempt

    @property
    def attempt(self) -> Attempt | None:
        """The last upload."""
        return self._is.attempt

    def forget_attempt(self) -> None:
        """It was shown."""
        self._is.attempt = None

    def refusal_here(self) -> Refusal | None:
        """What stands in the way of every page: the state, or the address of the request."""
        return self.license.judge(Route.API, now=self.now(), host=self.host)

    # Machine and host name

    @property
    def fingerprint(self) -> str:
        """Of the machine that the server pretends to be."""
        return self._is.fingerprint

    def be_machine(self, fingerprint: str) -> None:
        """Pretend to be this machine."""
        self._is.fingerprint = fingerprint
        self.license.tick(self.now())

    @property
    def host(self) -> str:
        """The Host header that every request is pretended to carry."""
        return self._is.host if self._is.host is not None else self._usual_host()

    @property
    def host_is_usual(self) -> bool:
        """Whether nobody chose another."""
        return self._is.host is None

    def set_host(self, host: str | None) -> None:
        """Pretend that requests come for this host; None: one that the license allows."""
        self._is.host = host

    def _usual_host(self) -> str:
        held = self.standing().license
        return _within(held.allowed_domain if held is not None else None)

    # Users and agents' hosts

    @property
    def users(self) -> int:
        """Active users."""
        return self._is.users

    def add_user(self) -> Refusal | None:
        """One more, if the license allows it: counted and added in one step."""
        refusal = self.license.may_add_user(self._is.users, self.now())
        if refusal is None:
            self._is.users += 1
        return refusal

    def set_users(self, number: int) -> None:
        """As if so many were active already."""
        self._is.users = min(max(number, 0), MOST)

    def connected(self, kind: HostKind) -> int:
        """How many hosts are connected."""
        return self.license.hosts.connected(kind)

    def connect(self, kind: HostKind, host: str | None = None) -> Connection | Refusal:
        """One more host, or another connection of the one that is named."""
        name = host or f"host-{next(self._numbers)}"
        made = self.license.connect(kind, name, self.now(), request_host=self.host)
        if isinstance(made, Connection):
            self._is.hosts[kind].append(made)
        return made

    def disconnect(self, kind: HostKind) -> None:
        """The one that came last goes."""
        if self._is.hosts[kind]:
            self.license.hosts.disconnect(self._is.hosts[kind].pop())


def _within(allowed: AllowedDomain | None) -> str:
    """A host that is allowed: the product's own name below a `*.` domain."""
    if allowed is None:
        return "polygent.example"
    return allowed.text.replace("*", "polygent", 1)
