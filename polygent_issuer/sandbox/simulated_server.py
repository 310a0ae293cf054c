"""A simulated server without HTTP: license, clock, machine, host name, users, agents, mails.

The operator can change all of it. The enforcement library alone decides the consequences.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
    Refused,
    Route,
    ServerLicense,
    SqliteStore,
    Standing,
    StoreFailed,
)
from polygent_issuer.terms.dates import ASSUMED_UPLOAD_WINDOW
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier
from polygent_issuer.verifier.policy import SKEW

_SKEW: Final = timedelta(microseconds=SKEW)
"""A license may be issued this much later than a server's clock (FORMAT §5)."""
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
    """The result of an upload."""

    installed: License | None = None
    refused: InstallRefused | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Upload:
    """A license that was installed, and when."""

    file: bytes
    license: License
    at: datetime

    def time_before(self, end: datetime) -> datetime:
        """Return when to install it again so that it is installed at `end`."""
        return max(self.license.issued_at, min(self.at, end))


@dataclass(eq=False, kw_only=True, slots=True)
class _Agent:
    """A connected agent; a simulated one has no socket."""

    simulated: bool
    connection: Connection


def another_fingerprint() -> str:
    """Return a random fingerprint."""
    return f"sha256:{secrets.token_hex(32)}"


