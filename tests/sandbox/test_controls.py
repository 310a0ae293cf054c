"""The control strip."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from support.sandboxes import HOST, MACHINE, NOW, Sandbox

from polygent_issuer.enforcement import HostKind, State


def test_the_clock_can_be_set(licensed: Sandbox) -> None:
    """The pages show the state at the time of the clock."""
    licensed.move("clock", do="set", at="2027-03-01T09:00")
    assert licensed.site.now() == datetime(2027, 3, 1, 9, tzinfo=UTC)
    assert "License Expired" in licensed.client.get("/").text


@pytest.mark.parametrize(("step", "days"), [("30", 30), ("14", 14), ("7", 7), ("1", 1)])
def test_the_days_before_the_expiry(licensed: Sandbox, step: str, days: int) -> None:
    """Each button sets the day that it names, and the alert of that day is sent."""
    page = licensed.move("clock", do=f"before-{step}", back="/")
    rest = "1 day" if days == 1 else f"{days} days"
    assert f"The license expires in {rest}" in page
    assert [run.alert.milestone for _, run in licensed.site.mails if run.alert] == [days]
    assert "second-admin" in page, "it names an admin without an address"
    assert f"<summary>The Polygent license of Acme GmbH expires in {rest}</summary>" in page
    assert "A new machine info is not needed." in page, "the body of the mail"


def test_each_alert_is_sent_once(licensed: Sandbox) -> None:
    """Further daily runs send nothing, and nothing is sent at the expiry."""
    for step in ("before-30", "before-14", "before-14", "before-7", "before-1", "expiry"):
        licensed.move("clock", do=step)
        licensed.move("alerts")
    sent = [run.alert.milestone for _, run in reversed(licensed.site.mails) if run.alert]
    assert sent == [30, 14, 7, 1]


def test_the_background_pauses_and_resumes(licensed: Sandbox) -> None:
    """Background services pause at the expiry and resume after the renewal."""
    licensed.move("clock", do="expiry")
    reason = licensed.site.background.reason
    assert reason is not None
    assert reason.code == "license_expired"
    at = int(licensed.site.now().timestamp())
    licensed.upload(licensed.issuer.file(9, iat=at, exp=at + 90_000))
    assert licensed.site.background.reason is None


def test_a_clock_that_is_set_back_is_detected(licensed: Sandbox) -> None:
    """A server notices more than a day; going back in time replaces it."""
    licensed.move("clock", do="before-30")
    assert "Clock set back" in licensed.move("clock", do="set-back")
    licensed.move("clock", do="plus-1")
    assert licensed.site.standing().state is State.CLOCK_TAMPERED, "until it passes the latest"
    licensed.move("clock", do="plus-1")
    licensed.move("clock", do="plus-1")
    assert licensed.site.standing().active
    licensed.move("clock", do="set-back")
    licensed.move("clock", do="now")
    assert (licensed.site.standing().active, licensed.site.now()) == (True, NOW)


@pytest.mark.parametrize("step", ["now", "before-7", "before-1"])
def test_a_step_after_a_clock_that_was_set_back_unlocks(licensed: Sandbox, step: str) -> None:
    """Also a step forward to a time before the latest that the server has seen."""
    licensed.move("clock", do="plus-1" if step == "now" else "expiry")
    for _ in range(4 if step == "before-7" else 1):
        licensed.move("clock", do="set-back")
    before = licensed.site.now()
    assert not licensed.site.standing().active
    licensed.move("clock", do=step)
    assert licensed.site.now() > before
    assert licensed.site.standing().active


BACK_AND_FORTH = [
    *("before-1", "now", "before-30", "expiry", "before-7", "minus-1", "minus-1", "plus-1"),
    *("expiry", "plus-1", "now", "minus-1", "minus-1", "minus-1", "plus-1", "plus-1", "plus-1"),
]


def test_going_back_and_forth_locks_nothing(licensed: Sandbox) -> None:
    """At each time only the license decides the state, whatever came before."""
    licensed.site.connect(HostKind.SESSION)
    license_ = licensed.site.standing().license
    assert license_ is not None
    for step in BACK_AND_FORTH:
        licensed.move("clock", do=step)
        now, standing = licensed.site.now(), licensed.site.standing()
        assert standing.license == license_, step
        if now >= license_.expires_at:
            assert standing.state is State.EXPIRED, step
        elif now < license_.issued_at:
            assert standing.state is State.NOT_YET_VALID, step
        else:
            assert standing.active, step
        paused = licensed.site.background.reason is not None
        assert paused != standing.active, step
    assert licensed.site.now() == NOW
    assert licensed.site.license.hosts.connected(HostKind.SESSION) == 1, "agents stay connected"


def test_a_license_of_an_operator_whose_clock_is_ahead_locks_nothing(sandbox: Sandbox) -> None:
    """It may be issued up to five minutes after the server's time, which then goes back."""
    ahead = int((NOW + timedelta(minutes=4)).timestamp())
    sandbox.upload(sandbox.issuer.file(1, iat=ahead))
    for step in ("set-back", "plus-1", "minus-1", "now"):
        sandbox.move("clock", do=step)
    assert (sandbox.site.standing().active, sandbox.site.now()) == (True, NOW)


