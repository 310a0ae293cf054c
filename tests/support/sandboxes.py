"""A sandbox without a socket, with a client for its pages and its API."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from starlette.testclient import TestClient, WebSocketTestSession

from polygent_issuer.sandbox.guard import Access
from polygent_issuer.sandbox.server import application
from polygent_issuer.sandbox.simulated_server import SimulatedServer
from polygent_issuer.verifier import KeySet
from support.lic_files import ISSUED, Issuer

PORT = 8321
HOST = f"127.0.0.1:{PORT}"
NOW = ISSUED + timedelta(days=1, hours=2)
MACHINE = "sha256:" + "ab" * 32


class Sandbox:
    """A simulated server, and a browser at its pages."""

    def __init__(self, folder: Path, first: bytes | None = None) -> None:
        """Start without a license, or with `first`."""
        self.issuer = Issuer()
        self.at = NOW
        self._built: list[SimulatedServer] = []
        self.site = self.build(folder, first)
        self.access = Access(f"http://{HOST}/")
        self.client = self.browser()
        self.client.get(self.access.new_address())

    def browser(self) -> TestClient:
        """Return a browser without access, at its own server of the same site."""
        app = application(self.site, hosts=[HOST], access=self.access)
        return TestClient(app, base_url=f"http://{HOST}")

    def build(self, folder: Path, first: bytes | None) -> SimulatedServer:
        """Create a site whose true time is `at`."""
        site = SimulatedServer(
            KeySet.of(self.issuer.signer.public_key),
            folder=folder,
            clock=self.clock,
            first=first,
        )
        self._built.append(site)
        return site

    def close(self) -> None:
        """Close the databases of all sites."""
        for site in self._built:
            site.close()

    def clock(self) -> datetime:
        """Return the true time."""
        return self.at

    def sign_in(self, user: str) -> None:
        """Sign in on the page."""
        self.client.post("/sign-in", data={"user": user})

    def forget_sign_in(self) -> None:
        """Delete the browser's session; its access to the sandbox remains."""
        self.client.cookies.delete(f"polygent_sandbox_{PORT}")

    def upload(self, content: bytes) -> str:
        """Upload on the page; return the next page."""
        return self.client.post("/license", files={"license": ("x.lic", content)}).text

    def move(self, control: str, **form: str) -> str:
        """Use the control strip; return the next page."""
        return self.client.post(f"/sandbox/{control}", data={"back": "/sandbox", **form}).text

    def agent(self, kind: str, host: str, **headers: str) -> WebSocketTestSession:
        """Return the socket of an agent, which connects in a `with` block."""
        url = f"ws://{HOST}/api/agents/{kind}?host={host}"
        return self.client.websocket_connect(url, headers=headers)


@contextmanager
def admin_at(folder: Path) -> Iterator[Sandbox]:
    """Return a sandbox without a license on the machine `MACHINE`, with an admin signed in."""
    sandbox = Sandbox(folder)
    sandbox.site.be_machine(MACHINE)
    sandbox.sign_in("admin")
    with closing(sandbox), sandbox.client:
        yield sandbox
