"""The screens of the product, at its sandbox: rules 9 to 11, 15, 24, 41, 43, 53, 57 to 62, 66, 67.

The sandbox is the product as one process; its pages do not depend on the number of workers.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.sandboxes import MACHINE, Sandbox, admin_at

from polygent_issuer.verifier import AllowedDomain
from polygent_issuer.verifier.tables import FEATURES

PAGES = ("/", "/settings/license")
EXPIRED_PAGE = "/license-expired"
NAMES = {
    "workflows": "Workflow automation",
    "automations": "Scheduled automations",
    "planner": "AI Planner",
    "round-table": "Round Table",
    "insights": "Insights",
    "ticket-sync": "External ticket sync",
    "deployments": "Deployment agents",
    "code-review": "Code review",
    "verification": "Verification",
    "memory": "Memory module",
    "bots": "Bots",
}
"""The modules of the product."""
PROFILE, DEVICES = "/profile", "Devices"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """The product without a license, with an admin signed in."""
    with admin_at(tmp_path) as sandbox:
        yield sandbox


@pytest.fixture
def expired(sandbox: Sandbox) -> Sandbox:
    """The product at the expiry of its license."""
    sandbox.upload(sandbox.issuer.file(1))
    before_expiry(sandbox, timedelta())
    return sandbox


def before_expiry(sandbox: Sandbox, left: timedelta) -> None:
    """Move the time of the server's machine."""
    license_ = sandbox.site.standing().license
    assert license_ is not None
    sandbox.at = license_.expires_at - left
    sandbox.site.tick()


