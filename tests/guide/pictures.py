"""Make README's two pictures: `PYTHONPATH=tests python tests/guide/pictures.py`.

One shows a terminal, as SVG, and the other the sandbox in a browser.
"""

import io
import os
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pexpect
from rich.console import Console
from rich.text import Text
from support.browser import Visitor, chromium, sandbox_process
from support.cli import Desk

import polygent_issuer

GUIDE = Path(polygent_issuer.__file__).parent / "guide"
COLUMNS = 92


def terminal_picture(desk: Desk) -> str:
    """Return a picture of a renewal in a terminal, as SVG."""
    shown = Console(record=True, width=COLUMNS, file=io.StringIO())
    for argv in (("expiring",), ("renew", "acme", "--users", "40", "--yes")):
        shown.print(Text(f"$ polygent-issue {' '.join(argv)}", style="bold green"))
        child = pexpect.spawn(
            sys.executable,
            ["-m", "polygent_issuer", "--home", str(desk.home), *argv],
            encoding="utf-8",
            dimensions=(50, COLUMNS),
            cwd=desk.folder,
            env={
                "PATH": os.environ["PATH"],
                "TERM": "xterm-256color",
                "POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file),
            },
        )
        child.expect(pexpect.EOF, timeout=60)
        printed = str(child.before).replace("\r", "").replace(str(desk.folder), "/home/ada")
        shown.print(Text.from_ansi(printed.rstrip("\n")))
    drawn = shown.export_svg(title="polygent-issue")
    # The reader's own fixed-width font is used, so that nothing is loaded from the network.
    return re.sub(r"<!--.*?-->|@font-face \{.*?\}", "", drawn, flags=re.DOTALL)


def main() -> None:
    """Write both pictures into the guide."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = Desk(folder, now=datetime.now(UTC)).set_up()
        document = desk.machine_info(hostname="prod", customer="Acme")
        desk.ok("sign", "--machine-info", document, "--term", "20d", "--users", "25")
        (GUIDE / "terminal.svg").write_text(terminal_picture(desk), encoding="utf-8")
        public, license_ = str(folder / "public.pem"), str(folder / "acme.lic")
        desk.ok("key", "export-public", "-o", public)
        (listed,) = desk.ok("license", "list", "--status", "current", "--json").json["licenses"]
        desk.ok("license", "export", listed["id"], "-o", license_)
        options = ("--public-key", public, "--license", license_)
        with sandbox_process(*options) as address, chromium(folder) as driver:
            visitor = Visitor(driver, address, folder)
            visitor.press("Sign in as admin")
            visitor.open("/settings/license")
            driver.save_screenshot(str(GUIDE / "sandbox.png"))


if __name__ == "__main__":
    main()
