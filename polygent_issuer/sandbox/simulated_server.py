"""A simulated server without HTTP: license, clock, machine, host name, mails.

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
    InstallRefused,
    Refusal,
    Route,
    ServerLicense,
    SqliteStore,
    Standing,
    StoreFailed,
)
from polygent_issuer.sandbox.population import Population
from polygent_issuer.terms.dates import ASSUMED_UPLOAD_WINDOW
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier


class Background:
    """The queue, the automations and the sync: one stands for all.

    Attributes:
        reason: why they are paused; None while they run.
    """

    reason: Refusal | None = None

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
    """The fingerprint of a machine that nobody has seen."""
    return f"sha256:{secrets.token_hex(32)}"


def machine_info(fingerprint: str, *, now: datetime, customer: str | None) -> bytes:
    """The document of *Download machine info*; UTF-8, ends with a newline.

    Args:
        now: when it is downloaded, UTC; the operator's freshness counts from here.
        customer: as the installed license has it, if any.
    """
    fields = {
        "format": "polygent-machine-info/1",
        "fingerprint": fingerprint,
        "generatedAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "hostname": "polygent-sandbox",
    }
    if customer is not None:
        fields["customer"] = customer
    return (json.dumps(fields, ensure_ascii=False, indent=2) + "\n").encode()


_ADMINS: Final = (
    Admin(name="admin", address="admin@sandbox.example"),
    Admin(name="second-admin", address=None),  # shows what happens to one without an address
)


class Mails:
    """Every alert of a license.

    Attributes:
        sent: when, and what; the newest first.
    """

    def __init__(self, license: ServerLicense) -> None:  # noqa: A002 - the noun of the field
        """None was sent."""
        self._license = license
        self.sent: list[tuple[datetime, AlertRun]] = []

    def run_if_due(self, now: datetime) -> None:
        """The daily run, once a 09:00 has passed."""
        if self._license.alerts_due(now):
            self.run(now)

    def run(self, now: datetime) -> AlertRun:
        """The daily run, whatever the hour."""
        run = self._license.alerts(now, _ADMINS)
        if run.alert is not None:
            self.sent.insert(0, (now, run))
        return run


class SimulatedServer:
    """The pretended server. One thread serves it, as its web server does.

    Attributes:
        home_fingerprint: of the machine that it was started as.
        fingerprint: of the machine that it is now.
        ahead: how far its clock is ahead of the true time.
        attempt: the last upload, until it was shown.
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
        self._first_license = self._authentic(first)
        own = None if self._first_license is None else self._first_license.machine_fingerprint
        self.home_fingerprint = own or another_fingerprint()
        self.start_over()

    def close(self) -> None:
        """Close its database; nothing can be asked of it any more."""
        if self._store is not None:
            self._store.close()

    def start_over(self) -> None:
        """The same machine, never used, at the true time, with the license that it began with."""
        self.ahead = timedelta(0)
        self.fingerprint = self.home_fingerprint
        self.attempt: Attempt | None = None
        self._host: str | None = None
        self.background = Background()
        self.close()
        self._store = SqliteStore(self._folder / f"license-{next(self._numbers)}.db")
        self.license = ServerLicense(
            self._verifier,
            self._store,
            fingerprint=lambda: self.fingerprint,
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
        now, first = self.now(), self._first_license
        if first is not None and now >= min(first.issued_at + self._window, first.expires_at):
            now = first.issued_at
        if self._install(file, now=now, by="admin").refused is None:
            self.attempt = None

    def now(self) -> datetime:
        """What the server's clock says, UTC."""
        return self._clock() + self.ahead

    def set_clock(self, now: datetime) -> None:
        """Set the server's clock, with a day to spare to what `datetime` can hold, and `tick`."""
        self.ahead = now - self._clock()
        self.tick()

    def tick(self) -> None:
        """What every server does once a minute: services hear of an expiry, alerts are sent.

        Raises:
            StoreFailed: the state of the license cannot be stored.
        """
        now = self.now()
        self.license.tick(now)
        self.mails.run_if_due(now)

    def standing(self) -> Standing:
        """The license and its state now."""
        return self.license.standing(self.now())

    def install(self, file: bytes, *, by: str) -> Attempt:
        """Install a license; a refusal leaves the present one in force."""
        return self._install(file, now=self.now(), by=by)

    def _install(self, file: bytes, *, now: datetime, by: str) -> Attempt:
        try:
            self.attempt = Attempt(installed=self.license.install(file, now=now, by=by))
        except InstallRefused as refused:
            self.attempt = Attempt(refused=refused)
        return self.attempt

    def refusal_here(self) -> Refusal | None:
        """Why every page is refused: the state, or the address of the request."""
        return self.license.judge(Route.API, now=self.now(), host=self.host)

    def be_machine(self, fingerprint: str) -> None:
        """Pretend to be this machine."""
        self.fingerprint = fingerprint
        self.license.tick(self.now())

    @property
    def host(self) -> str:
        """The Host header that every request is pretended to carry.

        Unless another was set, one that the license allows: the product's own name below a `*.`
        domain.
        """
        if self._host is not None:
            return self._host
        try:
            installed = self.standing().license
        except StoreFailed:  # the license itself reports that
            installed = None
        if installed is None or installed.allowed_domain is None:
            return "polygent.example"
        return installed.allowed_domain.text.replace("*", "polygent", 1)

    @property
    def host_is_usual(self) -> bool:
        """Whether no other was set."""
        return self._host is None

    def set_host(self, host: str | None) -> None:
        """Pretend that requests come for this host; None: one that the license allows."""
        self._host = host
