"""A real, headless Chromium, and the sandbox as a real process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from support.tools import require_tool

_PATIENCE = 60
"""Seconds for a download on a machine that is busy; it takes milliseconds."""


@contextmanager
def sandbox_process(*options: str) -> Iterator[str]:
    """Run `polygent-issue sandbox` on a free port; yield its address, which opens once."""
    command = (sys.executable, "-m", "polygent_issuer", "sandbox", "--port", "0", "--json")
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["open"]
        finally:
            process.terminate()


@contextmanager
def chromium(downloads: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser that saves downloads to a folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = require_tool("chromium", "chromium")
    # Chromium's own sandbox does not work as root in a container, and /dev/shm is small there.
    for each in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1360,900"):
        options.add_argument(f"--{each}")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    service = webdriver.ChromeService(require_tool("chromedriver", "chromium-driver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


class Visitor:
    """A visitor of the sandbox's pages."""

    def __init__(self, driver: webdriver.Chrome, address: str, downloads: Path) -> None:
        """Open the address that the terminal shows."""
        self._driver = driver
        self._url = address.partition("?")[0]
        self._downloads = downloads
        self._driver.get(address)

    def open(self, path: str) -> None:
        """Go to a page."""
        self._driver.get(self._url.rstrip("/") + path)

    def press(self, text: str) -> None:
        """Press the button, or follow the link, with this text, and wait for the next page."""
        with self._next_page():
            self._clickable(text).click()

    def follow(self, text: str) -> None:
        """Follow the link with this text within the page."""
        self._clickable(text).click()

    def enter(self, label: str, text: str) -> None:
        """Write into the field with this label, and press Enter."""
        with self._next_page():
            self.fill(label, text).send_keys(Keys.ENTER)

    def has(self, text: str) -> bool:
        """Return whether there is a button or link with this text."""
        path = f"//*[self::button or self::a][normalize-space()='{text}']"
        return bool(self._driver.find_elements(By.XPATH, path))

    def fill(self, label: str, text: str) -> WebElement:
        """Write into the field with this label."""
        name = self._find(f"//label[normalize-space()='{label}']").get_attribute("for")
        element = self._driver.find_element(By.ID, str(name))
        if element.get_attribute("type") != "file":
            element.clear()
        element.send_keys(text)
        return element

    def choose(self, label: str, option: str) -> None:
        """Choose an option of the field with this label."""
        field = self._find(f"//label[starts-with(normalize-space(), '{label}')]/select")
        Select(field).select_by_visible_text(option)

    def upload(self, file: Path) -> None:
        """Upload a license with the page's own form."""
        self.fill("License file (.lic)", str(file))
        self.press("Upload license")

    def download(self) -> Path:
        """Press *Download machine info*; return the file."""
        target = self._downloads / "machine-info.json"
        target.unlink(missing_ok=True)
        self._clickable("Download machine info").click()
        WebDriverWait(self._driver, _PATIENCE).until(lambda _: target.exists())
        return target

    @property
    def address(self) -> str:
        """The address in the browser's address bar."""
        return self._driver.current_url

    @property
    def title(self) -> str:
        """The page's main heading."""
        return self._find("//h1").text

    @property
    def text(self) -> str:
        """The text of the product's page."""
        return self._find("//div[@class='product']").text

    def look(self, width: int = 1360, height: int = 900, *, dark: bool = False) -> None:
        """Set the size of the page in CSS pixels, and the colour scheme.

        A zoom of 200 % halves both sizes, since the page sees no other difference.
        """
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def forget(self) -> None:
        """Delete the cookies, as a browser without access has none."""
        self._driver.delete_all_cookies()

    def violations(self) -> list[str]:
        """Return what axe-core finds on the page: the rule and the element of each finding.

        All details are opened, since their content is checked, too.
        """
        axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self._driver.execute_script(axe)
        self._driver.execute_script(
            "for (const each of document.querySelectorAll('details')) each.open = true"
        )
        found = self._driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations))"
        )
        return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]

    @property
    def focus(self) -> str:
        """The text of the element with the focus, or its label or ID, once there is one."""
        focused = "return document.activeElement !== document.body"
        WebDriverWait(self._driver, _PATIENCE).until(lambda driver: driver.execute_script(focused))
        element = self._driver.switch_to.active_element
        label = element.get_attribute("aria-label") or element.text
        return label or str(element.get_attribute("id"))

    @property
    def focus_top(self) -> float | None:
        """The distance of the focused element from the top of the window; None if not in view."""
        return self._top(self._driver.switch_to.active_element)

    def top_of(self, text: str) -> float | None:
        """Return the same of the button or link with this text."""
        return self._top(self._clickable(text))

    def show(self, text: str) -> None:
        """Scroll so that the button with this text is in the middle of the window."""
        scroll = "arguments[0].scrollIntoView({block: 'center'})"
        self._driver.execute_script(scroll, self._clickable(text))

    def scroll(self, top: int) -> None:
        """Scroll the window to this distance from the top of the page."""
        self._driver.execute_script("scrollTo(0, arguments[0])", top)

    @property
    def scrolled(self) -> float:
        """The distance of the window from the top of the page."""
        return float(self._driver.execute_script("return scrollY"))

    @property
    def notice_is_in_view(self) -> bool:
        """True if the notice of the last control can be read."""
        return self._top(self._driver.find_element(By.ID, "notice")) is not None

    def forbid_scripts(self) -> None:
        """Run no script of a page from now on."""
        self._driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})

    def blocked(self, markup: str) -> str:
        """Put markup into the page, as a fault in a template would.

        Return the directive of the policy that keeps the browser from running it.
        """
        return str(
            self._driver.execute_async_script(
                "const [markup, done] = arguments;"
                "document.addEventListener("
                "  'securitypolicyviolation', (event) => done(event.effectiveDirective));"
                "document.body.append(document.createRange().createContextualFragment(markup))",
                markup,
            )
        )

    def _top(self, element: WebElement) -> float | None:
        return self._driver.execute_script(  # type: ignore[no-any-return]
            "const box = arguments[0].getBoundingClientRect();"
            "return box.top >= 0 && box.bottom <= innerHeight ? box.top : null",
            element,
        )

    @property
    def overflows(self) -> bool:
        """True if the page is wider than its window."""
        wider = "let root = document.documentElement; return root.scrollWidth > root.clientWidth"
        return bool(self._driver.execute_script(wider))

    @property
    def strip(self) -> str:
        """The text of the control strip."""
        return self._find("//aside").text

    @property
    def mail(self) -> str:
        """The subject of the newest alert mail."""
        return self._find("//aside//details[@class='mail']/summary").text

    @property
    def clock(self) -> datetime:
        """The server's clock, rounded up to the minute."""
        value = self._driver.find_element(By.ID, "clock-enter").get_attribute("value")
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC) + timedelta(minutes=1)

    @contextmanager
    def _next_page(self) -> Iterator[None]:
        before = self._find("/html")
        yield
        WebDriverWait(self._driver, _PATIENCE).until(staleness_of(before))

    def _clickable(self, text: str) -> WebElement:
        has_text = f"normalize-space()='{text}' or @aria-label='{text}'"
        return self._find(f"//*[self::button or self::a or self::summary][{has_text}]")

    def _find(self, path: str) -> WebElement:
        return self._driver.find_element(By.XPATH, path)
