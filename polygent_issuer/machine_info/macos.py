"""macOS: the platform UUID and the serial number, as `ioreg` prints them."""

import re
import subprocess
from collections.abc import Callable
from typing import Final

from polygent_issuer.machine_info.machine_id import MachineId, NoMachineId, board_id, plain_id

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


def read(ioreg: Callable[[], str] = run_ioreg) -> MachineId:
    """Read the ids of a macOS system.

    Raises:
        NoMachineId: (`no_machine_id`) when `ioreg` tells no platform UUID.
    """
    told = dict(_PROPERTY.findall(ioreg()))
    machine = plain_id(told.get("IOPlatformUUID", ""))
    if machine is None:
        raise NoMachineId(
            "this machine has no id: ioreg tells no valid IOPlatformUUID",
            hint=f"try it: {' '.join(_IOREG)}",
        )
    return MachineId(machine=machine, board=board_id(told.get("IOPlatformSerialNumber")))
