"""What the server does while nobody asks it."""

from datetime import timedelta
from threading import Event

from starlette.testclient import TestClient
from support.sandboxes import HOST, Sandbox

from polygent_issuer.enforcement import Refusal
from polygent_issuer.sandbox.server import application

PATIENCE = 60
"""Seconds; it takes milliseconds."""


class Queue:
    """A background service that can be waited for."""

    def __init__(self) -> None:
        self.paused = Event()
        self.reason: Refusal | None = None

    def pause(self, reason: Refusal) -> None:
        self.reason = reason
        self.paused.set()

    def resume(self) -> None:
        self.paused.clear()


def test_services_pause_at_the_expiry_without_a_request(licensed: Sandbox) -> None:
    """A license that ends at night pauses the queue at night."""
    held = licensed.site.standing().license
    assert held is not None
    queue = Queue()
    licensed.site.license.listen(queue, licensed.site.now())
    with TestClient(
        application(licensed.site, hosts=[HOST], access=licensed.access, tick_every=0.001)
    ):
        licensed.at = held.expires_at
        assert queue.paused.wait(PATIENCE)
    assert queue.reason is not None
    assert queue.reason.code == "license_expired"


def test_a_tick_sends_what_is_due(licensed: Sandbox) -> None:
    """The daily run comes with the first tick after a 09:00, and not with the next ones."""
    held = licensed.site.standing().license
    assert held is not None
    licensed.site.tick()
    licensed.at = held.expires_at - timedelta(days=7)
    for _ in range(3):
        licensed.site.tick()
    alerts = [run.alert.milestone for _, run in licensed.site.mails if run.alert]
    assert alerts == [7]
