"""A simulated server without HTTP: license, clock, machine, host name, users, agents, mails.

All of it can be changed; what follows is decided by the enforcement library alone.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

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
    StoreFailed,
)
from polygent_issuer.terms.dates import ASSUMED_UPLOAD_WINDOW
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier

MOST: Final = 1_000_000
"""Users that may be pretended."""

_ADMINS: Final = (
    Admin(name="admin", address="admin@sandbox.example"),
    Admin(name="second-admin", address=None),  # shows what happens to one without an address
)


class Background:
    """The queue, the automations and the sync: one stands for all."""

    reason: Refusal | None = None
    """Why they are paused; None while they run."""

    def pause(self, reason: Refusal) -> None:
        """Start nothing more."""
        self.reason = reason

    def resume(self) -> None:
        """Work again."""
        self.reason = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """The last upload: what became of it."""

    installed: License | None = None
    refused: InstallRefused | None = None


def another_fingerprint() -> str:
    """Return the fingerprint of a machine that nobody has seen."""
    return f"sha256:{secrets.token_hex(32)}"


def machine_info(fingerprint: str, *, now: datetime, customer: str | None) -> bytes:
    """Return the document of *Download machine info*; UTF-8, ends with a newline."""
    fields = {
        "format": "polygent-machine-info/1",
        "fingerprint": fingerprint,
        "generatedAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "hostname": "polygent-sandbox",
    }
    if customer is not None:
        fields["customer"] = customer
    return (json.dumps(fields, ensure_ascii=False, indent=2) + "\n").encode()


class SimulatedServer:
    """The pretended server. One thread serves it, as its web server does.

    Attributes:
        home_fingerprint: of the machine that it was started as.
        fingerprint: of the machine that it is now.
        ahead: how far its clock is ahead of the true time.
        attempt: the last upload, until it was shown.
        chosen_host: the host that requests come for; None: one that the license allows.
        users: how many are active.
        mails: every alert, and when; the newest first.
    """

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
            folder: takes the database; nothing of the site is anywhere else.
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
        self._first_license = self._authentic(first)
        own = None if self._first_license is None else self._first_license.machine_fingerprint
        self.home_fingerprint = own or another_fingerprint()
        self.start_over()

    def close(self) -> None:
        """Close its database; nothing can be asked of it any more."""
        if self._store is not None:
            self._store.close()

    def start_over(self) -> None:
        """Be the same machine, never used, at the true time, with the license of the beginning."""
        self.ahead = timedelta(0)
        self.fingerprint = self.home_fingerprint
        self.attempt: Attempt | None = None
        self.users = 3
        self.mails: list[tuple[datetime, AlertRun]] = []
        self.chosen_host: str | None = None
        self._pretended: dict[HostKind, list[Connection]] = {kind: [] for kind in HostKind}
        self.background = Background()
        self.close()
        self._store = SqliteStore(self._folder / f"license-{next(self._numbers)}.db")
        self.license = ServerLicense(
            self._verifier,
            self._store,
            fingerprint=lambda: self.fingerprint,
            freshness_window=self._window,
        )
        if self._first is not None:
            self._install_first(self._first)
        self.license.listen(self.background, self.now())

    def _authentic(self, file: bytes | None) -> License | None:
        try:
            return None if file is None else self._verifier.authenticate(file)
        except LicenseError:
            return None

    def _install_first(self, file: bytes) -> None:
        """Install as the customer did: now, or when it was issued if it is too late for that."""
        now, first = self.now(), self._first_license
        if first is not None and now >= min(first.issued_at + self._window, first.expires_at):
            now = first.issued_at
        if self.install(file, now=now).refused is None:
            self.attempt = None

    def now(self) -> datetime:
        """Return what the server's clock says, UTC."""
        return self._clock() + self.ahead

    def set_clock(self, now: datetime) -> None:
        """Set the server's clock, with a day to spare to what `datetime` can hold, and `tick`."""
        self.ahead = now - self._clock()
        self.tick()

    def tick(self) -> None:
        """Do what every server does once a minute: services hear of an expiry, alerts are sent."""
        now = self.now()
        self.license.tick(now)
        if self.license.alerts_due(now):
            self.run_alerts()

    def run_alerts(self) -> AlertRun:
        """Do the daily run, whatever the hour."""
        now = self.now()
        run = self.license.alerts(now, _ADMINS)
        if run.alert is not None:
            self.mails.insert(0, (now, run))
        return run

    def standing(self) -> Standing:
        """Return the license and its state now."""
        return self.license.standing(self.now())

    def install(self, file: bytes, *, now: datetime | None = None) -> Attempt:
        """Install a license as the admin, by default now; a refusal leaves the present one."""
        try:
            installed = self.license.install(file, now=now or self.now(), by="admin")
            self.attempt = Attempt(installed=installed)
        except InstallRefused as refused:
            self.attempt = Attempt(refused=refused)
        return self.attempt

    def refusal_here(self) -> Refusal | None:
        """Return why every page is refused: the state, or the address of the request."""
        return self.license.judge(Route.API, now=self.now(), host=self.host)

    def be_machine(self, fingerprint: str) -> None:
        """Pretend to be this machine."""
        self.fingerprint = fingerprint
        self.license.tick(self.now())

    @property
    def host(self) -> str:
        """The Host header that every request is pretended to carry.

        Unless one was chosen, it is allowed by the license: below a `*.` domain the product's name.
        """
        if self.chosen_host is not None:
            return self.chosen_host
        try:
            installed = self.standing().license
        except StoreFailed:  # the license itself reports that
            installed = None
        if installed is None or installed.allowed_domain is None:
            return "polygent.example"
        return installed.allowed_domain.text.replace("*", "polygent", 1)

    def add_user(self) -> Refusal | None:
        """Add a user, if the license allows it.

        Counted and added in one step: one thread serves the sandbox. Where several do, this is a
        transaction.
        """
        refusal = self.license.may_add_user(self.users, self.now())
        if refusal is None:
            self.users += 1
        return refusal

    def may_disconnect(self, kind: HostKind) -> bool:
        """Whether one of the connected hosts was pretended."""
        return bool(self._pretended[kind])

    def connect(self, kind: HostKind) -> Refusal | None:
        """Connect one more pretended host."""
        name = f"pretended-{next(self._numbers)}"
        connection = self.license.connect(kind, name, self.now(), request_host=self.host)
        if isinstance(connection, Refusal):
            return connection
        self._pretended[kind].append(connection)
        return None

    def disconnect(self, kind: HostKind) -> None:
        """Disconnect the pretended host that came last."""
        if self._pretended[kind]:
            self.license.hosts.disconnect(self._pretended[kind].pop())
