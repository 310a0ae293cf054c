"""A real, headless Chromium, and the sandbox as a real process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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

    def narrow(self) -> None:
        """Make the window as narrow as Chromium allows."""
        self._driver.set_window_size(400, 800)

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
    def clock(self) -> datetime:
        """The server's clock, rounded up to the minute."""
        value = self._driver.find_element(By.ID, "at").get_attribute("value")
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC) + timedelta(minutes=1)

    @contextmanager
    def _next_page(self) -> Iterator[None]:
        before = self._find("/html")
        yield
        WebDriverWait(self._driver, _PATIENCE).until(staleness_of(before))

    def _clickable(self, text: str) -> WebElement:
        has_text = f"normalize-space()='{text}' or @aria-label='{text}'"
        return self._find(f"//*[self::button or self::a][{has_text}]")

    def _find(self, path: str) -> WebElement:
        return self._driver.find_element(By.XPATH, path)
