"""`polygent-issue sandbox`: try a license in a simulated server."""

import os
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option, read_public_keys, whole_number
from polygent_issuer.cli.output.blocks import Line
from polygent_issuer.cli.output.result import Report, write_blocks_now, write_json_now
from polygent_issuer.errors import UsageProblem
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    import socket

    from polygent_issuer.verifier import KeySet


_PORT = 8321
_LIMIT = 16_384
_NEEDED = ("starlette", "uvicorn", "jinja2", "python_multipart", "wsproto")


def sandbox(
    invocation: Invocation,
    *,
    license_file: str | None = option("--license", "FILE", "Install this license at the start."),
    public_key: list[Path] | None = option(
        "--public-key",
        "FILE",
        "Trust this PEM or JWKS file instead of the example key (repeatable).",
        readable=False,
    ),
    port: int = option(
        "--port",
        "N",
        "Listen on this port (0 for a free one).",
        parser=whole_number(0, 65535),
        default=_PORT,
    ),
) -> Report:
    """Try a license in a simulated server.

    Open the printed address in a browser on this machine. It works only once, so that other users
    of the machine get no access. Upload licenses, change the server's clock, host name, machine,
    users and hosts, and see how the product responds. Ctrl-C stops the sandbox.

    Without --public-key it trusts only the example key; export yours with polygent-issue key
    export-public. The sandbox opens no private key and no registry, and keeps no data.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        raise UsageProblem(
            "the sandbox needs packages that are not installed",
            hint="pip install 'polygent-issuer[sandbox]'",
        )
    from polygent_issuer.files.reading import read_bounded
    from polygent_issuer.sandbox.guard import Access
    from polygent_issuer.sandbox.server import address, serve, stop_in_order, temporary_server

    keys, first = _keys(invocation, public_key), None
    if license_file is not None:
        first = read_bounded(license_file, limit=_LIMIT, what="license file")
    stop_in_order()
    with (
        closing(_listen(port)) as listening,
        temporary_server(keys, clock=lambda: datetime.now(UTC), first=first) as site,
    ):
        if site.attempt is not None and (refused := site.attempt.refused) is not None:
            invocation.warn(f"license refused: {refused.code}: {refused.message}; {refused.hint}")
        url = address(listening)
        access = Access(url)
        with suppress(KeyboardInterrupt):  # the only way to stop it
            opens_once = access.new_address()
            if invocation.as_json:
                invocation.in_lines = True
                write_json_now({"url": url, "open": opens_once})
            else:
                running = "sandbox running until Ctrl-C; open this address, which works only once:"
                write_blocks_now([Line(running, "good"), Line(opens_once)])
            serve(site, listening, access)
    stopped = Line("sandbox stopped; temporary data removed", "dim")
    return Report({"stopped": url}, [stopped], in_lines=True)  # the address was a line already


def _keys(invocation: Invocation, paths: list[Path] | None) -> "KeySet":
    """Return the keys that the server trusts; by default the published example key."""
    if paths:
        return read_public_keys(invocation, paths)
    from polygent_issuer.sandbox.server import EXAMPLE

    invocation.warn(
        Hint(
            "only the published example key is trusted; to try your own licenses: ",
            run("key", "export-public", "-o", "public.pem"),
            ", then --public-key public.pem",
        )
    )
    return EXAMPLE


def _listen(port: int) -> "socket.socket":
    from polygent_issuer.sandbox.server import listen

    try:
        return listen(port)
    except OSError as problem:
        raise UsageProblem(
            f"cannot listen on port {port}: {os.strerror(problem.errno or 0).lower()}",
            hint="--port 0 selects a free port",
        ) from None
