"""A process that is killed between storing a transition and its effect, or cannot store it.

The process is real and is killed as by kill -9. The next process reads what it stored.
"""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.lic_files import ISSUED, Issuer, license_id
from support.servers import DAY, MACHINE, Server, running

from polygent_issuer.enforcement import Admin, SqliteStore, State, StoreFailed
from polygent_issuer.enforcement.live import _BEAT, _PATIENCE
from polygent_issuer.verifier import ClockGuard

ADA = Admin(name="Ada", address="ada@acme.example")

SCRIPT = """
import os, sys
from datetime import datetime
from pathlib import Path
from polygent_issuer.enforcement import Admin, ServerLicense, SqliteStore
from polygent_issuer.verifier import KeySet, Verifier

path, pem, write, when, now, machine, stage = sys.argv[1:8]

class Dying(SqliteStore):
    written = False

    def _rows(self, statement, *values):
        ends = self.written and statement == "COMMIT"
        if ends and when == "before":
            os._exit(9)
        rows = super()._rows(statement, *values)
        if ends:
            os._exit(9)
        return rows

def writing(self, *arguments):
    self.written = write != "keep_run" or bool(arguments[1]) == (stage == "confirmation")
    getattr(SqliteStore, write)(self, *arguments)

setattr(Dying, write, writing)
license = ServerLicense(
    Verifier(KeySet.from_pem(Path(pem).read_bytes())), Dying(Path(path)), fingerprint=machine
)
at = datetime.fromisoformat(now)
if write == "install":
    license.install(sys.stdin.buffer.read(), now=at, by="ada")
elif write == "keep_run":
    alert = license.alerts(at, [Admin(name="Ada", address="ada@acme.example")]).alert
    license.alert_sent(alert)
else:
    license.standing(at)
"""


def dies(
    server: Server, write: str, when: str, now: datetime, data: bytes = b"", *, stage: str = ""
) -> None:
    """Run a process that is killed `before` or `after` the commit of a write.

    `stage` is the write of the daily run, or that of its confirmation.
    """
    server.store.close()
    pem = server.path.with_name("key.pem")
    pem.write_bytes(server.issuer.signer.public_key.to_pem())
    arguments = [str(server.path), str(pem), write, when, now.isoformat(), MACHINE, stage]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], input=data, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (9, b"")
    server.start()
    server.now = now


def test_an_install_is_stored_completely_or_not_at_all(server: Server) -> None:
    """License, guard and log entry are all stored, or none of them is."""
    server.install(0)
    then = server.now + DAY
    dies(server, "install", "before", then, server.issuer.file(1))
    assert server.held().jti == license_id(0)
    assert [each.license_id for each in server.log()] == [license_id(0)]
    dies(server, "install", "after", then, server.issuer.file(1))
    assert server.held().jti == license_id(1)
    assert [each.license_id for each in server.log()] == [license_id(1), license_id(0)]
    assert server.refused(server.issuer.file(0)).code == "superseded"


def test_tampering_is_stored_before_its_effect(server: Server) -> None:
    """After a crash the server still knows that its clock was set back."""
    server.install(0)
    server.now += 9 * DAY
    server.held()
    back = server.now - 2 * DAY
    dies(server, "keep_guard", "after", back)
    assert server.guard().tampered
    server.now = back + DAY + timedelta(hours=23)
    assert server.state() is State.CLOCK_TAMPERED


def test_a_milestone_is_repeated_rather_than_lost(server: Server) -> None:
    """A milestone stays due until its confirmation is stored; then it is not sent again."""
    server.install(0)
    then = ISSUED + 351 * DAY
    ends = [("before", "run"), ("after", "run"), ("before", "confirmation")]
    for when, stage in ends:
        dies(server, "keep_run", when, then, stage=stage)
        forget_the_dead(server)
        assert server.license.alerts_due(then), (when, stage)
    dies(server, "keep_run", "after", then, stage="confirmation")
    forget_the_dead(server)
    assert not server.license.alerts_due(then)
    assert server.license.alerts(then, [ADA]).alert is None


