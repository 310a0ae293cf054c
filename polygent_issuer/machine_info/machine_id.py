"""What identifies a machine, and the hashes that stand for it in a document.

As systemd's `sd_id128_get_machine_app_specific` does: HMAC-SHA256 keyed with the id, over a
constant of this application. Whoever has the hash can neither tell the id nor the hash that
another application would make of it. The fingerprint is made of the machine's id alone: a part
that only the administrator may read would change it with the user who asks.
"""

import contextlib
import hashlib
import hmac
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.machine_info.plausibility import is_placeholder

_APPLICATION: Final = b"polygent machine info 1: "

_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{32}")


class NoMachineId(InputRefused):
    """This machine has no id of its own that a fingerprint could be made of."""

    code = "no_machine_id"


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineId:
    """A machine's id, and its board's where it can be read; secret in the sense of `repr`."""

    machine: str = field(repr=False)
    board: str | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """The fingerprint in canonical form (FORMAT §4)."""
        return _hash(self.machine, "fingerprint")

    @property
    def components(self) -> dict[str, str]:
        """The hashed parts by name, so that a changed fingerprint can be explained."""
        components = {"machineId": _hash(self.machine, "machineId")}
        if self.board is not None:
            components["board"] = _hash(self.board, "board")
        return components


def plain_id(text: str) -> str | None:
    """Bring an id into 32 lower-case hexadecimal digits; None when it is none, or says nothing.

    UUIDs come with hyphens and braces, whatever the system; an id of one digit repeated (all zero,
    all F) is what systems write that have none.
    """
    digits = text.strip().strip("{}").replace("-", "").lower()
    return digits if _HEXADECIMAL.fullmatch(digits) and len(set(digits)) > 1 else None


def board_id(*candidates: str | None) -> str | None:
    """Choose the first serial number or UUID that is no placeholder, trimmed and in lower case."""
    for candidate in candidates:
        text = (candidate or "").strip().strip("{}").lower()
        if not is_placeholder(text):
            return text
    return None


def _hash(key: str, purpose: str) -> str:
    keyed = hmac.new(key.encode(), _APPLICATION + purpose.encode(), hashlib.sha256)
    return f"sha256:{keyed.hexdigest()}"


_MACHINE_IDS: Final = ("etc/machine-id", "var/lib/dbus/machine-id")
# Mostly readable by root alone.
_BOARDS: Final = ("sys/class/dmi/id/product_uuid", "sys/class/dmi/id/board_serial")
# What container engines leave for programs that ask.
_CONTAINER_MARKS: Final = (
    *(".dockerenv", "run/.containerenv", "run/systemd/container"),
    "run/secrets/kubernetes.io",
)
_CONTAINER_GROUPS: Final = re.compile(rb"docker|kubepods|libpod|containerd|crio|lxc")
_MOST: Final = 256

_HOST_ID: Final = (
    "run the command on its host, or give it the host's id (-v /etc/machine-id:/etc/machine-id:ro)"
)
_ON_A_HOST: Final = "as root, systemd-machine-id-setup makes one"


def read_linux(root: Path = Path("/")) -> MachineId:
    """Read the ids of a Linux system: machine-id(5), D-Bus's older file, the DMI tables in sysfs.

    The first file that says anything decides: behind a damaged id there is no second opinion.

    Raises:
        NoMachineId: (`no_machine_id`) when there is no id yet, or it is malformed.
    """
    name = _id_file(root)
    if name is None:
        raise NoMachineId(
            "this machine has no id: /etc/machine-id is missing, empty or unreadable",
            hint=_hint(root),
        )
    machine = plain_id(_line(root / name) or "")
    if machine is None:
        raise NoMachineId(f"/{name} holds no valid machine id", hint=_hint(root))
    return MachineId(machine=machine, board=board_id(*(_line(root / b) for b in _BOARDS)))


