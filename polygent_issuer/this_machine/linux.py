"""Linux: `/etc/machine-id` (machine-id(5)), D-Bus's older file, the DMI tables in sysfs."""

from pathlib import Path
from typing import Final

from polygent_issuer.this_machine.identity import MachineId, NoMachineId, board_id, plain_id

_MACHINE_IDS: Final = ("etc/machine-id", "var/lib/dbus/machine-id")
# Mostly readable by root alone.
_BOARDS: Final = ("sys/class/dmi/id/product_uuid", "sys/class/dmi/id/board_serial")
# What container engines leave for programs that ask.
_CONTAINER_MARKS: Final = (".dockerenv", "run/.containerenv", "run/systemd/container")
_MOST: Final = 256

_IN_A_CONTAINER: Final = (
    "this is a container: run the command on its host, or give it the host's id "
    "(-v /etc/machine-id:/etc/machine-id:ro)"
)
_ON_A_HOST: Final = "as root, systemd-machine-id-setup makes one"


def read(root: Path = Path("/")) -> MachineId:
    """Read the ids of a Linux system.

    The first file that says anything decides: behind a damaged id there is no second opinion.

    Raises:
        NoMachineId: (`no_machine_id`) when there is no id yet, or it is malformed.
    """
    for name in _MACHINE_IDS:
        said = _line(root / name)
        if said in (None, "", "uninitialized"):
            continue
        machine = plain_id(said or "")
        if machine is None:
            raise NoMachineId(f"/{name} holds no valid machine id", hint=_hint(root))
        return MachineId(machine=machine, board=board_id(*(_line(root / b) for b in _BOARDS)))
    raise NoMachineId(
        "this machine has no id: /etc/machine-id is missing, empty or unreadable", hint=_hint(root)
    )


def _hint(root: Path) -> str:
    inside = any((root / mark).exists() for mark in _CONTAINER_MARKS)
    return _IN_A_CONTAINER if inside else _ON_A_HOST


def _line(path: Path) -> str | None:
    """Read a small file without its surrounding white space; None when that is not possible."""
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST).decode("ascii", "replace").strip()
    except OSError:
        return None
