"""Background services, as issue 5 has them: told to pause, and to resume."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Barrier, Thread

import pytest
from support.lic_files import ISSUED
from support.servers import DAY, Server

from polygent_issuer.enforcement import Refusal, StoreFailed


@dataclass
class Queue:
    """A service that remembers what it was told."""

    told: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def pause(self, reason: Refusal) -> None:
        self.told.append(reason.code)
        self.meanwhile()

    def resume(self) -> None:
        self.told.append("resume")
        self.meanwhile()


def test_told_at_once_and_at_each_transition(server: Server) -> None:
    """Background services are told to pause, and to resume."""
    queue = Queue()
    server.license.listen(queue, server.now)
    assert queue.told == ["license_none"]
    server.install(0)
    assert queue.told == ["license_none", "resume"]
    server.held()
    server.license.tick(server.now)
    server.now = ISSUED + 365 * DAY
    server.license.tick(server.now)
    server.answer()
    assert queue.told == ["license_none", "resume", "license_expired"]
    server.now -= 2 * DAY
    server.answer()
    assert queue.told[3:] == []
    server.now = ISSUED + 360 * DAY
    server.install(360)
    assert queue.told[3:] == ["resume"]


def test_a_request_notices_a_transition(server: Server) -> None:
    """Nobody has to wait for the next tick."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    server.now = ISSUED + 365 * DAY
    server.answer()
    assert queue.told == ["resume", "license_expired"]


def test_a_small_step_back_resumes(server: Server) -> None:
    """What was noticed last is what the services are told, and what requests are answered."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    for days in (365, 364.9, 365, 364.9):
        server.now = ISSUED + days * DAY
        server.license.active(server.now)
    assert queue.told == [*["resume", "license_expired"] * 2, "resume"]


def test_a_wrong_host_pauses_nobody(server: Server) -> None:
    """One forged Host must not pause a site."""
    queue = Queue()
    server.license.listen(queue, server.now)
    server.install(0)
    server.held()
    assert queue.told == ["license_none", "resume"]


def test_a_service_may_ask_the_license(server: Server) -> None:
    """...while it is told, also what makes it notice something else."""
    queue = Queue()
    server.install(0)
    server.license.listen(queue, server.now)

    def later() -> None:
        server.license.standing(ISSUED + 365 * DAY)

    queue.meanwhile = later
    server.now = ISSUED + 366 * DAY
    server.license.tick(server.now)
    assert queue.told == ["resume", "license_expired"]


def test_a_service_that_raises_stops_no_other(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told again at the next tick; the log says so in one line."""

    def fail() -> None:
        raise RuntimeError("\x1b[2J secret")

    broken, fine = Queue(meanwhile=fail), Queue()
    server.license.listen(broken, server.now)
    server.license.listen(fine, server.now)
    server.install(0)
    assert fine.told == ["license_none", "resume"]
    told = len(broken.told)
    server.state()
    assert len(broken.told) == told
    broken.meanwhile = fine.told.copy
    server.license.tick(server.now)
    server.license.tick(server.now)
    assert broken.told[-2:] == ["resume", "resume"]
    broken.told.clear()
    server.license.tick(server.now)
    assert broken.told == []
    assert {each.getMessage() for each in caplog.records} == {
        "a background service was not notified of license_none: RuntimeError",
        "a background service was not notified of active: RuntimeError",
    }
    assert all(each.exc_info is None for each in caplog.records)


def test_they_pause_while_the_store_fails(server: Server) -> None:
    """What cannot be kept is not acted on: neither by requests nor in the background."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    server.store.close()
    server.now += DAY
    assert server.answer().code == "license_store_failed"
    with pytest.raises(StoreFailed):
        server.license.tick(server.now)
    assert queue.told == ["resume", "license_store_failed"]


def test_nothing_is_told_from_within_a_judgment(server: Server) -> None:
    """Another thread that tells the services meanwhile tells them what held before it."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    services = server.license._services

    def asked() -> str:
        services.notify(lambda: server.license._why_not)
        return server.fingerprint

    server.license._fingerprint = asked
    server.license.standing(server.now)
    assert queue.told == ["resume"]


def test_the_last_word_is_the_latest(server: Server) -> None:
    """Many threads notice transitions at once: services end as the license does."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    barrier = Barrier(4)

    def look(number: int) -> None:
        barrier.wait()
        for turn in range(200):
            server.license.standing(ISSUED + DAY * (365 - (turn + number) % 2 / 100))

    threads = [Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.now = ISSUED + 365 * DAY
    server.answer()
    assert queue.told[-1] == "license_expired"
    assert all(one != other for one, other in zip(queue.told, queue.told[1:], strict=False))
