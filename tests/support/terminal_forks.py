"""A process with all imports done, which forks the tool at terminals on request.

    python -m support.terminal_forks SOCKET

Starting Python takes several times as long as most commands. Each order is a message on the
socket, and its answer another one. What happens while Python starts is not tested this way.
"""

import atexit
import fcntl
import gc
import json
import os
import pkgutil
import socket
import sys
import termios
import time
from importlib import import_module
from typing import Any

import polygent_issuer
from polygent_issuer.__main__ import main as tool
from polygent_issuer.keys import file_store

Order = dict[str, Any]
_LONGEST = 1 << 20
_UNUSED = ("polygent_issuer.enforcement.", "polygent_issuer.sandbox.", "polygent_issuer.__main__")
_LIBRARIES = ("anyascii", "keyring.backends.SecretService", "tomlkit")


def main(number: int) -> None:
    """Execute orders until the other end is closed; a fork leaves and becomes the tool."""
    for module in pkgutil.walk_packages(polygent_issuer.__path__, "polygent_issuer."):
        if not f"{module.name}.".startswith(_UNUSED):
            import_module(module.name)
    for name in _LIBRARIES:
        import_module(name)
    gc.freeze()  # so that a fork shares its memory
    with socket.socket(fileno=number) as orders:
        while True:
            message, descriptors, _, _ = socket.recv_fds(orders, _LONGEST, 1)
            if not message:
                return
            order = json.loads(message)
            if "wait" in order:
                answer = os.waitpid(order["wait"], order["flags"])
            elif pid := os.fork():
                os.close(descriptors[0])
                answer = (pid, 0)
            else:
                break
            orders.send(json.dumps(answer).encode())
    _prepare(order, descriptors[0])
    _be_the_tool()


def _prepare(order: Order, terminal: int) -> None:
    """Make this fork look as if it had been started at a terminal."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(terminal, number)
    os.close(terminal)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environ"])
    time.tzset()
    sys.argv = ["polygent-issue", *order["argv"]]
    file_store.ROUNDS = 1  # type: ignore[misc] # 64 take half a second each


def _be_the_tool() -> None:
    """Run the tool and exit at once: taking an interpreter apart costs more than most commands."""
    code = 0
    try:
        tool()
    except SystemExit as ended:
        code = int(ended.code or 0)
    sys.stdout.flush()
    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
