"""A process with all imports done, which forks commands on request.

    python -m support.command_forks GATE

Starting Python takes several times as long as `sign`, and a sweep over its system calls needs a
process for each. A fork makes only the calls of the command, so their numbers start with it.

Each order is a line of JSON on stdin, and its answer a line on stdout. A started fork waits for a
byte from the descriptor GATE before it does anything.
"""

import ctypes
import gc
import json
import os
import resource
import sys
import time
import uuid
from datetime import datetime
from itertools import count
from typing import Any

from polygent_issuer.batch import run as batch
from polygent_issuer.cli.main import run
from polygent_issuer.keys import file_store

Order = dict[str, Any]
_PR_SET_PTRACER = 0x59616D61


def main(gate: int) -> None:
    """Execute orders until stdin ends; keys are encrypted with one round of bcrypt."""
    file_store.ROUNDS = 1  # type: ignore[misc] # 64 take half a second each
    for line in sys.stdin:
        order = json.loads(line)
        answer = {"start": lambda o: _start(o, gate), "wait": _wait, "warm": _warm}[order["do"]]
        json.dump(answer(order), sys.stdout)
        sys.stdout.write("\n")
        sys.stdout.flush()


def _start(order: Order, gate: int) -> int:
    """Fork a command; return its process ID when it waits at the gate."""
    ready, signal_ready = os.pipe()
    gc.freeze()  # so that a fork shares its memory
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        _be(order, gate, signal_ready)
    os.close(signal_ready)
    os.read(ready, 1)
    os.close(ready)
    return pid


def _wait(_order: Order) -> dict[str, int]:
    """Return the exit code of each started command, or minus the signal that ended it."""
    ended: dict[str, int] = {}
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return ended
        ended[str(pid)] = os.waitstatus_to_exitcode(status)


def _warm(order: Order) -> int:
    """Run a command in this process, so that the forks share its imports."""
    copies = [os.dup(number) for number in (1, 2)]
    _redirect(order)
    code = _run(order)
    for number, copy in zip((1, 2), copies, strict=True):
        os.dup2(copy, number)
        os.close(copy)
    return code


def _be(order: Order, gate: int, ready: int) -> None:
    """Run the command in this fork, and exit."""
    code = 70
    try:
        _redirect(order)
        os.chdir(order["folder"])
        os.umask(0o022)
        _let_strace_attach()
        if (size := order["file_size"]) is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        if (user := order["user"]) is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        if (first_id := order.get("first_id")) is not None:
            numbers = count(first_id)
            uuid.uuid4 = lambda: uuid.UUID(int=next(numbers) << 96 | 4 << 76 | 2 << 62)
        if (group := order["group"]) is not None:
            batch.MAX_GROUP_SIZE = group  # type: ignore[misc] # else twenty items are one group
        os.write(ready, b"r")
        os.read(gate, 1)
        code = _run(order)
    finally:
        os._exit(code)


def _redirect(order: Order) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path in ((1, order["out"]), (2, order["err"])):
        descriptor = os.open(path, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)


def _run(order: Order) -> int:
    now: datetime | None = datetime.fromisoformat(order["now"])
    if order["clock"]:
        os.environ.update(order["clock"])
        time.tzset()
        now = None
    code = 0
    for argv in order["series"]:
        code = code or run(argv, now=now, environ=order["environ"])
    try:
        sys.stdout.flush()
    except OSError:
        return 120  # as the interpreter does when its last flush fails
    return code


def _let_strace_attach() -> None:
    """Allow any process of this user to trace this one, where Yama allows only ancestors."""
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
