"""A server with a license: a real store in a file, and a clock that a test sets."""

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
    """One node; `restart` forgets all but the file.

    Attributes:
        now: what the server's clock says.
        fingerprint: of the server's machine, as it says at the moment.
    """

    path: Path
    issuer: Issuer = field(default_factory=Issuer)
    now: datetime = ISSUED + timedelta(hours=1)
    fingerprint: str = MACHINE
    freshness_window: timedelta = timedelta(days=14)
    store: SqliteStore = field(init=False)
    license: ServerLicense = field(init=False)

    def __post_init__(self) -> None:
        """Start."""
        self.start()

    def start(self, verifier: Verifier | None = None) -> None:
        """Open the store."""
        self.store = SqliteStore(self.path, patience=timedelta())
        self.license = ServerLicense(
            verifier or Verifier(KeySet(self.issuer.signer.public_key)),
            self.store,
            fingerprint=lambda: self.fingerprint,
            freshness_window=self.freshness_window,
        )

    def restart(self, verifier: Verifier | None = None) -> None:
        """A new process on the same file."""
        self.store.close()
        self.start(verifier)

    def install(self, number: int, **claims: Any) -> License:
        """Upload the file that the issuer makes of these claims."""
        return self.upload(self.issuer.file(number, **claims))

    def upload(self, data: bytes) -> License:
        """Upload a file."""
        return self.license.install(data, now=self.now, by="ada")

    def refused(self, data: bytes) -> InstallRefused:
        """What a file is refused with."""
        try:
            self.upload(data)
        except InstallRefused as refused:
            return refused
        raise AssertionError("the file was installed")

    def state(self) -> State:
        """The state at this moment; a restart finds the same."""
        return self.license.standing(self.now).state

    def held(self) -> License:
        """The active license."""
        held = self.license.active(self.now)
        assert isinstance(held, License), held
        return held

    def answer(self) -> Refusal:
        """What an API request is answered."""
        held = self.license.active(self.now)
        assert isinstance(held, Refusal)
        return held

    def guard(self) -> ClockGuard:
        """The guard as it is stored."""
        return self.store.load().guard

    def log(self) -> tuple[LogEntry, ...]:
        """The install log, the newest first."""
        return self.store.install_log()


@contextmanager
def running(path: Path, **how: Any) -> Iterator[Server]:
    """A server that is closed afterwards."""
    server = Server(path, **how)
    try:
        yield server
    finally:
        server.store.close()
