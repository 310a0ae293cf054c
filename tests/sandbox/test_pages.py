"""The pages of the product."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from support.lic_files import Issuer
from support.sandboxes import MACHINE, NOW, Sandbox

from polygent_issuer.enforcement import InstallRefused, State
from polygent_issuer.sandbox.page_texts import DEVICES, FEATURE_NAMES, OF_STATE, refused_upload
from polygent_issuer.verifier import AllowedDomain, CheckCode
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

PAGES = ("/", "/settings/license")
DOWNLOAD = "Download machine info</a>"


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
    assert "Insights" in sandbox.client.get("/").text
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


def test_a_file_that_is_too_large_is_refused_on_the_page(licensed: Sandbox) -> None:
    """The customer reads it where the file was chosen, as for any other wrong file."""
    answer = licensed.client.post("/license", files={"license": ("x.lic", b"x" * 70_000)})
    assert answer.url.path == "/settings/license"
    assert "This file is too large to be a license" in answer.text
    assert "Choose the .lic file that you received" in answer.text
    assert "Upload license" in answer.text


@pytest.mark.parametrize("code", [*(each.value for each in CheckCode), "superseded", "too_large"])
def test_each_refusal_has_the_words_of_the_customer(code: str) -> None:
    """No code is without a reason and a next step; one domain is checked at no upload."""
    why, next_step = refused_upload(InstallRefused(code, "x"))
    is_checked = code != CheckCode.DOMAIN_MISMATCH
    assert (why != "The license was refused") == is_checked
    assert next_step.endswith(".")


def test_only_the_admin_who_uploaded_sees_the_result(licensed: Sandbox) -> None:
    """Neither a member, nor another device, nor a page after that of the result shows it."""
    before = dict(licensed.client.cookies)
    member = licensed.browser()
    member.cookies.update(before)
    licensed.client.post("/license", files={"license": ("x.lic", b"x")}, follow_redirects=False)
    member.post("/api/sign-in", json={"user": "member"})
    assert "malformed" not in member.get("/settings/license").text
    assert "malformed" in licensed.client.get("/settings/license").text
    assert "malformed" not in licensed.client.get("/settings/license").text
    licensed.client.post("/api/license", content=b"x")
    assert "malformed" not in licensed.client.get("/settings/license").text, "it got the response"


def test_the_result_of_an_upload_is_true(sandbox: Sandbox) -> None:
    """A license that does not cover the address either is installed, but nothing is unlocked."""
    domain = AllowedDomain.parse("*.acme.internal")
    sandbox.upload(sandbox.issuer.file(1, fingerprint=None, allowed_domain=domain))
    sandbox.move("host", host="polygent.acme.example")
    other = sandbox.issuer.file(
        2, fingerprint=None, allowed_domain=domain, iat=int(NOW.timestamp())
    )
    page = sandbox.upload(other)
    assert "License domain mismatch" in page
    assert "The license is installed, but" in page
    assert "It is valid now" not in page
    assert "is installed" not in sandbox.client.get("/license-expired").text


def test_a_license_of_another_machine_asks_for_the_machine_info(sandbox: Sandbox) -> None:
    """The download is shown where a license that works here needs it, else not."""
    sandbox.upload(sandbox.issuer.file(1))
    sandbox.move("clock", do="expiry")
    assert DOWNLOAD not in sandbox.client.get("/").text, "a renewal needs none"
    sandbox.move("clock", do="now")
    sandbox.move("machine", do="another")
    assert DOWNLOAD in sandbox.client.get("/").text
    sandbox.move("clock", do="expiry")
    page = sandbox.client.get("/").text
    assert "License Expired" in page
    assert DOWNLOAD in page, "a renewal would be refused"
    enterprise = sandbox.issuer.file(
        2, fingerprint=None, exp=2**31, iat=int(sandbox.site.now().timestamp())
    )
    assert DOWNLOAD not in sandbox.upload(enterprise), "it has no machine"
    page = sandbox.upload(
        sandbox.issuer.file(3, exp=2**31, iat=int(sandbox.site.now().timestamp()))
    )
    assert "This license is for another machine" in page


def test_the_navigation_has_the_licensed_modules(sandbox: Sandbox) -> None:
    """A module that is off is in no navigation, and its address shows that it is not included."""
    sandbox.upload(sandbox.issuer.file(1, features=("planner", "round-table", DEVICES)))
    page = sandbox.client.get("/").text
    assert re.findall(r'href="/modules/([^"]+)">', page) == ["planner", "round-table"] * 2
    assert "AI Planner" in page
    assert "Memory module" not in page
    assert "Your license includes this module" in sandbox.client.get("/modules/planner").text
    answer = sandbox.client.get("/modules/memory")
    assert (answer.status_code, "does not include" in answer.text) == (403, True)
    assert sandbox.client.get(f"/modules/{DEVICES}").status_code == 404
    sandbox.move("clock", do="expiry")
    assert sandbox.client.get("/modules/planner").url.path == "/license-expired"


def test_the_devices_are_shown_with_concurrent_sign_ins(sandbox: Sandbox) -> None:
    """Without the feature neither tab nor page exist."""
    sandbox.upload(sandbox.issuer.file(1))
    assert "Devices" not in sandbox.client.get("/profile").text
    assert sandbox.client.get("/profile/devices").url.path == "/profile"
    several = ("multiple-active-sessions",)
    sandbox.upload(sandbox.issuer.file(2, features=several, iat=int(NOW.timestamp())))
    assert "Devices" in sandbox.client.get("/profile").text
    sandbox.client.post("/api/sign-in", json={"user": "admin"})
    page = sandbox.client.get("/profile/devices").text
    assert (page.count("This device"), page.count("Another device")) == (1, 1)


@pytest.mark.parametrize(
    ("users", "level", "words"),
    [(24, "below", None), (25, "at", "At the limit:"), (27, "above", "2 above the limit:")],
)
def test_a_meter_shows_the_limit(
    licensed: Sandbox, users: int, level: str, words: str | None
) -> None:
    """Green below, amber at the limit and red above, each of the latter two in words."""
    licensed.site.users = users
    page = licensed.client.get("/settings/license").text
    assert f'<meter class="{level}" min="0" max="25" value="{users}"' in page
    assert ("the limit:" in page) == (words is not None)
    assert words is None or f"{words} all keep access" in page


def test_a_refusal_is_shown_unchanged(sandbox: Sandbox) -> None:
    """A kid keeps its capitals, a timestamp its T and Z."""
    stranger = Issuer()
    assert stranger.signer.kid in sandbox.upload(stranger.file(1))
    sandbox.at += timedelta(days=100)
    assert "Issued at 2026-01-06 08:00 UTC" in sandbox.upload(sandbox.issuer.file(1))


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


def test_members_see_only_state_and_expiry(licensed: Sandbox) -> None:
    """On the page and by the API; the rest is for admins."""
    licensed.sign_in("member")
    page = licensed.client.get("/settings/license").text.partition("<aside")[0]
    for text, is_shown in (
        ("2027-01-06 08:00 UTC", True),
        ("Active", True),
        ("Acme GmbH", False),
        (MACHINE, False),
        ("00000001-0000", False),
        ("Session hosts", False),
    ):
        assert (text in page) == is_shown, text
    status = licensed.client.get("/api/license").json()
    assert set(status) == {"state", "expiresAt", "daysLeft", "timeLeft"}


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
    assert "expires in" not in product(licensed)
    licensed.move("clock", do="before-30")
    assert "The license expires in 30 days" in product(licensed)
    licensed.sign_in("member")
    assert "expires in" not in product(licensed)


def product(sandbox: Sandbox) -> str:
    """Return the home page without the control strip."""
    return sandbox.client.get("/").text.partition("<aside")[0]


def test_every_feature_and_state_has_the_name_of_the_product() -> None:
    """The catalogue of FORMAT and the states of a server are complete."""
    assert tuple(FEATURE_NAMES) == (*FEATURES, *ENTERPRISE_FEATURES)
    assert OF_STATE.keys() | {State.ACTIVE} == set(State)


def test_the_expired_page_has_each_fact_once(licensed: Sandbox) -> None:
    """The code and the instant are under Details, the day is in the text."""
    licensed.move("clock", do="expiry")
    page, details = product(licensed).split("<summary>Details</summary>")
    assert "The license of this server was valid until 2027-01-06." in page
    for text in ("license_expired", "2027-01-06 08:00 UTC", "00000001-0000-4000-8000-000000000000"):
        assert (text in page, details.count(text)) == (False, 1), text
    licensed.sign_in("member")
    page = licensed.client.get("/").text
    assert "license_expired" in page
    assert "00000001-0000" not in page


def test_the_pages_have_one_format_of_times(licensed: Sandbox) -> None:
    """Texts of the verifier, which have RFC 3339, too; the last day is that of the license."""
    issued, expiry = NOW - timedelta(hours=2), datetime(2026, 3, 1, tzinfo=UTC)
    later = licensed.issuer.file(3)  # issued in the future
    refused = licensed.upload(later).partition("<aside")[0]
    assert "Issued at 2026-01-08 08:00 UTC" in refused
    licensed.upload(
        licensed.issuer.file(2, iat=int(issued.timestamp()) + 60, exp=int(expiry.timestamp()))
    )
    licensed.move("clock", do="set", at="2026-01-05T09:00")
    pages = [refused, product(licensed)]
    assert "Issued at 2026-01-06 08:00 UTC" in pages[1]
    licensed.move("clock", do="expiry")
    pages.append(product(licensed))
    assert "was valid until 2026-02-28." in pages[2], "the day in the name of the file"
    assert not any(re.search(r"\d\dT\d\d:", each) for each in pages)


def test_a_refused_upload_contradicts_no_hint() -> None:
    """A license that lost its end is a license file; a PDF is not."""
    titles = {
        hint: refused_upload(InstallRefused("malformed", "x", hint=hint))[0]
        for hint in (
            "this is a PDF document, not a license: x",
            "the end of the license is missing",
        )
    }
    assert [*titles.values()] == [
        "This is not a license file",
        "This is not a complete license file",
    ]


def test_the_machine_info_can_be_downloaded_where_it_is_asked_for(licensed: Sandbox) -> None:
    """Also under an enterprise license, once an upload was bound to another machine."""
    licensed.upload(licensed.issuer.file(1, fingerprint=None, iat=int(NOW.timestamp())))
    assert "Download machine info" not in licensed.client.get("/settings/license").text
    page = licensed.upload(
        licensed.issuer.file(2, fingerprint="sha256:" + "cd" * 32, iat=int(NOW.timestamp()))
    )
    assert "This license is for another machine" in page
    assert 'href="/api/machine-info"' in page


def test_an_expired_license_of_another_machine_needs_the_machine_info(licensed: Sandbox) -> None:
    """The text asks for what the steps below it have."""
    licensed.move("clock", do="expiry")
    assert "Upload the renewed license" in product(licensed)
    licensed.move("machine", do="another")
    page = product(licensed)
    assert "License Expired" in page
    assert "Download the machine info, send it to your vendor" in page
    assert "Upload the renewed license" not in page
