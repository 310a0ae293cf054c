"""Windows: the machine's GUID, and the firmware's UUID, from the system registry."""

import contextlib
import sys
from collections.abc import Callable
from typing import Final

from polygent_issuer.machine_info.machine_id import MachineId, NoMachineId, board_id, plain_id

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


def read(value: Callable[[str, str], str | None] = registry_value) -> MachineId:
    r"""Read the ids of a Windows system.

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
