"""The web server, on the loopback interface alone."""

import logging
import signal
import socket
from typing import Final

import uvicorn

from polygent_issuer.sandbox.application import application
from polygent_issuer.sandbox.site import Site

LOOPBACK: Final = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """A socket that only this machine reaches.

    Args:
        port: 0 takes a free one.

    Raises:
        OSError: it is taken, or not ours to take.
    """
    return socket.create_server((LOOPBACK, port))


def stop_at_sigterm() -> None:
    """Let SIGTERM end the process as Ctrl-C does, so that whoever called clears up.

    Uvicorn raises the signal again once it has stopped.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def serve(site: Site, listening: socket.socket) -> None:
    """Serve until the process is told to stop, by Ctrl-C or, after `stop_at_sigterm`, SIGTERM."""
    port = listening.getsockname()[1]
    hosts = (f"{LOOPBACK}:{port}", f"localhost:{port}")
    config = uvicorn.Config(
        application(site, hosts=hosts),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    # What libraries log of odd requests is no news to an operator.
    logging.getLogger().addHandler(logging.NullHandler())
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        return


def address(listening: socket.socket) -> str:
    """Where a browser finds it."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}/"
