"""The whole story of a customer, in a real browser, with the real command line.

The sandbox is a separate process whose control strip sets its clock. The operator's commands run at
the time of that clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.browser import Visitor, chromium, sandbox_process
from support.cli import Desk

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """The operator's desk with a key, at the current time."""
    made = Desk(tmp_path, now=datetime.now(UTC)).set_up()
    made.ok("key", "export-public", "--output", str(tmp_path / "public.pem"))
    return made


@pytest.fixture
def visitor(desk: Desk) -> Iterator[Visitor]:
    """The customer's admin, at a server without a license."""
    downloads = desk.folder / "downloads"
    downloads.mkdir()
    with (
        sandbox_process("--public-key", str(desk.folder / "public.pem")) as address,
        chromium(downloads) as driver,
    ):
        visitor = Visitor(driver, address, downloads)
        visitor.press("Sign in as admin")
        yield visitor


def issued(desk: Desk, visitor: Visitor, *command: str) -> Path:
    """Issue a license at the time of the server."""
    desk.now = visitor.clock
    licenses = desk.ok(*command, "--json", "--yes").json["licenses"]
    return Path(licenses[-1]["file"])


def tampered(file: Path) -> Path:
    """Return a copy with one changed character in its payload."""
    text = file.read_text()
    middle = len(text) // 2
    copy = file.with_name("tampered.lic")
    copy.write_text(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :])
    return copy


TERMS = ("--plan", "standard-annual", "--customer", "Acme GmbH")
CONSENT = ("--reason", "the story")


def test_a_standard_customer(desk: Desk, visitor: Visitor) -> None:
    """The steps: expired page, machine info, sign, upload, alerts, expiry, renewal, new machine."""
    assert visitor.title == "No license yet"
    document = visitor.download()
    first = issued(desk, visitor, "sign", "--machine-info", str(document), *TERMS)

    visitor.upload(tampered(first))
    assert visitor.title == "No license yet"
    assert "changed or damaged after it was signed" in visitor.text

    visitor.upload(first)
    assert visitor.title == "License"
    assert "The license is installed" in visitor.text
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"

    for days in ("30", "14", "7", "1"):
        visitor.press(f"{days} d")
        assert f"expires in {days} day" in visitor.text
        assert f"expires in {days} day" in visitor.strip
        visitor.follow(visitor.mail)
        assert f"{days}-day alert to admin@sandbox.example" in visitor.strip
    visitor.press("At expiry")
    assert visitor.title == "License Expired"
    assert "Background services paused" in visitor.strip

    visitor.upload(issued(desk, visitor, "renew", "acme-gmbh"))
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"
    assert "Background services running" in visitor.strip

    visitor.press("Another machine")
    assert visitor.title == "Machine identity changed"
    document = visitor.download()
    consent = ("--accept", "claimed-customer", *CONSENT)
    reissue = ("reissue", "acme-gmbh", "--machine-info", str(document), *consent)
    visitor.upload(issued(desk, visitor, *reissue))
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"


def test_a_clock_that_once_ran_ahead(desk: Desk, visitor: Visitor) -> None:
    """A corrected clock looks set back; a newly issued license fixes it."""
    document = visitor.download()
    visitor.upload(issued(desk, visitor, "sign", "--machine-info", str(document), *TERMS))
    visitor.press("30 d")
    visitor.press("Set back by 2 days")
    assert visitor.title == "Clock set back"
    visitor.press("+1 day")
    assert visitor.title == "Clock set back"
    visitor.upload(issued(desk, visitor, "reissue", "acme-gmbh"))
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"


def test_back_and_forth_in_time(desk: Desk, visitor: Visitor) -> None:
    """No step locks the server, and the page stays; starting over asks first."""
    document = visitor.download()
    visitor.upload(issued(desk, visitor, "sign", "--machine-info", str(document), *TERMS))
    for step in (
        "1 d",
        "30 d",
        "Back to now",
        "At expiry",
        "7 d",
        "\N{MINUS SIGN}1 day",
        "Back to now",
    ):
        visitor.press(step)
        assert visitor.title == ("License Expired" if step == "At expiry" else "License"), step
    visitor.follow("Start over …")
    assert visitor.title == "License"
    visitor.press("Yes, start over")
    assert visitor.title == "No license yet"
    assert visitor.focus == "Start over …"


