"""Responses to failures."""

import pytest
from support.sandboxes import Sandbox

from polygent_issuer.sandbox.guard import HEADERS


def test_an_unknown_page_is_reported(licensed: Sandbox) -> None:
    """A page has a link back; an endpoint responds with JSON."""
    page = licensed.client.get("/nowhere")
    assert (page.status_code, "Go to the home page" in page.text) == (404, True)
    answer = licensed.client.get("/api/nowhere")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    answer = licensed.client.put("/api/license")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_without_a_license_an_unknown_page_redirects(sandbox: Sandbox) -> None:
    """It redirects to the full-screen page like every other page."""
    assert sandbox.client.get("/nowhere").url.path == "/license-expired"


FIELD = b'--x\r\nContent-Disposition: form-data; name="user.x"\r\n\r\na.b\r\n--x--\r\n'


@pytest.mark.parametrize("path", ["/license", "/sign-in", "/sandbox/clock"])
@pytest.mark.parametrize(
    ("more", "content"),
    [
        ("", b"--y\r\nnonsense"),
        ("; charset=undefined", FIELD),
        ('; charset="a\0b"', FIELD),
        ("", FIELD * 6),
        ("", FIELD.replace(b'"user.x"', b'"license"; filename="x"') * 2),
    ],
    ids=range(5),
)
def test_an_invalid_form_is_400(licensed: Sandbox, path: str, more: str, content: bytes) -> None:
    """Other parts, charsets and too many fields are errors of the sender."""
    headers = {"content-type": "multipart/form-data; boundary=x" + more}
    answer = licensed.client.post(
        path, content=content.replace(b"--x--\r\n--x", b"--x"), headers=headers
    )
    assert answer.status_code == 400
    assert licensed.site.standing().active


def test_a_failed_database_is_reported(licensed: Sandbox) -> None:
    """Pages and API respond with its code and all headers; no request is allowed."""
    licensed.site.close()
    licensed.at = licensed.at.replace(year=2028)  # the guard must be written again
    for path in ("/", "/settings/license", "/sandbox"):
        answer = licensed.client.get(path)
        assert (answer.status_code, "license_store_failed" in answer.text) == (503, True), path
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    for path in ("/api/projects", "/api/license"):
        answer = licensed.client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "license_store_failed")


@pytest.mark.parametrize("host", ["polygent.example", "[", "a/b?c#d", "\xfc"])
def test_the_simulated_host_is_never_a_target(licensed: Sandbox, host: str) -> None:
    """The host is checked and shown, but not used in a redirect or a path."""
    licensed.move("host", host=host)
    answer = licensed.client.get("/settings/license/", follow_redirects=False)
    assert (answer.status_code, "location" in answer.headers) == (404, False)
    page = licensed.client.get("/settings/license").text
    assert '<a href="/settings/license" aria-current="page">' in page
    assert licensed.client.get("/api/insights").json() == {"feature": "insights"}
