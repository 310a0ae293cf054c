"""A server with a license: a real store in a file, and a settable clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from polygent_issuer.enforcement import (
    InstallRefused,
    LogEntry,
    Refusal,
    ServerLicense,
    SqliteStore,
    State,
)
from polygent_issuer.verifier import ClockGuard, KeySet, License, Verifier
from support.lic_files import ISSUED, Issuer

DAY = timedelta(days=1)
MACHINE = "sha256:" + "ab" * 32
ANOTHER_MACHINE = "sha256:" + "cd" * 32


@dataclass
class Server:
    """One node; `restart` keeps only the file.

    Attributes:
        now: the server's clock.
        fingerprint: the present fingerprint of the server's machine.
        kind: a class of stores, which may fail on purpose.
    """

    path: Path
    issuer: Issuer = field(default_factory=Issuer)
    now: datetime = ISSUED + timedelta(hours=1)
    fingerprint: str = MACHINE
    freshness_window: timedelta = timedelta(days=14)
    kind: type[SqliteStore] = SqliteStore
    store: SqliteStore = field(init=False)
    license: ServerLicense = field(init=False)

    def __post_init__(self) -> None:
        """Start."""
        self.start()

    def start(self, verifier: Verifier | None = None) -> None:
        """Open the store."""
        self.store = self.kind(self.path, patience=timedelta())
        self.license = ServerLicense(
            verifier or Verifier(KeySet(self.issuer.signer.public_key)),
            self.store,
            fingerprint=lambda: self.fingerprint,
            freshness_window=self.freshness_window,
        )

    def restart(self, verifier: Verifier | None = None) -> None:
        """Open the same file as a new process would."""
        self.store.close()
        self.start(verifier)

    def install(self, number: int, **claims: Any) -> License:
        """Upload a file of the issuer with these claims."""
        return self.upload(self.issuer.file(number, **claims))

    def upload(self, data: bytes) -> License:
        """Upload a file."""
        return self.license.install(data, now=self.now, by="ada")

    def refused(self, data: bytes) -> InstallRefused:
        """Upload a file, which must be refused; return the error."""
        try:
            self.upload(data)
        except InstallRefused as refused:
            return refused
        raise AssertionError("the file was installed")

    def state(self) -> State:
        """Return the present state."""
        return self.license.standing(self.now).state

    def held(self) -> License:
        """Return the active license."""
        active = self.license.active(self.now)
        assert isinstance(active, License), active
        return active

    def answer(self) -> Refusal:
        """Return the refusal of an API request."""
        active = self.license.active(self.now)
        assert isinstance(active, Refusal)
        return active

    def guard(self) -> ClockGuard:
        """Return the stored guard."""
        return self.store.load().guard

    def log(self) -> tuple[LogEntry, ...]:
        """Return the install log, newest first."""
        return self.store.install_log()


@contextmanager
def running(path: Path, **how: Any) -> Iterator[Server]:
    """Run a server, which is closed afterwards."""
    server = Server(path, **how)
    try:
        yield server
    finally:
        server.store.close()
