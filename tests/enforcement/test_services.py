"""Background services pause and resume."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Barrier, Thread

import pytest
from support.lic_files import ISSUED
from support.servers import DAY, Server

from polygent_issuer.enforcement import Refusal, StoreFailed


@dataclass
class Queue:
    """A service that records its calls."""

    calls: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def pause(self, reason: Refusal) -> None:
        self.calls.append(reason.code)
        self.meanwhile()

    def resume(self) -> None:
        self.calls.append("resume")
        self.meanwhile()


def test_notified_at_once_and_at_each_transition(server: Server) -> None:
    """Background services pause and resume at each transition."""
    queue = Queue()
    server.license.listen(queue, server.now)
    assert queue.calls == ["license_none"]
    server.install(0)
    assert queue.calls == ["license_none", "resume"]
    server.held()
    server.license.tick(server.now)
    server.now = ISSUED + 365 * DAY
    server.license.tick(server.now)
    server.answer()
    assert queue.calls == ["license_none", "resume", "license_expired"]
    server.now -= 2 * DAY
    server.answer()
    assert queue.calls[3:] == []
    server.now = ISSUED + 360 * DAY
    server.install(360)
    assert queue.calls[3:] == ["resume"]


def test_a_request_notices_a_transition(server: Server) -> None:
    """A request notifies the services before the next tick."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    server.now = ISSUED + 365 * DAY
    server.answer()
    assert queue.calls == ["resume", "license_expired"]


def test_a_small_step_back_resumes(server: Server) -> None:
    """Services and requests get the state that was found last."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    for days in (365, 364.9, 365, 364.9):
        server.now = ISSUED + days * DAY
        server.license.active(server.now)
    assert queue.calls == [*["resume", "license_expired"] * 2, "resume"]


def test_a_wrong_host_pauses_no_service(server: Server) -> None:
    """A forged Host does not pause a site."""
    queue = Queue()
    server.license.listen(queue, server.now)
    server.install(0)
    server.held()
    assert queue.calls == ["license_none", "resume"]


def test_a_service_may_use_the_license(server: Server) -> None:
    """A service may use the license while it is notified, even if that causes a transition."""
    queue = Queue()
    server.install(0)
    server.license.listen(queue, server.now)

    def later() -> None:
        server.license.standing(ISSUED + 365 * DAY)

    queue.meanwhile = later
    server.now = ISSUED + 366 * DAY
    server.license.tick(server.now)
    assert queue.calls == ["resume", "license_expired"]


def test_a_service_that_raises_stops_no_other(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """It is notified again at the next tick, and the log has one line."""

    def fail() -> None:
        raise RuntimeError("\x1b[2J secret")

    broken, fine = Queue(meanwhile=fail), Queue()
    server.license.listen(broken, server.now)
    server.license.listen(fine, server.now)
    server.install(0)
    assert fine.calls == ["license_none", "resume"]
    calls = len(broken.calls)
    server.state()
    assert len(broken.calls) == calls
    broken.meanwhile = fine.calls.copy
    server.license.tick(server.now)
    server.license.tick(server.now)
    assert broken.calls[-2:] == ["resume", "resume"]
    broken.calls.clear()
    server.license.tick(server.now)
    assert broken.calls == []
    assert {each for each in caplog.messages if each.startswith("a background service")} == {
        "a background service was not notified of license_none: RuntimeError",
        "a background service was not notified of active: RuntimeError",
    }
    assert all(each.exc_info is None for each in caplog.records)


def test_they_pause_while_the_store_fails(server: Server) -> None:
    """A transition that cannot be stored has no effect on requests or services."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    server.store.close()
    server.now += DAY
    assert server.answer().code == "license_store_failed"
    with pytest.raises(StoreFailed):
        server.license.tick(server.now)
    assert queue.calls == ["resume", "license_store_failed"]


def test_another_thread_notifies_the_last_state(server: Server) -> None:
    """A thread that notifies the services during a check passes on the state before it."""
    server.install(0)
    queue = Queue()
    server.license.listen(queue, server.now)
    services = server.license._services

    def read_fingerprint() -> str:
        services.notify(lambda: server.license._why_not)
        return server.fingerprint

    server.license._fingerprint = read_fingerprint
    server.license.standing(server.now)
    assert queue.calls == ["resume"]


def test_the_last_notification_is_the_latest(server: Server) -> None:
    """After concurrent transitions the services have the state of the license."""
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
    assert queue.calls[-1] == "license_expired"
    assert all(one != other for one, other in zip(queue.calls, queue.calls[1:], strict=False))
