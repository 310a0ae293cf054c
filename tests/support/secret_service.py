"""A real Secret Service for one test, with its own bus, daemon, home and runtime folder."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from jeepney import (
    DBusAddress,
    DBusErrorResponse,
    Message,
    MessageType,
    Properties,
    new_method_call,
)
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

from support.tools import require_tool

START_SECONDS = 20.0
PASSWORD = b"only for this test"
LOGIN = "/org/freedesktop/secrets/collection/login"
DEFAULT = "/org/freedesktop/secrets/aliases/default"
SESSION = "/org/freedesktop/secrets/collection/session"
_BUS_NAME = "org.freedesktop.secrets"
_SECRET = "org.freedesktop.Secret"
# No service folders: a call to a name without an owner fails at once and starts nothing.
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class SecretService:
    """A running dbus-daemon with or without a gnome-keyring-daemon.

    Attributes:
        environ: the variables that a process needs to reach it.
    """

    def __init__(self, folder: Path) -> None:
        """Create the folders; `start` starts the processes."""
        self._folder = folder
        self._log = folder / "daemon.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._open = ExitStack()
        for name in ("home", "run"):
            (folder / name).mkdir(mode=0o700)
        self.environ = {
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_CONFIG_HOME": str(folder / "home" / ".config"),
            "XDG_DATA_HOME": str(folder / "home" / ".local" / "share"),
        }

    def start(self, *, unlocked: bool, daemon: bool) -> None:
        """Start the bus, then the daemon, and wait until they answer."""
        address = self._start_bus()
        self.environ["DBUS_SESSION_BUS_ADDRESS"] = address
        self._bus = self._open.enter_context(closing(open_dbus_connection(address)))
        if daemon:
            self._start_daemon(unlocked=unlocked)

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it the Secret Service of this process."""
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def lock(self) -> None:
        """Lock the login keyring, as a screen saver may."""
        address = DBusAddress("/org/freedesktop/secrets", _BUS_NAME, f"{_SECRET}.Service")
        self._ask(new_method_call(address, "Lock", "ao", ([LOGIN],)))

    def stop(self) -> None:
        """Stop the daemon: it keeps its name and does not answer."""
        self._processes[1].send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Continue a stopped daemon."""
        self._processes[1].send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End both processes, the daemon first."""
        self._open.close()
        for process in reversed(self._processes):
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()

    def hold_prompts(self) -> None:
        """Replace the desktop's prompter and never answer, like an unattended screen."""
        reply = self._bus.send_and_get_reply(
            message_bus.RequestName("org.gnome.keyring.SystemPrompter")
        )
        assert reply.body == (1,)

    def is_locked(self) -> bool:
        """Return whether the default keyring is locked."""
        address = DBusAddress(DEFAULT, _BUS_NAME, f"{_SECRET}.Collection")
        ((_signature, locked),) = self._ask(Properties(address).get("Locked"))
        return bool(locked)

    def _start_bus(self) -> str:
        configuration = self._folder / "bus.conf"
        configuration.write_text(_BUS.format(socket=self._folder / "bus"))
        command = [
            require_tool("dbus-daemon", "dbus-daemon"),
            f"--config-file={configuration}",
            "--nofork",
            "--print-address=1",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().decode().strip()

    def _start_daemon(self, *, unlocked: bool) -> None:
        tool = require_tool("gnome-keyring-daemon", "gnome-keyring")
        environ = {**os.environ, **self.environ}
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            environ.pop(name, None)
        command = [tool, "--foreground", "--components=secrets"]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [*command, "--unlock"] if unlocked else command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environ,
            )
        self._processes.append(process)
        assert process.stdin is not None
        process.stdin.write(PASSWORD)
        process.stdin.close()
        self._await(self._is_unlocked if unlocked else self._is_owned)

    def _is_owned(self) -> bool:
        reply = self._bus.send_and_get_reply(message_bus.NameHasOwner(_BUS_NAME))
        return bool(reply.body[0])

    def _is_unlocked(self) -> bool:
        try:
            return not self.is_locked()
        except DBusErrorResponse:
            return False

    def _await(self, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > end:
                code, log = self._processes[1].poll(), self._log.read_text(errors="replace")
                pytest.fail(
                    f"the Secret Service did not start; exit code {code}; its output: {log}"
                )
            time.sleep(0.002)

    def _ask(self, message: Message) -> tuple[Any, ...]:
        reply = self._bus.send_and_get_reply(message)
        if reply.header.message_type is MessageType.error:
            raise DBusErrorResponse(reply)
        body: tuple[Any, ...] = reply.body
        return body


@contextmanager
def secret_service(*, unlocked: bool = True, daemon: bool = True) -> Iterator[SecretService]:
    """Start a Secret Service, which ends with the block.

    Args:
        unlocked: whether the daemon gets a password, which creates and unlocks its keyring.
        daemon: whether to start the daemon, or only the bus.
    """
    # Not in pytest's folder, since the path of a socket has at most 108 bytes.
    with tempfile.TemporaryDirectory(prefix="secrets-") as folder:
        service = SecretService(Path(folder))
        try:
            service.start(unlocked=unlocked, daemon=daemon)
            yield service
        finally:
            service.end()
