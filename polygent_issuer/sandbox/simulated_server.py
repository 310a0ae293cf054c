"""A simulated server without HTTP: license, clock, machine, host name, users, agents, mails.

The operator can change all of it. The enforcement library alone decides the consequences.
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
"""The largest number of simulated users."""

_ADMINS: Final = (
    Admin(name="admin", address="admin@sandbox.example"),
    Admin(name="second-admin", address=None),  # shows an admin without an address
)


class Background:
    """The background services: queue, automations and sync."""

    reason: Refusal | None = None
    """The reason for the pause; None while they run."""

    def pause(self, reason: Refusal) -> None:
        """Pause the services."""
        self.reason = reason

    def resume(self) -> None:
        """Resume the services."""
        self.reason = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """The result of the last upload."""

    installed: License | None = None
    refused: InstallRefused | None = None


def another_fingerprint() -> str:
    """Return a random fingerprint."""
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
    """The simulated server, for a single thread.

    Attributes:
        home_fingerprint: the fingerprint at the start.
        fingerprint: the current fingerprint.
        ahead: the difference between its clock and the true time.
        attempt: the result of the last upload, until it was shown.
        chosen_host: the Host header of requests; None chooses one that the license allows.
        users: the number of active users.
        mails: every alert with its time, the newest first.
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
        """Start the server.

        Args:
            keys: the trusted keys.
            folder: for the database, which has all of the server's state.
            clock: returns the true time, timezone-aware.
            window: the upload window of licenses.
            first: a license file to install; the server gets its fingerprint.
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
        """Close the database; the server cannot be used afterwards."""
        if self._store is not None:
            self._store.close()

    def start_over(self) -> None:
        """Reset to the same machine at the true time, unused, with the license of the start."""
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
        """Install the first license now, or at its issue time if the upload window has passed."""
        now, first = self.now(), self._first_license
        if first is not None and now >= min(first.issued_at + self._window, first.expires_at):
            now = first.issued_at
        if self.install(file, now=now).refused is None:
            self.attempt = None

    def now(self) -> datetime:
        """Return the time of the server's clock, UTC."""
        return self._clock() + self.ahead

    def set_clock(self, now: datetime) -> None:
        """Set the server's clock, at least a day from the limits of `datetime`, and `tick`."""
        self.ahead = now - self._clock()
        self.tick()

    def tick(self) -> None:
        """Run the checks of every minute: pause or resume services, send due alerts."""
        now = self.now()
        self.license.tick(now)
        if self.license.alerts_due(now):
            self.run_alerts()

    def run_alerts(self) -> AlertRun:
        """Run the daily alerts at any hour."""
        now = self.now()
        run = self.license.alerts(now, _ADMINS)
        if run.alert is not None:
            self.mails.insert(0, (now, run))
            self.license.alert_sent(run.alert)
        return run

    def standing(self) -> Standing:
        """Return the current license and its state."""
        return self.license.standing(self.now())

    def install(self, file: bytes, *, now: datetime | None = None) -> Attempt:
        """Install a license as the admin, by default now; a refused one changes nothing."""
        try:
            installed = self.license.install(file, now=now or self.now(), by="admin")
            self.attempt = Attempt(installed=installed)
        except InstallRefused as refused:
            self.attempt = Attempt(refused=refused)
        return self.attempt

    def refusal_here(self) -> Refusal | None:
        """Return the refusal of every page: for the license state, or for the host name."""
        return self.license.judge(Route.API, now=self.now(), host=self.host)

    def be_machine(self, fingerprint: str) -> None:
        """Change the fingerprint of the server."""
        self.fingerprint = fingerprint
        self.license.tick(self.now())

    @property
    def host(self) -> str:
        """The simulated Host header of every request.

        By default it is a name that the license allows: `polygent` in place of a `*`.
        """
        if self.chosen_host is not None:
            return self.chosen_host
        try:
            installed = self.standing().license
        except StoreFailed:  # the license reports the failure
            installed = None
        if installed is None or installed.allowed_domain is None:
            return "polygent.example"
        return installed.allowed_domain.text.replace("*", "polygent", 1)

    def add_user(self) -> Refusal | None:
        """Add a user if the license allows it.

        The sandbox has one thread. With several, the check and the change need one transaction.
        """
        refusal = self.license.may_add_user(self.users, self.now())
        if refusal is None:
            self.users += 1
        return refusal

    def may_disconnect(self, kind: HostKind) -> bool:
        """Return whether a simulated host is connected."""
        return bool(self._pretended[kind])

    def connect(self, kind: HostKind) -> Refusal | None:
        """Connect another simulated host."""
        name = f"simulated-{next(self._numbers)}"
        connection = self.license.connect(kind, name, self.now(), request_host=self.host)
        if isinstance(connection, Refusal):
            return connection
        self._pretended[kind].append(connection)
        return None

    def disconnect(self, kind: HostKind) -> None:
        """Disconnect the newest simulated host."""
        if self._pretended[kind]:
            self.license.hosts.disconnect(self._pretended[kind].pop())
