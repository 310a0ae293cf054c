"""What the pretended server is made of besides HTTP: clock, machine, host name, users, agents.

All of it can be moved; what follows is decided by the enforcement library alone.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from polygent_issuer.dates import ASSUMED_UPLOAD_WINDOW
from polygent_issuer.enforcement import (
    InstallRefused,
    Refusal,
    Route,
    ServerLicense,
    SqliteStore,
    Standing,
    StoreFailed,
)
from polygent_issuer.sandbox.machine import another_fingerprint
from polygent_issuer.sandbox.mails import Mails
from polygent_issuer.sandbox.population import Population
from polygent_issuer.sandbox.pretended import Attempt, Background, Pretended, host_within
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier


class Site:
    """The pretended server. One thread serves it, as its web server does."""

    def __init__(
        self,
        keys: KeySet,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        window: timedelta = ASSUMED_UPLOAD_WINDOW,
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
        self._first_held = self._authentic(first)
        own = self._first_held.machine_fingerprint if self._first_held is not None else None
        self.home_fingerprint = own or another_fingerprint()
        self.start_over()

    def close(self) -> None:
        """Let go of its database; nothing can be asked of it any more."""
        if self._store is not None:
            self._store.close()

    def start_over(self) -> None:
        """The same machine, never used, at the true time, with the license that it began with."""
        self._is = Pretended(fingerprint=self.home_fingerprint)
        self.background = Background()
        self.close()
        self._store = SqliteStore(self._folder / f"license-{next(self._numbers)}.db")
        self.license = ServerLicense(
            self._verifier,
            self._store,
            fingerprint=lambda: self._is.fingerprint,
            freshness_window=self._window,
        )
        self.mails = Mails(self.license)
        self.population = Population(self.license, now=self.now)
        if self._first is not None:
            self._install_first(self._first)
        self.license.listen(self.background, self.now())

    def _authentic(self, file: bytes | None) -> License | None:
        try:
            return None if file is None else self._verifier.authenticate(file)
        except LicenseError:
            return None

    def _install_first(self, file: bytes) -> None:
        """As the customer did: now, or when it was issued if it is too late for that."""
        now, held = self.now(), self._first_held
        if held is not None and now >= min(held.issued_at + self._window, held.expires_at):
            now = held.issued_at
        if self._install(file, now=now, by="admin").refused is None:
            self._is.attempt = None

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
        self.tick()

    def tick(self) -> None:
        """What every server does once a minute, whether anybody asks it or not.

        The services hear of an expiry, and the daily run comes when a 09:00 has passed.

        Raises:
            StoreFailed: what the license is worth cannot be kept.
        """
        now = self.now()
        self.license.tick(now)
        self.mails.run_if_due(now)

    def standing(self) -> Standing:
        """What is in force now."""
        return self.license.standing(self.now())

    def install(self, file: bytes, *, by: str) -> Attempt:
        """Install a license; a refusal leaves the present one in force."""
        return self._install(file, now=self.now(), by=by)

    def _install(self, file: bytes, *, now: datetime, by: str) -> Attempt:
        try:
            attempt = Attempt(installed=self.license.install(file, now=now, by=by))
        except InstallRefused as refused:
            attempt = Attempt(refused=refused)
        self._is.attempt = attempt
        return attempt

    @property
    def attempt(self) -> Attempt | None:
        """The last upload, until it is taken."""
        return self._is.attempt

    def take_attempt(self) -> Attempt | None:
        """The last upload, to be shown once."""
        attempt, self._is.attempt = self._is.attempt, None
        return attempt

    def refusal_here(self) -> Refusal | None:
        """What stands in the way of every page: the state, or the address of the request."""
        return self.license.judge(Route.API, now=self.now(), host=self.host)

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
        try:
            held = self.standing().license
        except StoreFailed:  # whoever needs to know is told by the license itself
            held = None
        return host_within(held.allowed_domain if held is not None else None)