class SimulatedServer:
    """The simulated server, for a single thread.

    Attributes:
        home_fingerprint: the fingerprint at the start.
        fingerprint: the current fingerprint.
        ahead: the difference between its clock and the true time.
        attempt: the refusal of the license of the start, until it was shown.
        chosen_host: the Host header of requests; None chooses one that the license allows.
        users, deactivated: the number of active and of deactivated users.
        mails: every alert with its time, the newest first.
    """

    def __init__(
        self,
        keys: KeySet,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        first: bytes | None = None,
    ) -> None:
        """Start the server.

        Args:
            keys: the trusted keys.
            folder: for the database, which has all of the server's state.
            clock: returns the true time, timezone-aware.
            first: a license file to install; the server gets its fingerprint.
        """
        self._verifier = Verifier(keys)
        self._folder = folder
        self._clock = clock
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
        self.deactivated = 0
        self.mails: list[tuple[datetime, AlertRun]] = []
        self.chosen_host: str | None = None
        self._agents: list[_Agent] = []
        self._uploads: list[_Upload] = []
        self._installed: list[_Upload] = []
        self.background = Background()
        self._open_store()
        if self._first is not None:
            self._install_first(self._first)
        self.license.listen(self.background, self.now())

    def _open_store(self) -> None:
        """Replace the database by an empty one, which remembers no license and no time."""
        self.close()
        self._has_seen_later = False
        self._store = SqliteStore(self._folder / f"license-{next(self._numbers)}.db")
        self.license = ServerLicense(
            self._verifier,
            self._store,
            fingerprint=lambda: self.fingerprint,
            freshness_window=ASSUMED_UPLOAD_WINDOW,
        )

    def _authentic(self, file: bytes | None) -> License | None:
        try:
            return None if file is None else self._verifier.authenticate(file)
        except LicenseError:
            return None

    def _install_first(self, file: bytes) -> None:
        """Install the first license now, or at its issue time if the upload window has passed."""
        now, first = self.now(), self._first_license
        if first is not None:
            closes = min(first.issued_at + ASSUMED_UPLOAD_WINDOW, first.expires_at)
            now = first.issued_at if now >= closes else now
        attempt = self.install(file, now=now)
        self.attempt = attempt if attempt.refused is not None else None

    def now(self) -> datetime:
        """Return the time of the server's clock, UTC."""
        return self._clock() + self.ahead

    def travel(self, to: datetime) -> None:
        """Show the server at another time, at least a day from the limits of `datetime`.

        A server cannot forget what it has seen. So back in time, another one takes its place, which
        has lived through the same uploads and alerts up to then.
        """
        due = [each for each in self._uploads if each.license.issued_at <= to + _SKEW]
        due = due or self._uploads[:1]
        missing = any(each not in self._installed for each in due)
        if self._has_seen_later or to < self.now() or missing:
            self._replay(due, to)
        self.ahead = to - self._clock()
        self.tick()

    def set_clock(self, now: datetime) -> None:
        """Set the clock of the server itself, which notices if it goes back, and `tick`."""
        self._has_seen_later = self._has_seen_later or now < self.now()
        self.ahead = now - self._clock()
        self.tick()

    def _replay(self, uploads: list[_Upload], until: datetime) -> None:
        self.mails = [(at, run) for at, run in self.mails if at <= until]
        steps: list[tuple[datetime, _Upload | None]] = [
            *((each.time_before(until), each) for each in uploads),
            *((at, None) for at, _ in self.mails),
        ]
        machine, at = self.fingerprint, until
        self._open_store()
        for at, upload in sorted(steps, key=lambda step: step[0]):
            if upload is None:
                self._send_alerts(at)
            else:
                self.fingerprint = upload.license.machine_fingerprint or machine
                with suppress(InstallRefused):
                    self.license.install(upload.file, now=at, by="admin")
        # Before its issue, the license is installed as well, so the server has seen that time.
        self._has_seen_later = at > until
        self._connect_again(at)
        self.fingerprint = machine
        self._installed = uploads
        self.license.listen(self.background, until)

    def _connect_again(self, at: datetime) -> None:
        """Count the connected agents, which a replaced server does not know."""
        for agent in tuple(self._agents):
            made = self.license.connect(agent.connection.kind, agent.connection.host, at)
            if isinstance(made, Connection):
                agent.connection = made
            else:
                self._agents.remove(agent)

    def tick(self) -> None:
        """Run the checks of every minute: pause or resume services, send due alerts."""
        now = self.now()
        self.license.tick(now)
        if self.license.alerts_due(now):
            self.run_alerts()

    def run_alerts(self) -> AlertRun:
        """Run the daily alerts at any hour."""
        now = self.now()
        run = self._send_alerts(now)
        if run.alert is not None:
            self.mails.insert(0, (now, run))
        return run

    def _send_alerts(self, at: datetime) -> AlertRun:
        run = self.license.alerts(at, _ADMINS)
        if run.alert is not None:
            self.license.alert_sent(run.alert)
        return run

    def standing(self) -> Standing:
        """Return the current license and its state."""
        return self.license.standing(self.now())

    def install(self, file: bytes, *, now: datetime | None = None) -> Attempt:
        """Install a license as the admin, by default now; a refused one changes nothing."""
        at = now or self.now()
        try:
            installed = self.license.install(file, now=at, by="admin")
        except InstallRefused as refused:
            return Attempt(refused=refused)
        upload = _Upload(file=file, license=installed, at=at)
        # After going back in time, what was uploaded later has not happened.
        self._uploads = [each for each in self._uploads if each.at <= at]
        self._uploads.append(upload)
        self._installed.append(upload)
        return Attempt(installed=installed)

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

    def activate_user(self) -> Refusal | None:
        """Activate one of the deactivated users if the license allows it."""
        refusal = self.license.may_activate_user(self.users, self.now())
        if refusal is None:
            self.users += 1
            self.deactivated -= 1
        return refusal

    def deactivate_user(self) -> None:
        """Deactivate a user, if there is one."""
        if self.users:
            self.users -= 1
            self.deactivated += 1

    @contextmanager
    def connected(self, kind: HostKind, host: str) -> Iterator[None]:
        """Count an agent host while the block runs.

        Raises:
            Refused: (503) the license or its limit forbids it; the block does not run.
        """
        agent = self._connected(kind, host, simulated=False)
        try:
            yield
        finally:
            self._disconnect(agent)

    def connect(self, kind: HostKind) -> Refusal | None:
        """Connect another simulated host."""
        try:
            self._connected(kind, f"simulated-{next(self._numbers)}", simulated=True)
        except Refused as refused:
            return refused.refusal
        return None

    def disconnect(self, kind: HostKind) -> bool:
        """Disconnect the newest simulated host; False if no simulated one is connected."""
        for agent in reversed(self._agents):
            if agent.simulated and agent.connection.kind is kind:
                self._disconnect(agent)
                return True
        return False

    def _connected(self, kind: HostKind, host: str, *, simulated: bool) -> _Agent:
        made = self.license.connect(kind, host, self.now(), request_host=self.host)
        if isinstance(made, Refusal):
            raise Refused(made)
        agent = _Agent(simulated=simulated, connection=made)
        self._agents.append(agent)
        return agent

    def _disconnect(self, agent: _Agent) -> None:
        if agent in self._agents:  # not after starting over
            self._agents.remove(agent)
            self.license.hosts.disconnect(agent.connection)
