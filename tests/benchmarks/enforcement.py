"""The cost of the license for a request: `python tests/benchmarks/enforcement.py [RUNS]`.

A bare Starlette request through the ASGI interface is compared with the same request through
`LicenseMiddleware`, whose license is active. Each request is for a path of its own. Pairs of 500
requests are run in turn, with alternating order, and the median of the ratios is printed: ratios of
processor time of the thread, since other programs may run meanwhile.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from polygent_issuer.enforcement import LicenseMiddleware, ServerLicense, SqliteStore
from polygent_issuer.enforcement.asgi import App
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.verifier import AllowedDomain, KeySet, License, Limits, Tier, Verifier, jws

FINGERPRINT = "sha256:" + "ab" * 32
REQUESTS = 500
WANTED = 1.15

PATHS: dict[str, Callable[[int], str]] = {
    "the same path": lambda _: "/api/items/4711",
    "numbers": lambda number: f"/api/items/{number}",
    "UUIDs": lambda number: f"/api/items/{uuid.uuid5(uuid.NAMESPACE_URL, str(number))}",
    "file names": lambda number: f"/api/items/Report {number} (Final).v1.PDF",
}
"""Paths as ASGI decodes them, by the number of the request."""

# What a browser sends along.
HEADERS = [
    (b"host", b"polygent.acme.internal"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"application/json"),
    (b"accept-language", b"en"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"cookie", b"session=2f0c8a6e5d1b4973"),
    (b"connection", b"keep-alive"),
]


async def item(request: Request) -> JSONResponse:
    """Answer with almost no work."""
    return JSONResponse({"id": request.path_params["id"]})


def bare() -> Starlette:
    """Return an app with one route."""
    return Starlette(routes=[Route("/api/items/{id}", item)])


def licensed(server_license: ServerLicense) -> Starlette:
    """Return the app with the license, as an integrator adds it."""
    app = bare()
    app.add_middleware(
        LicenseMiddleware,
        license=server_license,
        now=lambda: datetime.now(UTC),
        features={"/api/workflows": "workflows", "/api/planner": "planner"},
    )
    return app


@contextmanager
def active(folder: Path, *, domain: bool, features: tuple[str, ...]) -> Iterator[ServerLicense]:
    """Open a server with an active license; one for a domain also checks the Host."""
    now = datetime.now(UTC)
    signer = SoftwareSigner(generate_private_key())
    issued = License(
        iss="Polygent Ltd",
        sub="acme",
        jti=str(uuid.uuid4()),
        iat=int(now.timestamp()),
        exp=int((now + timedelta(days=365)).timestamp()),
        customer="Acme GmbH",
        tier=Tier.ENTERPRISE if domain else Tier.STANDARD,
        features=features,
        limits=Limits(users=25, session_hosts=2, deploy_hosts=1),
        machine_fingerprint=None if domain else FINGERPRINT,
        allowed_domain=AllowedDomain("*.acme.internal") if domain else None,
    )
    signing_input = jws.signing_input(signer.kid, issued.to_payload())
    file = jws.assemble(signing_input, signer.sign(signing_input))
    store = SqliteStore(folder / f"{issued.jti}.db")
    server_license = ServerLicense(
        Verifier(KeySet(signer.public_key)), store, fingerprint=FINGERPRINT
    )
    server_license.install(file, now=now, by="ada")
    yield server_license
    store.close()


async def requests(app: App, paths: Iterator[str]) -> float:
    """Return the seconds of processor time for all requests of one half of a pair."""
    asked = [(path, quote(path).encode()) for path in itertools.islice(paths, REQUESTS)]

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(message)

    begun = time.thread_time()
    for path, raw_path in asked:
        await app(_scope(path, raw_path), receive, send)
    return time.thread_time() - begun


def ratio(app: App, base: App, paths: Iterator[str], *, runs: int) -> float:
    """Return the median ratio of the app's time to the base's."""

    async def measured() -> float:
        ratios = []
        for run in range(runs):
            if run % 2:
                ours, theirs = await requests(app, paths), await requests(base, paths)
            else:
                theirs, ours = await requests(base, paths), await requests(app, paths)
            ratios.append(ours / theirs)
        return statistics.median(ratios[1:])

    return asyncio.run(measured())


def _scope(path: str, raw_path: bytes) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": raw_path,
        "query_string": b"",
        "root_path": "",
        "headers": list(HEADERS),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 101
    every = "planner", "workflows"
    licenses = {
        "a machine": (False, every),
        "a machine, without a feature": (False, every[:1]),
        "a domain": (True, every),
        "a domain, without a feature": (True, every[:1]),
    }
    with tempfile.TemporaryDirectory() as folder:
        for kind, (domain, features) in licenses.items():
            with active(Path(folder), domain=domain, features=features) as server_license:
                for of, path in PATHS.items():
                    paths = map(path, itertools.count(1_000_000))
                    found = ratio(licensed(server_license), bare(), paths, runs=runs)
                    line = f"license for {kind}; {of}: {found:.3f} of a bare request"
                    sys.stdout.write(f"{line} (wanted: at most {WANTED:.2f})\n")


if __name__ == "__main__":
    main()
