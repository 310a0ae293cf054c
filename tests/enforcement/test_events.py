"""The log: changes of the state, uploads and refusals, not more often than once a minute each."""

import logging
from datetime import timedelta

import pytest
from support.asgi import http_scope, status
from support.servers import ANOTHER_MACHINE, DAY, Server, running

from polygent_issuer.enforcement import LicenseMiddleware, Route, StoreFailed
from polygent_issuer.verifier import AllowedDomain

LOGGER = "polygent_issuer.enforcement.events"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All messages of the license."""
    caplog.set_level(logging.INFO, logger=LOGGER)
    return caplog


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    """Return the new messages, each with its level."""
    found = [f"{each.levelname} {each.getMessage()}" for each in log.records]
    assert {each.name for each in log.records} <= {LOGGER}
    log.clear()
    return found


def test_each_state_is_logged_once(server: Server, log: pytest.LogCaptureFixture) -> None:
    """The first state and every change are logged, with the license and the reason."""
    server.license.tick(server.now)
    server.license.tick(server.now)
    assert lines(log) == ["WARNING license state: none: no license is installed"]
    jti = server.install(0).jti
    which = f"license {jti} of 'Acme GmbH'"
    assert lines(log) == [
        f"INFO an upload by 'ada' was installed, {which}",
        f"INFO license state: active, {which}",
    ]
    server.now += 400 * DAY
    server.license.tick(server.now)
    server.license.tick(server.now)
    assert lines(log) == [
        f"WARNING license state: expired, {which}: expired at 2027-01-05T08:00:00Z"
    ]


def test_each_process_logs_the_license_of_another(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    """A renewal that another process installed is a message, though the state stays active."""
    server.install(0)
    server.now += DAY
    with running(server.path, issuer=server.issuer, now=server.now) as other:
        log.clear()
        jti = other.install(1).jti
        server.license._look(changed=True)
        assert server.held().jti == jti
    text = f"INFO license state: active, license {jti} of 'Acme GmbH'"
    assert lines(log).count(text) >= 2, "one of each"


def test_a_failed_store_is_logged_with_its_fix(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    """The message and the hint of `StoreFailed` are in the log, since clients do not see them."""
    server.install(0)
    log.clear()
    server.store.close()
    server.now += DAY
    with pytest.raises(StoreFailed) as failed:
        server.license.standing(server.now)
    failure = f"{failed.value.message}; {failed.value.hint}"
    assert lines(log) == [f"ERROR the license store failed: {failure}"]


def test_a_refusal_is_logged_once_a_minute(server: Server, log: pytest.LogCaptureFixture) -> None:
    """A flood of refused requests is one message a minute, with the number of those between."""
    server.license.tick(server.now)
    log.clear()
    for _ in range(1_000):
        server.answer()
    first = "WARNING refused: 503 license_none: no license is installed"
    assert lines(log) == [first]
    server.now += MINUTE - timedelta(microseconds=1)
    server.answer()
    assert lines(log) == []
    server.now += timedelta(microseconds=1)
    server.answer()
    assert lines(log) == [f"{first} (and 1,000 more before)"]
    server.now += MINUTE
    server.answer()
    assert lines(log) == [first]


def test_a_clock_that_was_set_back_does_not_silence(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    """After the clock was set back, refusals are logged at once."""
    server.answer()
    log.clear()
    server.now -= timedelta(hours=2)
    server.answer()
    assert len(lines(log)) == 1


def test_kinds_do_not_hide_each_other(server: Server, log: pytest.LogCaptureFixture) -> None:
    """Each code has its own minute; a client's own mistake is not a warning."""
    server.install(0)
    log.clear()
    now = server.now
    server.license.feature("sso-saml", now)
    server.license.may_add_user(25, now)
    server.license.may_activate_user(25, now)
    assert lines(log) == [
        "INFO refused: 403 feature_missing: the license does not include 'sso-saml'",
        "INFO refused: 400 user_limit: the license allows 25 active users, and 25 are active",
    ]


def test_a_refused_upload_is_logged(server: Server, log: pytest.LogCaptureFixture) -> None:
    """The log has who, code and reason of a refused upload, and nothing of its bytes."""
    file = server.issuer.file(0, fingerprint=ANOTHER_MACHINE)
    server.refused(file)
    server.refused(b"a secret")
    server.refused(b"a secret")
    of_machine, of_form = lines(log)
    assert of_machine.startswith("WARNING an upload by 'ada' was refused, license ")
    assert ": machine_mismatch: the license is bound to machine sha256:cd" in of_machine
    assert of_form.startswith("WARNING an upload by 'ada' was refused: malformed: ")
    assert "secret" not in of_form
    assert file.decode()[:40] not in of_machine


def test_an_upload_that_cannot_be_stored_is_logged(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    """The log has who, and the reason with its fix: an admin sees only that it failed."""
    server.install(0)
    log.clear()
    server.store.close()
    with pytest.raises(StoreFailed) as failed:
        server.install(1)
    reason = f"{failed.value.message}; {failed.value.hint}"
    assert f"ERROR an upload by 'ada' was not stored: {reason}" in lines(log)


async def _answered(*_: object) -> None:
    raise AssertionError("the request was passed on")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        (b"evil.example", "'evil.example'"),
        (b"a\r\nINFO forged\x1b[31m\xe2", r"'a\r\nINFO forged\x1b[31m\xe2'"),
        (b"x" * 9_999, "'" + "x" * 80 + "...'"),
        (b"", "''"),
    ],
)
def test_a_mismatch_names_the_host(
    server: Server, log: pytest.LogCaptureFixture, host: bytes, shown: str
) -> None:
    """The Host of a mismatch is logged in one line, escaped and cut."""
    server.install(0, fingerprint=None, allowed_domain=AllowedDomain("*.acme.internal"))
    log.clear()
    app = LicenseMiddleware(_answered, license=server.license, now=lambda: server.now)
    assert status(app, {**http_scope("/api/x"), "headers": [(b"host", host)]}) == 503
    text = "WARNING refused: 503 domain_mismatch: the license does not cover the host name of this"
    assert lines(log) == [f"{text} request, host {shown}"]
    server.now += MINUTE
    server.license.judge(Route.API, now=server.now, host=host.decode("latin-1"))
    assert lines(log) == [f"{text} request, host {shown}"]


def test_an_active_license_logs_nothing(server: Server, log: pytest.LogCaptureFixture) -> None:
    """A request that is allowed costs no message."""
    server.install(0)
    log.clear()
    for _ in range(3):
        server.now += timedelta(seconds=90)
        assert server.license.judge(Route.API, now=server.now) is None
    assert lines(log) == []


def test_the_middleware_logs_its_own_refusals(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    """A missing feature and a malformed path are logged like other refusals."""
    server.install(0)
    log.clear()
    features = {"/api/sso": "sso-saml"}
    app = LicenseMiddleware(
        _answered, license=server.license, now=lambda: server.now, features=features
    )
    for path in ("/api/sso/x", "/api/a\n"):
        assert status(app, http_scope(path)) in (400, 403)
    assert [line.split(":")[1] for line in lines(log)] == [
        " 403 feature_missing",
        " 400 malformed_path",
    ]
