"""Linux: `/etc/machine-id` (machine-id(5)), D-Bus's older file, the DMI tables in sysfs."""

import re
from pathlib import Path
from typing import Final

from polygent_issuer.machine_info.machine_id import MachineId, NoMachineId, board_id, plain_id

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


def read(root: Path = Path("/")) -> MachineId:
    """Read the ids of a Linux system.

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