def test_an_enterprise_customer(desk: Desk, visitor: Visitor) -> None:
    """Requests to another domain are refused until the license is reissued for it."""
    enterprise = ("--customer", "Globex", "--tier", "enterprise", "--plan", "enterprise-annual")
    domain = ("--allowed-domain", "*.globex.internal")
    visitor.upload(issued(desk, visitor, "sign", *enterprise, *domain))
    assert "*.globex.internal" in visitor.text
    assert "Install log" in visitor.text

    visitor.enter("Host name of requests", "polygent.globex.example")
    assert visitor.title == "License domain mismatch"
    assert "Background services running" in visitor.strip, "a request does not change the state"
    reissue = ("reissue", "globex", "--allowed-domain", "*.globex.example")
    visitor.upload(issued(desk, visitor, *reissue))
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"


def test_the_api_under_the_same_controls(desk: Desk, visitor: Visitor) -> None:
    """The page of API responses changes with users, hosts and the clock."""
    visitor.press("API responses")
    visitor.press("Try")
    assert '"code": "license_none"' in visitor.text
    visitor.press("← Back to the product")
    document = visitor.download()
    visitor.upload(issued(desk, visitor, "sign", "--machine-info", str(document), *TERMS))
    for name in ("Connect a deploy host", "Add a user"):
        visitor.press(name)
    visitor.press("Home")
    visitor.press("Settings → License")
    assert "Users\n4 of 25" in visitor.text
    assert "Deploy hosts\n1 of 5" in visitor.text
    visitor.press("API responses")
    visitor.choose("Required feature", "Single Sign-On with SAML")
    visitor.press("Try")
    assert '"feature": "sso-saml"' in visitor.text
    visitor.press("At expiry")
    assert '"code": "license_expired"' in visitor.text


def test_no_page_is_wider_than_its_window(desk: Desk, visitor: Visitor) -> None:
    """Long words do not widen a page in a narrow window."""
    document = visitor.download()
    visitor.upload(issued(desk, visitor, "sign", "--machine-info", str(document), *TERMS))
    visitor.look(360, 800)
    for path in ("/", "/settings/license", "/sandbox"):
        visitor.open(path)
        assert not visitor.overflows, path
    visitor.follow("Sandbox controls")
    visitor.press("Another machine")
    visitor.open("/")
    assert visitor.title == "Machine identity changed"
    assert not visitor.overflows


LOOKS = {
    "light": (1360, 900, False),
    "dark": (1360, 900, True),
    "narrow": (360, 800, False),
    "zoom of 200 %": (680, 450, False),
}
"""Width and height of the page, and whether it is dark."""


def findings(visitor: Visitor) -> list[str]:
    """Return the findings of axe-core on the page: light, dark, narrow, and at a zoom of 200 %."""
    found = []
    for name, (width, height, dark) in LOOKS.items():
        visitor.look(width, height, dark=dark)
        assert not visitor.overflows, (visitor.address, name)
        found += [f"{visitor.address} {name} {each}" for each in visitor.violations()]
    visitor.look()
    return found


def test_every_page_is_accessible(desk: Desk, visitor: Visitor) -> None:
    """axe-core has no findings on any page, in any state and look, for any user."""
    found = findings(visitor)
    domain = ("--allowed-domain", "*.acme.example", "--customer", "Acme", "--tier", "enterprise")
    terms = ("--plan", "enterprise-annual", "--users", "3", "--deploy-hosts", "1")
    license_ = issued(desk, visitor, "sign", *domain, *terms)
    visitor.upload(tampered(license_))
    found += findings(visitor)
    visitor.upload(license_)
    visitor.press("Connect a deploy host")
    visitor.press("Connect a deploy host")
    found += findings(visitor)
    visitor.enter("Users", "5")
    visitor.press("7 d")
    pages = ("/", "/settings/license", "/profile", "/profile/devices", "/modules/planner")
    for path in (*pages, "/nowhere", "/sandbox?method=WEBSOCKET&path=/api/agents/deploy"):
        visitor.open(path)
        found += findings(visitor)
    visitor.open("/")
    for control in ("At expiry", "Another machine", "Set back by 2 days", "Back to now"):
        visitor.press(control)
        found += findings(visitor)
    visitor.enter("Host name of requests", "acme.example")
    found += findings(visitor)
    visitor.press("Sign out")
    found += findings(visitor)
    visitor.press("Sign in as member")
    found += findings(visitor)
    visitor.press("Back to the default")
    visitor.open("/settings/license")
    found += findings(visitor)
    visitor.forget()
    visitor.open("/")
    assert visitor.title == "Open the address in the terminal"
    found += findings(visitor)
    assert found == []


MINUS = "\N{MINUS SIGN}1 day"
CONTROLS = (
    *("+1 day", MINUS, "Back to now", "30 d", "14 d", "7 d", "1 d", "At expiry", "Back to now"),
    *("Set back by 2 days", "+1 day", "Back to now", "Back to the default"),
    *("Another machine", "Back to the first machine"),
    *("Add a user", "Deactivate a user", "Activate a user"),
    *("Connect a session host", "Disconnect a session host", "Disconnect a session host"),
    *("Connect a deploy host", "Disconnect a deploy host"),
    "Run the 09:00 alerts",
)