def image_id_warning(root: Path = Path("/")) -> str | None:
    """Return a warning if this is a container and its id comes from the image, else None.

    A file or folder that is mounted into the container is not part of the image.
    """
    name = _id_file(root)
    if name is None or not _in_container(root):
        return None
    mounts = {
        line.split()[4].decode("utf-8", "replace")  # proc_pid_mountinfo(5): the mount point
        for line in _content(root / "proc/self/mountinfo").splitlines()
    }
    path = Path("/", name)
    if mounts & {str(each) for each in (path, *path.parents) if each.name}:
        return None
    return (
        f"this is a container and /{name} is not mounted from its host: every container of the "
        f"same image has this fingerprint; {_HOST_ID}"
    )


def _id_file(root: Path) -> str | None:
    known = ((name, _line(root / name)) for name in _MACHINE_IDS)
    return next((name for name, text in known if text not in (None, "", "uninitialized")), None)


def _hint(root: Path) -> str:
    return f"this is a container: {_HOST_ID}" if _in_container(root) else _ON_A_HOST


def _in_container(root: Path) -> bool:
    """Check the marks of container engines, the environment of process 1 and its control group."""
    return (
        any((root / mark).exists() for mark in _CONTAINER_MARKS)
        or b"\0container=" in b"\0" + _content(root / "proc/1/environ")
        or _CONTAINER_GROUPS.search(_content(root / "proc/1/cgroup")) is not None
    )


def _content(path: Path) -> bytes:
    """Read a file of the kernel; empty if this user may not."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _line(path: Path) -> str | None:
    """Read a small file without its surrounding white space; None when that is not possible."""
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST).decode("ascii", "replace").strip()
    except OSError:
        return None


_IOREG: Final = ("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
_PROPERTY: Final = re.compile(r'^\s*"(IOPlatform(?:UUID|SerialNumber))" = "([^"]*)"', re.MULTILINE)
_SECONDS: Final = 10


def run_ioreg() -> str:
    """Ask the I/O registry for the platform's device.

    Raises:
        NoMachineId: (`no_machine_id`) when `ioreg` is missing, fails, or takes over 10 s.
    """
    try:
        done = subprocess.run(_IOREG, capture_output=True, check=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError):
        raise NoMachineId(
            "this machine's id cannot be read: ioreg failed", hint=f"try it: {' '.join(_IOREG)}"
        ) from None
    return done.stdout.decode("utf-8", "replace")


def read_macos(ioreg: Callable[[], str] = run_ioreg) -> MachineId:
    """Read the ids of a macOS system: the platform UUID and the serial number.

    Raises:
        NoMachineId: (`no_machine_id`) when `ioreg` tells no platform UUID.
    """
    properties = dict(_PROPERTY.findall(ioreg()))
    machine = plain_id(properties.get("IOPlatformUUID", ""))
    if machine is None:
        raise NoMachineId(
            "this machine has no id: ioreg tells no valid IOPlatformUUID",
            hint=f"try it: {' '.join(_IOREG)}",
        )
    return MachineId(machine=machine, board=board_id(properties.get("IOPlatformSerialNumber")))


_CRYPTOGRAPHY: Final = r"SOFTWARE\Microsoft\Cryptography"
_HARDWARE: Final = r"SYSTEM\HardwareConfig"


def registry_value(key: str, name: str) -> str | None:
    """Read a string below HKEY_LOCAL_MACHINE, in its 64-bit view; None when there is none."""
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415 - exists on Windows alone

        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        with (
            contextlib.suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened,
        ):
            value, _kind = winreg.QueryValueEx(opened, name)
            return value if isinstance(value, str) else None
    return None


def read_windows(value: Callable[[str, str], str | None] = registry_value) -> MachineId:
    r"""Read the ids of a Windows system: the machine's GUID and the firmware's UUID.

    Raises:
        NoMachineId: (`no_machine_id`) when the registry holds no valid MachineGuid.
    """
    machine = plain_id(value(_CRYPTOGRAPHY, "MachineGuid") or "")
    if machine is None:
        raise NoMachineId(
            "this machine has no id: the registry holds no valid MachineGuid",
            hint=rf"try it: reg query HKLM\{_CRYPTOGRAPHY} /v MachineGuid /reg:64",
        )
    return MachineId(machine=machine, board=board_id(value(_HARDWARE, "LastConfig")))
