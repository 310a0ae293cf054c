"""The control strip."""

from datetime import UTC, datetime, timedelta

import pytest
from support.sandboxes import MACHINE, NOW, Sandbox

from polygent_issuer.enforcement import HostKind, State


def test_the_clock_can_be_set(licensed: Sandbox) -> None:
    """The pages show the state at the time of the clock."""
    licensed.move("clock", to="at", at="2027-03-01T09:00")
    assert licensed.site.now() == datetime(2027, 3, 1, 9, tzinfo=UTC)
    assert "License expired" in licensed.client.get("/").text


@pytest.mark.parametrize(("step", "days"), [("30", 30), ("14", 14), ("7", 7), ("1", 1)])
def test_the_days_before_the_expiry(licensed: Sandbox, step: str, days: int) -> None:
    """Each button sets the day that it names, and the alert of that day is sent."""
    page = licensed.move("clock", to=f"before-{step}", back="/")
    rest = "1 day" if days == 1 else f"{days} days"
    assert f"The license expires in {rest}" in page
    assert [run.alert.milestone for _, run in licensed.site.mails if run.alert] == [days]
    assert "second-admin" in page, "it names an admin without an address"


def test_each_alert_is_sent_once(licensed: Sandbox) -> None:
    """Further daily runs send nothing, and nothing is sent at the expiry."""
    for step in ("before-30", "before-14", "before-14", "before-7", "before-1", "expiry"):
        licensed.move("clock", to=step)
        licensed.move("alerts")
    sent = [run.alert.milestone for _, run in reversed(licensed.site.mails) if run.alert]
    assert sent == [30, 14, 7, 1]


def test_the_background_pauses_and_resumes(licensed: Sandbox) -> None:
    """Background services pause at the expiry and resume after the renewal."""
    licensed.move("clock", to="expiry")
    reason = licensed.site.background.reason
    assert reason is not None
    assert reason.code == "license_expired"
    at = int(licensed.site.now().timestamp())
    licensed.upload(licensed.issuer.file(9, iat=at, exp=at + 90_000))
    assert licensed.site.background.reason is None


def test_a_clock_that_is_set_back_is_detected(licensed: Sandbox) -> None:
    """More than a day is detected; starting over resets it."""
    licensed.move("clock", to="before-30")
    page = licensed.move("clock", to="-2-days")
    assert "clock tampered" in page
    assert "Start over" in page
    licensed.move("clock", to="true")
    assert licensed.site.standing().state is State.CLOCK_TAMPERED, "until it passes the latest"
    before = licensed.site.home_fingerprint
    licensed.move("start-over")
    assert licensed.site.fingerprint == before, "the fingerprint is kept"
    assert licensed.site.standing().state is State.NONE
    assert licensed.site.now() == NOW


@pytest.mark.parametrize(
    "form",
    [
        {"to": "at", "at": ""},
        {"to": "at", "at": "1 March"},
        {"to": "at", "at": "0001-01-01T00:00"},
        {"to": "at", "at": "9999-12-31T23:59"},
        {"to": "at", "at": "0001-01-01T00:00+10:00"},
        {"to": "at", "at": "9999-12-31T23:59-10:00"},
        {"to": "9999999999-days"},
        {"to": "--days"},
        {"to": "before-3"},
        {"to": ""},
    ],
)
def test_an_invalid_clock_is_refused(licensed: Sandbox, form: dict[str, str]) -> None:
    """The notice explains the problem, and the clock does not change."""
    page = licensed.move("clock", **form)
    assert "enter a date and time" in page or "the year must be" in page
    assert licensed.site.now() == NOW


def test_another_machine_locks_the_server(licensed: Sandbox) -> None:
    """The full-screen page appears until the fingerprint is set back."""
    licensed.move("machine", be="another")
    assert "Machine identity changed" in licensed.client.get("/").text
    licensed.move("machine", be="typed", fingerprint=MACHINE)
    assert licensed.site.standing().active
    assert "missing" in licensed.move("machine", be="typed", fingerprint="")


def test_users_and_hosts_can_be_changed(licensed: Sandbox) -> None:
    """A refusal is shown as by the API; any number of users can be set."""
    licensed.move("users", do="set", number="25")
    assert "400 user_limit" in licensed.move("users", do="add", number="25")
    assert "between 0 and" in licensed.move("users", do="set", number="-1")
    licensed.move("users", do="remove", number="25")
    assert licensed.site.users == 24
    licensed.move("users", do="add", number="24")
    assert licensed.site.users == 25
    licensed.move("hosts", kind="deploy", do="connect")
    assert "concurrent host limit reached" in licensed.move("hosts", kind="deploy", do="connect")
    licensed.move("hosts", kind="deploy", do="disconnect")
    assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 0
    assert "session or deploy" in licensed.move("hosts", kind="x", do="connect")


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", ""])
def test_a_control_redirects_only_to_our_pages(licensed: Sandbox, back: str) -> None:
    """A form with another target redirects to the page of API responses."""
    answer = licensed.client.post("/sandbox/alerts", data={"back": back}, follow_redirects=False)
    assert answer.headers["location"] == "/sandbox"


def test_no_control_character_reaches_a_header(licensed: Sandbox) -> None:
    """The simulated Host has no control characters and at most the length of a host name."""
    licensed.move("host", host="a\r\nx: y")
    assert licensed.site.host == "polygent.example"


def test_a_license_can_be_installed_at_the_start(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The server has its fingerprint, and the upload window may have passed."""
    sandbox.at += timedelta(days=100)
    file = sandbox.issuer.file(1, fingerprint="sha256:" + "cd" * 32)
    site = sandbox.build(tmp_path_factory.mktemp("other"), file)
    assert site.standing().active
    assert site.fingerprint == "sha256:" + "cd" * 32
    assert site.attempt is None


@pytest.mark.parametrize("days", [5, 400])
def test_an_expired_license_can_be_installed_at_the_start(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, days: int
) -> None:
    """The server shows the license as expired, and installs it once."""
    issued = int(NOW.timestamp())
    file = sandbox.issuer.file(1, iat=issued, exp=issued + (days - 1) * 86_400, fingerprint=None)
    sandbox.at += timedelta(days=days)
    site = sandbox.build(tmp_path_factory.mktemp("other"), file)
    assert site.standing().state is State.EXPIRED
    assert site.attempt is None
    log = site.license.status(site.now(), users_active=0).install_log
    assert [each.outcome for each in log] == ["installed"]


def test_a_refused_license_is_not_installed_at_the_start(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The server has no license, and the reason is available."""
    site = sandbox.build(tmp_path_factory.mktemp("other"), b"nonsense")
    assert site.standing().state is State.NONE
    assert site.attempt is not None
    assert site.attempt.refused is not None
    assert site.attempt.refused.code == "malformed"
