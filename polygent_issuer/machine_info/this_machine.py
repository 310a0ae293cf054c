"""Making the document of this machine (FORMAT §4)."""

import json
import platform
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from polygent_issuer.machine_info import machine_id
from polygent_issuer.machine_info.machine_id import MachineId, NoMachineId
from polygent_issuer.terms.dates import instant
from polygent_issuer.text import nfc
from polygent_issuer.verifier.license import display_name_problem

_FORMAT: Final = "polygent-machine-info/1"


def describe(
    *,
    now: datetime,
    customer: str | None = None,
    product_version: str | None = None,
    hostname: str | None = None,
    system: str | None = None,
    root: Path = Path("/"),
    read: Callable[[], MachineId] | None = None,
) -> bytes:
    """Write the `machine-info.json` of this machine; UTF-8, ends with a newline.

    Args:
        now: when the document is made.
        customer: a display name that the document shall propose.
        product_version: of the server that the document shall speak for.
        hostname: instead of the one that the system tells.
        system: what `platform.system()` says by default: Linux, Darwin, Windows.
        root: where a Linux system's files are.
        read: how the ids are read, instead of the system's own way.

    Raises:
        NoMachineId: (`no_machine_id`) when the machine has no valid id.
        InvalidMachineInfo: (`invalid_machine_info`) when a name given here may not stand in one.
    """
    # Commands that only name this module need not pay for pydantic.
    from polygent_issuer.machine_info.document import parse  # noqa: PLC0415

    identity = (read or _reader(system or platform.system(), root))()
    fields = {
        "format": _FORMAT,
        "fingerprint": identity.fingerprint,
        "generatedAt": instant(now),
        "hostname": hostname or _if_showable(platform.node()),
        "os": _if_showable(f"{platform.system()} {platform.release()}"),
        "productVersion": product_version,
        "customer": nfc(customer.strip()) if customer else None,
        "components": identity.components,
    }
    said = {name: value for name, value in fields.items() if value}
    text = json.dumps(said, ensure_ascii=False, indent=2) + "\n"
    data = text.encode("utf-8", "surrogatepass")  # what argv could not decode: refused below
    parse(data)  # what we make, we accept
    return data


def image_id_warning(*, system: str | None = None, root: Path = Path("/")) -> str | None:
    """Warn where the id of this machine is shared by all containers of an image; else None.

    Args:
        system: what `platform.system()` says by default.
        root: where a Linux system's files are.
    """
    return machine_id.image_id_warning(root) if (system or platform.system()) == "Linux" else None


def _reader(system: str, root: Path) -> Callable[[], MachineId]:
    readers: dict[str, Callable[[], MachineId]] = {
        "Linux": lambda: machine_id.read_linux(root),
        "Darwin": machine_id.read_macos,
        "Windows": machine_id.read_windows,
    }
    if system not in readers:
        raise NoMachineId(
            f"this system's machine id is not known to us: {system or 'it has no name'}",
            hint="machine info can be made on Linux, macOS and Windows",
        )
    return readers[system]


def _if_showable(text: str) -> str | None:
    """Leave out what a system calls itself when no document may hold it."""
    trimmed = text.strip()
    return trimmed if display_name_problem(trimmed) is None else None
