"""The report as a page: self-contained, escaped, light and dark, printable."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.browser import chromium
from support.licenses import Books

from polygent_issuer.delivery.report import license_report
from polygent_issuer.delivery.report_page import page
from polygent_issuer.registry import licenses

HOSTILE = "<script>alert(1)</script><b>&\"'"


@pytest.fixture
def html(books: Books) -> str:
    """The page of a registry in which each foreign text is hostile."""
    acme = books.customer(name=HOSTILE)
    books.license(acme, books.machine(acme, label=HOSTILE))
    books.license(acme, expires_at=books.desk.now + timedelta(days=1))
    with books.writing() as db:
        for license_id in tuple(licenses.current_ids(db)):
            db.update("licenses", license_id, plan=HOSTILE, order_id=HOSTILE)
        db.update("customers", acme.id, held_at=db.at, held_reason=f"{HOSTILE}\u202e")
        db.record("license-renewed", customer="acme", license=None, reason=HOSTILE)
    with books.reading() as db:
        report = license_report(db, now=books.desk.now, since=books.desk.now - timedelta(days=9))
    return page(report, issuer=HOSTILE)


def test_the_page_is_self_contained_and_escaped(html: str) -> None:
    """No script, no address, no font; each foreign text is text, also in a chart."""
    for forbidden in ("<script", "<b>", "\u202e", "@import", "url(", "src=", "xml-stylesheet"):
        assert forbidden not in html
    addresses = html.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "://" not in addresses.replace("xmlns:xlink", "")
    assert html.count("&lt;script&gt;") >= 9
    assert html.count("<svg") == 3
    assert "\\u202e" in html


@pytest.mark.slow
def test_a_browser_shows_it_without_a_script_or_a_request(html: str, tmp_path: Path) -> None:
    """Light and dark differ, paper is white, and nothing is wider than the window."""
    file = tmp_path / "report.html"
    file.write_text(html, encoding="utf-8")
    colour = "return getComputedStyle(document.body).backgroundColor"
    bar = "return getComputedStyle(document.querySelector('.bar rect')).fill"
    colours, bars = [], []
    with chromium(tmp_path) as driver:
        for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            driver.execute_cdp_cmd(
                "Emulation.setEmulatedMedia", {"media": media, "features": features}
            )
            driver.get(file.as_uri())
            colours.append(driver.execute_script(colour))
            bars.append(driver.execute_script(bar))
        assert driver.execute_script("return document.scripts.length") == 0
        requests = "return performance.getEntriesByType('resource').map(each => each.name)"
        assert driver.execute_script(requests) == []
        assert driver.execute_script("return document.querySelectorAll('[onload], a').length") == 0
        assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]
        assert HOSTILE in driver.find_element("tag name", "h1").text
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
        driver.set_window_size(500, 800)
        wider = "let root = document.documentElement; return root.scrollWidth > root.clientWidth"
        assert driver.execute_script(wider) is False
    assert len(set(colours)) == 3
    assert colours[2] == "rgb(255, 255, 255)"
    assert bars[0] == bars[2] != bars[1]