def content(sandbox: Sandbox, path: str = "/") -> str:
    """Return what a page shows of the product, as text without the controls of the sandbox."""
    page, _, _ = sandbox.client.get(path).text.partition('id="controls"')
    page = re.sub(r"<head>.*?</head>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(page.split())


def navigation(sandbox: Sandbox, path: str = "/") -> str:
    """Return the text of the navigation of a page."""
    found = re.findall(r"<nav.*?</nav>", sandbox.client.get(path).text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", each) for each in found)


def test_without_a_license_every_page_redirects(sandbox: Sandbox) -> None:
    """Each page leads to the full-screen page until a license is installed."""
    for path in PAGES:
        answer = sandbox.client.get(path, follow_redirects=False)
        assert answer.is_redirect
        assert answer.headers["location"].partition("?")[0] == EXPIRED_PAGE
    sandbox.upload(sandbox.issuer.file(1))
    for path in PAGES:
        assert sandbox.client.get(path, follow_redirects=False).status_code == 200


def test_an_admin_uploads_on_the_expired_page(expired: Sandbox) -> None:
    """The page has the form, and after the upload the product works."""
    page = expired.client.get(EXPIRED_PAGE).text
    assert "Upload license" in content(expired, EXPIRED_PAGE)
    assert '<form method="post" action="/license"' in page
    expired.upload(expired.issuer.file(366))
    assert expired.client.get("/").url.path == "/"


def test_machine_info_is_downloaded_on_both_screens(sandbox: Sandbox) -> None:
    """Both have the link, and it gives the file with the machine's fingerprint."""
    link = '<a class="button" href="/api/machine-info" download="machine-info.json">'
    assert link in sandbox.client.get(EXPIRED_PAGE).text
    sandbox.upload(sandbox.issuer.file(1))
    assert "Download machine info" in content(sandbox, "/settings/license")
    answer = sandbox.client.get("/api/machine-info")
    assert answer.headers["content-disposition"] == 'attachment; filename="machine-info.json"'
    assert answer.json()["fingerprint"] == MACHINE


def test_a_license_is_uploaded_on_the_license_page(sandbox: Sandbox) -> None:
    """Settings, License has the form; the renewed license is shown at once."""
    sandbox.upload(sandbox.issuer.file(1))
    assert "Upload license" in content(sandbox, "/settings/license")
    sandbox.at += timedelta(days=1)
    sandbox.upload(sandbox.issuer.file(2, customer="Acme Holding", replaces=(1,)))
    assert "Acme Holding" in content(sandbox, "/settings/license")


@pytest.mark.parametrize("missing", NAMES)
def test_navigation_hides_what_the_license_lacks(sandbox: Sandbox, missing: str) -> None:
    """It has the product's name of each licensed module, and not that of another."""
    sandbox.upload(sandbox.issuer.file(1, features=tuple(set(NAMES) - {missing})))
    text = navigation(sandbox)
    assert {name for name, shown in NAMES.items() if shown in text} == set(NAMES) - {missing}


def test_the_devices_tab_needs_concurrent_sessions(sandbox: Sandbox) -> None:
    """Without the feature the profile has no such tab."""
    sandbox.upload(sandbox.issuer.file(1, features=tuple(NAMES)))
    assert DEVICES not in navigation(sandbox, PROFILE)
    sandbox.at += timedelta(days=1)
    sandbox.upload(sandbox.issuer.file(2, features=tuple(FEATURES), replaces=(1,)))
    assert DEVICES in navigation(sandbox, PROFILE)


@pytest.mark.parametrize("user", ["admin", "member"])
def test_after_the_expiry_all_users_see_the_page(expired: Sandbox, user: str) -> None:
    """Every page of an admin and of a member leads there."""
    expired.sign_in(user)
    for path in PAGES:
        assert expired.client.get(path).url.path == EXPIRED_PAGE
    assert "license expired" in content(expired).lower()


def test_the_status_names_license_and_customer(sandbox: Sandbox) -> None:
    """Settings, License shows ID, customer, tier, expiry and the days that remain."""
    sandbox.upload(sandbox.issuer.file(1))
    before_expiry(sandbox, timedelta(days=30))
    text = content(sandbox, "/settings/license")
    license_ = sandbox.site.standing().license
    assert license_ is not None
    for shown in (license_.jti, "Acme GmbH", "Standard", "2027", "30"):
        assert shown in text


def test_the_status_counts_users_and_hosts(sandbox: Sandbox) -> None:
    """It shows active users and connected hosts of each kind, and the limits."""
    sandbox.upload(sandbox.issuer.file(1))
    sandbox.site.users = 17
    with sandbox.agent("session", "a"), sandbox.agent("session", "b"), sandbox.agent("deploy", "a"):
        text = content(sandbox, "/settings/license")
    for shown in ("Users 17 of 25", "Session hosts 2 of 2", "Deploy hosts 1 of 1"):
        assert shown in text


def test_the_status_lists_the_active_features(sandbox: Sandbox) -> None:
    """They have the product's names."""
    sandbox.upload(sandbox.issuer.file(1, features=("planner", "round-table")))
    text = content(sandbox, "/settings/license")
    assert "AI Planner" in text
    assert "Round Table" in text


def test_the_status_has_the_machine_or_the_domain(sandbox: Sandbox) -> None:
    """Standard: the machine ID. Enterprise: the allowed domain."""
    sandbox.upload(sandbox.issuer.file(1))
    text = content(sandbox, "/settings/license")
    assert MACHINE in text
    assert "*.acme.internal" not in text
    domain = AllowedDomain.parse("*.acme.internal")
    sandbox.at += timedelta(days=1)
    sandbox.upload(sandbox.issuer.file(2, fingerprint=None, allowed_domain=domain, replaces=(1,)))
    text = content(sandbox, "/settings/license")
    assert "*.acme.internal" in text
    assert MACHINE not in text


def test_the_status_has_the_log_of_installs(sandbox: Sandbox) -> None:
    """Enterprise: each upload with its user; standard shows none."""
    sandbox.upload(sandbox.issuer.file(1))
    assert "Install log" not in content(sandbox, "/settings/license")
    sandbox.at += timedelta(days=1)
    sandbox.upload(sandbox.issuer.file(2, fingerprint=None, replaces=(1,)))
    log = content(sandbox, "/settings/license").partition("Install log")[2]
    assert log.count("installed") == 2
    assert "admin" in log


def test_a_new_machine_is_named_with_the_way_out(sandbox: Sandbox) -> None:
    """The page's title is the product's; it offers the machine info and the upload."""
    sandbox.upload(sandbox.issuer.file(1))
    sandbox.site.be_machine("sha256:" + "cd" * 32)
    text = content(sandbox)
    assert "Machine identity changed" in text
    assert text.index("Download machine info") < text.index("Upload license")


def test_another_host_name_is_named_with_the_way_out(sandbox: Sandbox) -> None:
    """The page's title is the product's, and a license for the host name can be uploaded."""
    domain = AllowedDomain.parse("*.acme.internal")
    sandbox.upload(sandbox.issuer.file(1, fingerprint=None, allowed_domain=domain))
    sandbox.site.chosen_host = "api.v2.acme.internal"
    text = content(sandbox)
    assert "License domain mismatch" in text
    assert "Upload license" in text


def test_only_admins_see_the_banner(sandbox: Sandbox) -> None:
    """It is on the pages of an admin from 30 days before the expiry, not on those of a member."""
    sandbox.upload(sandbox.issuer.file(1))
    assert "expires in" not in content(sandbox)
    before_expiry(sandbox, timedelta(days=30))
    assert "expires in 30 days" in content(sandbox)
    sandbox.sign_in("member")
    assert "expires in" not in content(sandbox)