def test_going_back_before_a_renewal(licensed: Sandbox) -> None:
    """The license of that time is installed, and the renewal is again at its own time."""
    licensed.site.connect(HostKind.DEPLOY)
    first = licensed.site.standing().license
    licensed.move("clock", do="expiry")
    at = int(licensed.site.now().timestamp())
    licensed.upload(licensed.issuer.file(2, iat=at, exp=at + 90 * 86_400))
    second = licensed.site.standing().license
    licensed.move("clock", do="now")
    assert licensed.site.standing().license == first
    licensed.move("clock", do="expiry")
    assert licensed.site.standing().license == second
    assert licensed.site.standing().active
    licensed.move("clock", do="now")
    again = licensed.issuer.file(3, features=("planner",), iat=int(NOW.timestamp()))
    licensed.upload(again)
    licensed.move("clock", do="expiry")
    licensed.move("clock", do="plus-1")
    assert licensed.site.standing().state is State.EXPIRED, "the later upload has not happened"
    licensed.site.disconnect(HostKind.DEPLOY)
    assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 0


def test_going_back_on_another_machine(licensed: Sandbox) -> None:
    """The license stays installed, and the machine stays the other one."""
    licensed.move("machine", do="another")
    licensed.move("clock", do="before-7")
    licensed.move("clock", do="now")
    assert licensed.site.standing().state is State.MACHINE_CHANGED
    licensed.move("machine", do="set", fingerprint=MACHINE)
    assert licensed.site.standing().active


def test_mails_of_the_future_are_sent_again(licensed: Sandbox) -> None:
    """Going back removes them; a mail that was sent before is not sent again."""
    for step in ("before-30", "before-14", "before-7", "before-14", "before-7"):
        licensed.move("clock", do=step)
    sent = [run.alert.milestone for _, run in reversed(licensed.site.mails) if run.alert]
    assert sent == [30, 14, 7]


def test_starting_over_resets_everything(licensed: Sandbox) -> None:
    """The page asks first; the fingerprint is kept."""
    page = licensed.client.get("/sandbox").text
    assert "Replace this server by a new one" in page
    licensed.move("clock", do="before-30")
    before = licensed.site.home_fingerprint
    assert "started over" in licensed.move("start-over", do="yes")
    assert licensed.site.fingerprint == before
    assert licensed.site.standing().state is State.NONE
    assert licensed.site.now() == NOW


def controls(page: str) -> list[tuple[str, dict[str, str]]]:
    """Return path and fields of each control on a page."""
    found = []
    for path, form in re.findall(
        r'<form method="post" action="(/sandbox/[^"]+)".*?>(.*?)</form>', page, re.DOTALL
    ):
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
        actions = re.findall(r'<button [^>]*name="do" value="([^"]+)"', form)
        found += [(path, {**hidden, "do": do}) for do in actions]
    return found


