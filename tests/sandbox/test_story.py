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
    assert "bad_signature" in visitor.text

    visitor.upload(first)
    assert visitor.title == "License"
    assert "The license is installed" in visitor.text
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"

    for days in ("30", "14", "7", "1"):
        visitor.press(f"{days} d")
        assert f"expires in {days} day" in visitor.text
        assert f"{days}-day alert to admin@sandbox.example" in visitor.strip
    visitor.press("At expiry")
    assert visitor.title == "License expired"
    assert "background paused" in visitor.strip

    visitor.upload(issued(desk, visitor, "renew", "acme-gmbh"))
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"
    assert "background running" in visitor.strip

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
    visitor.press("Back to now")
    assert visitor.title == "Clock set back"
    visitor.press("+1 day")
    assert visitor.title == "Clock set back"
    visitor.upload(issued(desk, visitor, "reissue", "acme-gmbh"))
    visitor.press("Home")
    assert visitor.title == "Welcome back, admin"


def test_an_enterprise_customer(desk: Desk, visitor: Visitor) -> None:
    """Requests to another domain are refused until the license is reissued for it."""
    enterprise = ("--customer", "Globex", "--tier", "enterprise", "--plan", "enterprise-annual")
    domain = ("--allowed-domain", "*.globex.internal")
    visitor.upload(issued(desk, visitor, "sign", *enterprise, *domain))
    assert "*.globex.internal" in visitor.text
    assert "Install log" in visitor.text

    visitor.enter("Host name of requests", "polygent.globex.example")
    assert visitor.title == "License domain mismatch"
    assert "background running" in visitor.strip, "a request does not change the state"
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
    visitor.choose("Required feature", "sso-saml")
    visitor.press("Try")
    assert '"feature": "sso-saml"' in visitor.text
    visitor.press("At expiry")
    visitor.press("Try")
    assert '"code": "license_expired"' in visitor.text


def test_no_page_is_wider_than_its_window(desk: Desk, visitor: Visitor) -> None:
    """Long words do not widen a page in a narrow window."""
    document = visitor.download()
    visitor.upload(issued(desk, visitor, "sign", "--machine-info", str(document), *TERMS))
    visitor.narrow()
    for path in ("/", "/settings/license", "/sandbox"):
        visitor.open(path)
        assert not visitor.overflows, path
    visitor.follow("Sandbox controls")
    visitor.press("Another machine")
    visitor.open("/")
    assert visitor.title == "Machine identity changed"
    assert not visitor.overflows


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