SIZES = {"wide": (1360, 900), "low": (1360, 450), "narrow": (400, 800), "zoom of 200 %": (680, 450)}


@pytest.mark.parametrize("size", SIZES)
def test_a_control_keeps_place_and_focus(desk: Desk, visitor: Visitor, size: str) -> None:
    """The control that was used has the focus and has not moved; in a wide window nor has the page.

    The page of an expired license, which comes in between, begins at its top.
    """
    document = visitor.download()
    visitor.upload(issued(desk, visitor, "sign", "--machine-info", str(document), *TERMS))
    width, height = SIZES[size]
    visitor.look(width, height)
    for control in CONTROLS:
        visitor.show(control)
        if size in ("wide", "low"):
            visitor.scroll(150)
        place, page, scrolled = visitor.top_of(control), visitor.title, visitor.scrolled
        assert place is not None
        visitor.press(control)
        assert visitor.focus == control
        assert visitor.focus_top == pytest.approx(place, abs=2), control
        if size in ("wide", "low"):
            assert visitor.scrolled == (scrolled if visitor.title == page else 0), control
    visitor.enter("Host name of requests", "polygent.example")
    place = visitor.focus_top
    visitor.enter("Host name of requests", "polygent.example")
    assert (visitor.focus, visitor.focus_top) == ("host-enter", place)


@pytest.mark.parametrize("size", SIZES)
def test_without_scripts_a_control_stays_in_view(visitor: Visitor, size: str) -> None:
    """It has the focus, and does not move when it is used again."""
    visitor.forbid_scripts()
    width, height = SIZES[size]
    visitor.look(width, height)
    for control in ("+1 day", "Add a user", "Another machine", "Run the 09:00 alerts"):
        visitor.press(control)
        assert visitor.focus == control
        place = visitor.focus_top
        assert place is not None, control
        visitor.press(control)
        assert visitor.focus_top == pytest.approx(place, abs=2), control
    visitor.enter("Host name of requests", "polygent.example")
    assert visitor.focus == "host-enter"


@pytest.mark.parametrize("size", SIZES)
def test_what_a_control_answers_is_in_view(visitor: Visitor, size: str) -> None:
    """A control moves only to make room for its notice; a page that is opened is at its top."""
    width, height = SIZES[size]
    visitor.look(width, height)
    visitor.open("/sandbox")
    visitor.press("New address")
    assert visitor.notice_is_in_view
    assert visitor.focus_top is not None
    visitor.follow("Start over …")
    visitor.press("Yes, start over")
    assert visitor.focus == "Start over …"
    assert visitor.notice_is_in_view
    visitor.open("/sandbox")
    assert visitor.scrolled == 0


@pytest.mark.parametrize(
    ("markup", "directive"),
    [
        ("<script>document.title = ''</script>", "script-src-elem"),
        ("<script src='http://127.0.0.1:1/place.js'></script>", "script-src-elem"),
        ("<p onclick=\"document.title = ''\">", "script-src-attr"),
    ],
)
def test_injected_markup_runs_no_script(visitor: Visitor, markup: str, directive: str) -> None:
    """The browser runs only the file that the sandbox serves."""
    assert visitor.blocked(markup) == directive


def test_a_member_cannot_upload(visitor: Visitor) -> None:
    """Only admins see the upload form."""
    assert visitor.has("Upload license")
    visitor.press("Sign out")
    visitor.press("Sign in as member")
    assert visitor.title == "No license yet"
    assert not visitor.has("Upload license")
    assert "Please contact an admin" in visitor.text


def test_another_browser_needs_its_own_address(visitor: Visitor, tmp_path: Path) -> None:
    """It has no access until it opens a new address, which works once."""
    assert "token" not in visitor.address
    url = visitor.address.rpartition("/")[0] + "/"
    with chromium(tmp_path) as driver:
        other = Visitor(driver, url, tmp_path)
        assert other.title == "Open the address in the terminal"
        other.press("I have opened it: continue")
        assert other.title == "Open the address in the terminal"
        visitor.press("New address")
        address = url + "?token=" + visitor.strip.partition("?token=")[2].split()[0]
        other = Visitor(driver, address, tmp_path)
        assert (other.title, other.address) == ("Sign in", url + "sign-in")
        other.press("Sign in as member")
        assert other.title == "No license yet"
    with chromium(tmp_path) as driver:
        third = Visitor(driver, address, tmp_path)
        assert third.title == "Open the address in the terminal"