@pytest.mark.parametrize("page", ["/sandbox", "/settings/license"])
def test_each_control_keeps_page_and_focus(licensed: Sandbox, page: str) -> None:
    """The same page returns, and exactly the control that was used gets the focus, once."""
    for path, form in controls(licensed.client.get(page).text):
        answer = licensed.client.post(path, data=form)
        if answer.url.path == "/license-expired":
            licensed.client.post("/sandbox/machine", data={"do": "set", "fingerprint": MACHINE})
            answer = licensed.client.post(path, data={**form, "back": page})
        name = "-".join(filter(None, (path.rpartition("/")[2], form.get("kind"), form["do"])))
        name = name.replace("start-over-yes", "start-over")
        assert re.findall(r'id="([^"]+)" autofocus', answer.text) == [name]
        assert " autofocus" not in licensed.client.get("/sandbox").text
        licensed.client.post("/sandbox/clock", data={"do": "now"})


@pytest.mark.parametrize(
    "form",
    [
        {"do": "set", "at": ""},
        {"do": "set", "at": "1 March"},
        {"do": "set", "at": "0001-01-01T00:00"},
        {"do": "set", "at": "9999-12-31T23:59"},
        {"do": "set", "at": "0001-01-01T00:00+10:00"},
        {"do": "set", "at": "9999-12-31T23:59-10:00"},
        {"do": "9999999999-days"},
        {"do": "--days"},
        {"do": "before-3"},
        {"do": ""},
    ],
)
def test_an_invalid_clock_is_refused(licensed: Sandbox, form: dict[str, str]) -> None:
    """The notice explains the problem, and the clock does not change."""
    page = licensed.move("clock", **form)
    assert "enter a date and time" in page or "the year must be" in page
    assert licensed.site.now() == NOW


def test_another_machine_locks_the_server(licensed: Sandbox) -> None:
    """The full-screen page appears until the fingerprint is set back."""
    licensed.move("machine", do="another")
    assert "Machine identity changed" in licensed.client.get("/").text
    licensed.move("machine", do="set", fingerprint=MACHINE)
    assert licensed.site.standing().active
    assert "missing" in licensed.move("machine", do="set", fingerprint="")


def test_users_and_hosts_can_be_changed(licensed: Sandbox) -> None:
    """A refusal is shown as by the API; any number of users can be set."""
    licensed.move("users", do="set", number="25")
    assert "400 user_limit" in licensed.move("users", do="add", number="25")
    assert "between 0 and" in licensed.move("users", do="set", number="-1")
    licensed.move("users", do="deactivate", number="25")
    assert licensed.site.users == 24
    licensed.move("users", do="add", number="24")
    assert licensed.site.users == 25
    assert "400 user_limit" in licensed.move("users", do="activate")
    licensed.move("users", do="set", number="24")
    licensed.move("users", do="activate")
    assert (licensed.site.users, licensed.site.deactivated) == (25, 0)
    assert "no user is deactivated" in licensed.move("users", do="activate")
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


@pytest.mark.parametrize(
    "page", ["/", "/profile", "/modules/insights", "/sandbox?method=PUT&path=%2Fapi%2Fx%26y"]
)
def test_a_control_returns_to_its_page(licensed: Sandbox, page: str) -> None:
    """With the query, and also while the license is expired in between."""
    back = html.unescape(controls(licensed.client.get(page).text)[0][1]["back"])
    assert back == page
    licensed.move("clock", do="expiry", back=back)
    locked = licensed.client.get(page)
    back = html.unescape(controls(locked.text)[0][1]["back"])
    answer = licensed.client.post("/sandbox/clock", data={"do": "now", "back": back})
    assert str(answer.url) == f"http://{HOST}{page}"


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
