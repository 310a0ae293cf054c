"""The fingerprint of this machine, and its document `machine-info.json` (FORMAT §4).

The hash is HMAC-SHA256 with the id as its key over a constant of this application, as in systemd's
`sd_id128_get_machine_app_specific`. It reveals neither the id nor the hash of another application.
Only the machine id goes into the fingerprint: with a part that only an administrator can read, the
fingerprint would depend on the user who runs the command.
"""

import contextlib
import hashlib
import hmac
import json
import platform
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ..verifier.license import canonical_fingerprint, display_name_problem, is_placeholder
from .refusals import error_json
from .store import instant

NO_MACHINE_ID: Final = "no_machine_id"
INVALID_MACHINE_INFO: Final = "invalid_machine_info"
_FORMAT: Final = "polygent-machine-info/1"
_APPLICATION: Final = b"polygent machine info 1: "

_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{32}")
_MACHINE_IDS: Final = ("etc/machine-id", "var/lib/dbus/machine-id")
# Usually readable only by root.
_BOARDS: Final = ("sys/class/dmi/id/product_uuid", "sys/class/dmi/id/board_serial")
# Files by which programs can recognise a container.
_CONTAINER_MARKS: Final = (
    *(".dockerenv", "run/.containerenv", "run/systemd/container"),
    "run/secrets/kubernetes.io",
)
_CONTAINER_GROUPS: Final = re.compile(rb"docker|kubepods|libpod|containerd|crio|lxc")
_ID_BYTES: Final = 256
_HOST_ID: Final = (
    "run the command on the host, or mount the host's id with -v /etc/machine-id:/etc/machine-id:ro"
)
_ON_A_HOST: Final = "create one as root with: systemd-machine-id-setup"
_IOREG: Final = ("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
_PROPERTY: Final = re.compile(r'^\s*"(IOPlatform(?:UUID|SerialNumber))" = "([^"]*)"', re.MULTILINE)
_IOREG_SECONDS: Final = 10
_CRYPTOGRAPHY: Final = r"SOFTWARE\Microsoft\Cryptography"
_HARDWARE: Final = r"SYSTEM\HardwareConfig"


class NoMachineInfo(Exception):
    """This machine has no fingerprint or no document.

    Attributes:
        status: 503.
        code: `no_machine_id` if it has no valid id, `invalid_machine_info` if a given name is not
            allowed in a document.
        message, hint: for admins.
    """

    status = 503

    def __init__(self, message: str, *, hint: str, code: str = NO_MACHINE_ID) -> None:
        """Set the reason and the fix."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.add_note(f"hint: {hint}")  # a traceback shows it

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by attributes, since `__init__` has other parameters than `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__

    def to_json(self) -> dict[str, Any]:
        """Return the reason for programs, in the form of `Refusal.to_json`."""
        return error_json(self.code, self.message, self.hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineId:
    """The id of a machine, and of its board if that can be read; hidden in `repr`."""

    machine: str = field(repr=False)
    board: str | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """The fingerprint in canonical form (FORMAT §4)."""
        return _hash(self.machine, "fingerprint")

    @property
    def components(self) -> dict[str, str]:
        """The hashed parts by name, which explain a changed fingerprint."""
        components = {"machineId": _hash(self.machine, "machineId")}
        if self.board is not None:
            components["board"] = _hash(self.board, "board")
        return components


def machine_fingerprint(*, system: str | None = None, root: Path = Path("/")) -> str:
    """Return the fingerprint of this machine, in canonical form; it reads files or runs a command.

    The arguments are those of `machine_info`.

    Raises:
        NoMachineInfo: (`no_machine_id`) the machine has no valid id.
    """
    return _identity(system, root).fingerprint


def machine_info(
    *,
    now: datetime,
    fingerprint: str | None = None,
    customer: str | None = None,
    product_version: str | None = None,
    hostname: str | None = None,
    system: str | None = None,
    root: Path = Path("/"),
) -> bytes:
    """Return the `machine-info.json` of this machine; UTF-8, ends with a newline.

    Args:
        now: the time of the document, aware.
        fingerprint: the one that the server's license is compared with, if the server has a way of
            its own; the default is `machine_fingerprint()`.
        customer: the display name of the customer.
        product_version: the version of the product on this server.
        hostname: the host name; the default is the system's.
        system: Linux, Darwin or Windows; the default is `platform.system()`.
        root: the root folder of a Linux system.

    Raises:
        NoMachineInfo: (`no_machine_id`) the machine has no valid id; (`invalid_machine_info`) a
            given name or fingerprint is not allowed in a document.
        ValueError: `now` is naive.
    """
    if fingerprint is None:
        identity = _identity(system, root)
        fingerprint, components = identity.fingerprint, identity.components
    else:
        fingerprint, components = _given(fingerprint, system, root)
    fields = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "generatedAt": instant(now),
        "hostname": _name("hostname", hostname) or _if_showable(platform.node()),
        "os": _if_showable(f"{platform.system()} {platform.release()}"),
        "productVersion": _name("productVersion", product_version),
        "customer": _name("customer", customer),
        "components": components,
    }
    document = {name: value for name, value in fields.items() if value}
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def _given(text: str, system: str | None, root: Path) -> tuple[str, dict[str, str]]:
    """Return a given fingerprint, and the components of this machine if it is made of them."""
    fingerprint = canonical_fingerprint(text)
    if fingerprint is None:
        raise NoMachineInfo(
            "the machine-info document is invalid: fingerprint must be 8 to 256 characters of "
            "visible ASCII",
            hint="give the license a fingerprint of that form",
            code=INVALID_MACHINE_INFO,
        )
    try:
        identity = _identity(system, root)
    except NoMachineInfo:
        return fingerprint, {}
    return fingerprint, identity.components if identity.fingerprint == fingerprint else {}


def _name(field_: str, given: str | None) -> str | None:
    """Return a given name, trimmed and composed; None if it is empty."""
    name = unicodedata.normalize("NFC", (given or "").strip())
    if name and (problem := display_name_problem(name)):
        raise NoMachineInfo(
            f"the machine-info document is invalid: {field_} {problem}",
            hint="give a name of 1 to 200 visible characters",
            code=INVALID_MACHINE_INFO,
        )
    return name or None


def _if_showable(text: str) -> str | None:
    """Return a name of the system, or None if it is not allowed in a document."""
    trimmed = text.strip()
    return trimmed if display_name_problem(trimmed) is None else None


def _identity(system: str | None, root: Path) -> MachineId:
    system = system or platform.system()
    readers: dict[str, Callable[[], MachineId]] = {
        "Linux": lambda: read_linux(root),
        "Darwin": read_macos,
        "Windows": read_windows,
    }
    if system not in readers:
        raise NoMachineInfo(
            f"the machine id of this system cannot be read: {system or 'unknown system'}",
            hint="run it on Linux, macOS or Windows",
        )
    return readers[system]()


def plain_id(text: str) -> str | None:
    """Return an id as 32 lower-case hexadecimal digits; None if it is malformed or a placeholder.

    UUIDs may have hyphens and braces. A system without an id writes one repeated digit (all zeros,
    all F).
    """
    digits = text.strip().strip("{}").replace("-", "").lower()
    return digits if _HEXADECIMAL.fullmatch(digits) and len(set(digits)) > 1 else None


def board_id(*candidates: str | None) -> str | None:
    """Return the first serial number or UUID that is not a placeholder, trimmed, in lower case."""
    for candidate in candidates:
        text = (candidate or "").strip().strip("{}").lower()
        if not is_placeholder(text):
            return text
    return None


def _hash(key: str, purpose: str) -> str:
    keyed = hmac.new(key.encode(), _APPLICATION + purpose.encode(), hashlib.sha256)
    return f"sha256:{keyed.hexdigest()}"


def read_linux(root: Path = Path("/")) -> MachineId:
    """Read the ids of a Linux system: machine-id(5), D-Bus's older file, the DMI tables in sysfs.

    The first file that is not empty is used, even if its id is malformed.

    Raises:
        NoMachineInfo: (`no_machine_id`) when the id is missing or malformed.
    """
    name = _id_file(root)
    if name is None:
        raise NoMachineInfo(
            "this machine has no id: /etc/machine-id is missing, empty or unreadable",
            hint=_hint(root),
        )
    machine = plain_id(_line(root / name) or "")
    if machine is None:
        raise NoMachineInfo(f"/{name} does not contain a valid machine id", hint=_hint(root))
    return MachineId(machine=machine, board=board_id(*(_line(root / b) for b in _BOARDS)))


def image_id_warning(*, system: str | None = None, root: Path = Path("/")) -> str | None:
    """Return a warning if this is a container whose id comes from the image, else None.

    Then all containers of the image have the same fingerprint. A file or folder that is mounted
    into the container does not come from the image. The arguments are those of `machine_info`.
    """
    name = _id_file(root)
    if (system or platform.system()) != "Linux" or name is None or not _in_container(root):
        return None
    mounts = {
        line.split()[4].decode("utf-8", "replace")  # proc_pid_mountinfo(5): the mount point
        for line in _content(root / "proc/self/mountinfo").splitlines()
    }
    path = Path("/", name)
    if mounts & {str(each) for each in (path, *path.parents) if each.name}:
        return None
    return (
        f"this is a container and /{name} is not mounted from the host, so every container of this "
        f"image has the same fingerprint; {_HOST_ID}"
    )


def _id_file(root: Path) -> str | None:
    known = ((name, _line(root / name)) for name in _MACHINE_IDS)
    return next((name for name, text in known if text not in (None, "", "uninitialized")), None)


def _hint(root: Path) -> str:
    return f"this is a container: {_HOST_ID}" if _in_container(root) else _ON_A_HOST


def _in_container(root: Path) -> bool:
    """Check the mark files of container engines, and process 1's environment and control group."""
    return (
        any((root / mark).exists() for mark in _CONTAINER_MARKS)
        or b"\0container=" in b"\0" + _content(root / "proc/1/environ")
        or _CONTAINER_GROUPS.search(_content(root / "proc/1/cgroup")) is not None
    )


def _content(path: Path) -> bytes:
    """Read a file of the kernel; empty if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _line(path: Path) -> str | None:
    """Read a small file without surrounding white space; None if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(_ID_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None


def run_ioreg() -> str:
    """Run `ioreg` for the platform device.

    Raises:
        NoMachineInfo: (`no_machine_id`) when `ioreg` is missing, fails, or takes over 10 s.
    """
    try:
        done = subprocess.run(_IOREG, capture_output=True, check=True, timeout=_IOREG_SECONDS)
    except (OSError, subprocess.SubprocessError):
        raise NoMachineInfo(
            "the id of this machine cannot be read: ioreg failed",
            hint=f"run it to see why: {' '.join(_IOREG)}",
        ) from None
    return done.stdout.decode("utf-8", "replace")


def read_macos(ioreg: Callable[[], str] = run_ioreg) -> MachineId:
    """Read the ids of a macOS system: the platform UUID and the serial number.

    Raises:
        NoMachineInfo: (`no_machine_id`) when `ioreg` prints no valid platform UUID.
    """
    properties = dict(_PROPERTY.findall(ioreg()))
    machine = plain_id(properties.get("IOPlatformUUID", ""))
    if machine is None:
        raise NoMachineInfo(
            "this machine has no id: ioreg printed no valid IOPlatformUUID",
            hint=f"check the output of: {' '.join(_IOREG)}",
        )
    return MachineId(machine=machine, board=board_id(properties.get("IOPlatformSerialNumber")))


def registry_value(key: str, name: str) -> str | None:
    """Read a string below HKEY_LOCAL_MACHINE in its 64-bit view; None if it does not exist."""
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415 - only on Windows

        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        with (
            contextlib.suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened,
        ):
            value, _kind = winreg.QueryValueEx(opened, name)
            return value if isinstance(value, str) else None
    return None


def read_windows(value: Callable[[str, str], str | None] = registry_value) -> MachineId:
    r"""Read the ids of a Windows system: the MachineGuid and the UUID of the firmware.

    Raises:
        NoMachineInfo: (`no_machine_id`) when the Windows registry has no valid MachineGuid.
    """
    machine = plain_id(value(_CRYPTOGRAPHY, "MachineGuid") or "")
    if machine is None:
        raise NoMachineInfo(
            "this machine has no id: the Windows registry has no valid MachineGuid",
            hint=rf"check it: reg query HKLM\{_CRYPTOGRAPHY} /v MachineGuid /reg:64",
        )
    return MachineId(machine=machine, board=board_id(value(_HARDWARE, "LastConfig")))
