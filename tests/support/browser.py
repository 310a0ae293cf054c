"""A real, headless Chromium, and the sandbox as a real process for it to look at."""

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
    """`polygent-issue sandbox` on a free port; the address that it prints, which opens once."""
    command = (sys.executable, "-m", "polygent_issuer", "sandbox", "--port", "0", "--json")
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["open"]
        finally:
            process.terminate()


@contextmanager
def chromium(downloads: Path) -> Iterator[webdriver.Chrome]:
    """A browser that saves what it downloads to a folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = require_tool("chromium", "chromium")
    # As root in a container there is neither a sandbox of Chromium's own nor much /dev/shm.
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
    """Somebody at the sandbox's pages."""

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
        """Press the button, or follow the link, that says so, to the page that follows."""
        with self._next_page():
            self._clickable(text).click()

    def follow(self, text: str) -> None:
        """Follow the link that says so, within the page."""
        self._clickable(text).click()

    def enter(self, label: str, text: str) -> None:
        """Write into the field with this label, and press Enter."""
        with self._next_page():
            self.fill(label, text).send_keys(Keys.ENTER)

    def has(self, text: str) -> bool:
        """Whether there is such a button or link."""
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
        """Choose what the field with this label offers."""
        field = self._find(f"//label[starts-with(normalize-space(), '{label}')]/select")
        Select(field).select_by_visible_text(option)

    def upload(self, file: Path) -> None:
        """Upload a license with the page's own form."""
        self.fill("License file (.lic)", str(file))
        self.press("Upload license")

    def download(self) -> Path:
        """Press *Download machine info*; the file."""
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
        """What the page of the product says."""
        return self._find("//div[@class='product']").text

    def narrow(self) -> None:
        """Make the window as narrow as Chromium makes one."""
        self._driver.set_window_size(400, 800)

    @property
    def overflows(self) -> bool:
        """Whether the page is wider than its window."""
        wider = "let root = document.documentElement; return root.scrollWidth > root.clientWidth"
        return bool(self._driver.execute_script(wider))

    @property
    def strip(self) -> str:
        """What the control strip says."""
        return self._find("//aside").text

    @property
    def clock(self) -> datetime:
        """The server's clock, to the minute above."""
        value = self._driver.find_element(By.ID, "at").get_attribute("value")
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC) + timedelta(minutes=1)

    @contextmanager
    def _next_page(self) -> Iterator[None]:
        before = self._find("/html")
        yield
        WebDriverWait(self._driver, _PATIENCE).until(staleness_of(before))

    def _clickable(self, text: str) -> WebElement:
        says = f"normalize-space()='{text}' or @aria-label='{text}'"
        return self._find(f"//*[self::button or self::a][{says}]")

    def _find(self, path: str) -> WebElement:
        return self._driver.find_element(By.XPATH, path)