def forget_the_dead(server: Server) -> None:
    """Let the server look for other processes as often as it does in less than a minute."""
    for _ in range(_PATIENCE + 2 * _BEAT):
        server.store._live.look()


class Failing(SqliteStore):
    """A store whose disk fails, before the commit or right after it."""

    fails: str | None = None

    def _rows(self, statement: str, *values: object) -> list[Any]:
        if self.fails == "before" and statement.startswith(("UPDATE", "INSERT")):
            raise OSError(28, "No space left on device")
        rows = super()._rows(statement, *values)
        if self.fails == "after" and statement == "COMMIT":
            raise OSError(5, "Input/output error")
        return rows


class ServerOnAFailingDisk(Server):
    """A server whose store fails on demand."""

    @property
    def disk(self) -> Failing:
        """The store."""
        assert isinstance(self.store, Failing)
        return self.store


@pytest.fixture
def failing(tmp_path: Path) -> ServerOnAFailingDisk:
    """A server with a license, whose next write fails on a full disk."""
    server = ServerOnAFailingDisk(tmp_path / "license.db", kind=Failing)
    server.install(0)
    return server


def test_a_full_disk_refuses(failing: ServerOnAFailingDisk) -> None:
    """A change that cannot be stored has no effect; once it can, everything is as before."""
    failing.disk.fails = "before"
    failing.held()
    failing.now += 9 * DAY
    assert failing.answer().code == "license_store_failed"
    with pytest.raises(StoreFailed, match="No space left"):
        failing.install(1)
    with pytest.raises(StoreFailed):
        failing.license.alerts(failing.now, [ADA])
    with pytest.raises(StoreFailed):
        failing.license.install(b"x", now=failing.now, by="ada")
    failing.disk.fails = None
    assert failing.held().jti == license_id(0)
    assert failing.guard() == ClockGuard(failing.now)
    assert len(failing.log()) == 1
    failing.store.close()


def test_a_commit_with_an_unknown_result(failing: ServerOnAFailingDisk) -> None:
    """After an uncertain commit the server uses the stored state."""
    failing.now += DAY
    failing.held()
    failing.disk.fails = "after"
    with pytest.raises(StoreFailed, match="Input/output"):
        failing.install(1)
    assert failing.answer().code == "license_store_failed"
    failing.disk.fails = None
    assert failing.held().jti == license_id(1)
    failing.store.close()


def test_a_guard_with_an_unknown_commit(failing: ServerOnAFailingDisk) -> None:
    """A time that was stored after all counts as seen."""
    failing.now += 9 * DAY
    failing.disk.fails = "after"
    assert failing.answer().code == "license_store_failed"
    failing.disk.fails = None
    failing.now -= 5 * DAY
    assert failing.answer().code == "license_clock_tampered"
    failing.store.close()


def test_a_setback_that_cannot_be_stored_is_not_forgotten(failing: ServerOnAFailingDisk) -> None:
    """A full disk does not hide that the clock was set back."""
    failing.now += 9 * DAY
    failing.held()
    failing.disk.fails = "before"
    failing.now -= 5 * DAY
    assert failing.answer().code == "license_store_failed"
    failing.disk.fails = None
    assert failing.answer().code == "license_clock_tampered"
    failing.store.close()


def test_two_servers_share_nothing(tmp_path: Path) -> None:
    """Nodes of a cluster install the same file without coordination."""
    issuer = Issuer()
    with (
        running(tmp_path / "one.db", issuer=issuer) as one,
        running(tmp_path / "two.db", issuer=issuer) as two,
    ):
        file = issuer.file(0)
        one.upload(file)
        assert two.state() is State.NONE
        two.upload(file)
        assert one.held() == two.held()
        one.now += 365 * DAY
        assert (one.state(), two.state()) == (State.EXPIRED, State.ACTIVE)
