"""The pages of the product."""

from datetime import timedelta

import pytest
from support.lic_files import Issuer
from support.sandboxes import MACHINE, Sandbox

from polygent_issuer.verifier import AllowedDomain

PAGES = ("/", "/settings/license")


def test_every_page_redirects_to_the_sign_in(sandbox: Sandbox) -> None:
    """Without a session every page redirects to the sign-in."""
    sandbox.forget_sign_in()
    for path in (*PAGES, "/license-expired"):
        assert sandbox.client.get(path, follow_redirects=False).headers["location"] == "/sign-in"


@pytest.mark.parametrize("path", PAGES)
def test_without_a_license_every_page_redirects(sandbox: Sandbox, path: str) -> None:
    """The full-screen page offers an admin the machine info and the upload."""
    answer = sandbox.client.get(path)
    assert answer.url.path == "/license-expired"
    assert "No license yet" in answer.text
    assert "Download machine info" in answer.text
    assert "Upload license" in answer.text


def test_a_member_is_referred_to_an_admin(sandbox: Sandbox) -> None:
    """The page offers a member no action of an admin."""
    sandbox.sign_in("member")
    page = sandbox.client.get("/").text
    assert "Please contact an admin" in page
    assert "Upload license" not in page
    assert "Download machine info" not in page


def test_a_member_cannot_upload(sandbox: Sandbox) -> None:
    """A direct request of a member is refused, too."""
    sandbox.sign_in("member")
    content = sandbox.issuer.file(1)
    by_page = sandbox.client.post("/license", files={"license": ("x.lic", content)})
    by_api = sandbox.client.post("/api/license", content=content)
    assert (by_page.status_code, by_api.status_code) == (403, 403)
    assert sandbox.site.standing().license is None


def test_after_the_upload_the_app_works_at_once(sandbox: Sandbox) -> None:
    """The next page shows the result, and the home page works."""
    page = sandbox.upload(sandbox.issuer.file(1))
    assert "The license is installed" in page
    assert "insights" in sandbox.client.get("/").text
    assert sandbox.client.get("/license-expired").url.path == "/"


def test_a_refused_upload_shows_the_reason(sandbox: Sandbox) -> None:
    """The page has the code of the check; the current license is not changed."""
    content = sandbox.issuer.file(1)
    tampered = content[:300] + (b"A" if content[300:301] != b"A" else b"B") + content[301:]
    page = sandbox.upload(tampered)
    assert "bad_signature" in page
    assert "No license yet" in page
    sandbox.upload(content)
    page = sandbox.upload(b"")
    assert "malformed" in page
    assert "was not changed" in page
    assert sandbox.site.standing().active
    assert "malformed" not in sandbox.client.get("/settings/license").text, "it is shown once"


def test_a_wrong_file_is_recognised(sandbox: Sandbox) -> None:
    """Page and API name the type of the file, and the right file."""
    page = sandbox.upload(b"PK\x03\x04\x14\x00")
    assert "This is a ZIP archive: unpack it and use the .lic file in it." in page
    answer = sandbox.client.post("/api/license", content=b"\x78\x9f\x3e\x22")
    assert answer.json()["error"]["hint"].startswith("this is winmail.dat")


@pytest.mark.parametrize("path", PAGES)
def test_only_an_admin_sees_the_result_of_an_upload(sandbox: Sandbox, path: str) -> None:
    """A member's request does not show it, and does not use it up."""
    if path == "/settings/license":
        sandbox.upload(sandbox.issuer.file(1))
    sandbox.site.install(b"nonsense")
    sandbox.client.post("/api/sign-in", json={"user": "member"})
    assert "malformed" not in sandbox.client.get(path).text
    sandbox.client.post("/api/sign-in", json={"user": "admin"})
    assert "malformed" in sandbox.client.get("/settings/license").text


def test_a_refusal_is_shown_unchanged(sandbox: Sandbox) -> None:
    """A kid keeps its capitals, a timestamp its T and Z."""
    stranger = Issuer()
    assert stranger.signer.kid in sandbox.upload(stranger.file(1))
    sandbox.at += timedelta(days=100)
    assert "Issued at 2026-01-06T08:00:00Z" in sandbox.upload(sandbox.issuer.file(1))


def test_settings_show_the_status(licensed: Sandbox) -> None:
    """The page has ID, customer, tier, expiry, days left, usage, features and machine."""
    page = licensed.client.get("/settings/license").text
    license_ = licensed.site.standing().license
    assert license_ is not None
    for text in (
        license_.jti,
        "Acme GmbH",
        "Standard",
        "2027-01-06 08:00 UTC",
        MACHINE,
    ):
        assert text in page
    assert "Allowed domain" not in page
    assert "Install log" not in page


def test_settings_of_an_enterprise_license(sandbox: Sandbox) -> None:
    """The page has the allowed domain and the install log instead of the machine."""
    domain = AllowedDomain.parse("*.acme.internal")
    sandbox.upload(sandbox.issuer.file(1, fingerprint=None, allowed_domain=domain))
    page = sandbox.client.get("/settings/license").text
    assert "*.acme.internal" in page
    assert "Install log" in page
    assert "Machine ID" not in page


def test_another_host_name_is_refused_per_request(sandbox: Sandbox) -> None:
    """The background continues, and the right host name works."""
    domain = AllowedDomain.parse("*.acme.internal")
    sandbox.upload(sandbox.issuer.file(1, fingerprint=None, allowed_domain=domain))
    sandbox.move("host", host="api.v2.acme.internal")
    page = sandbox.client.get("/").text
    assert "License domain mismatch" in page
    assert sandbox.site.background.reason is None
    assert sandbox.client.get("/api/projects").json()["error"]["code"] == "domain_mismatch"
    sandbox.move("host", host="api.acme.internal")
    assert sandbox.client.get("/").url.path == "/"


def test_whatever_is_shown_is_escaped(sandbox: Sandbox) -> None:
    """A customer name in a license may contain markup."""
    name = "<b>&\"'</b>"
    sandbox.upload(sandbox.issuer.file(1, customer=name))
    page = sandbox.client.get("/settings/license").text
    assert name not in page
    assert "&lt;b&gt;" in page
    sandbox.move("host", host='"><script>')
    assert "<script>" not in sandbox.client.get("/sandbox").text


def test_admins_see_a_banner_before_the_expiry(licensed: Sandbox) -> None:
    """It appears 30 days before the expiry; members do not see it."""
    assert "expires in" not in licensed.client.get("/").text
    licensed.move("clock", to="before-30")
    assert "The license expires in 30 days" in licensed.client.get("/").text
    licensed.sign_in("member")
    assert "expires in" not in licensed.client.get("/").text
