"""Create the machine-info document of this machine (FORMAT §4)."""

import json
import platform
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from polygent_issuer.enforcement import machine as machine_id
from polygent_issuer.enforcement.machine import MachineId
from polygent_issuer.errors import InputRefused
from polygent_issuer.terms.dates import instant
from polygent_issuer.text import nfc
from polygent_issuer.verifier.license import display_name_problem

_FORMAT: Final = "polygent-machine-info/1"


class NoMachineId(InputRefused):
    """This machine has no valid id for a fingerprint."""

    code = "no_machine_id"


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
    """Return the `machine-info.json` of this machine; UTF-8, ends with a newline.

    Args:
        now: the time of the document.
        customer: the display name of the customer.
        product_version: the product version of the server.
        hostname: the host name; the default is the system's.
        system: Linux, Darwin or Windows; the default is `platform.system()`.
        root: the root folder of a Linux system.
        read: a function that reads the ids; the default depends on the system.

    Raises:
        NoMachineId: (`no_machine_id`) when the machine has no valid id.
        InvalidMachineInfo: (`invalid_machine_info`) when a given name is not allowed in a document.
    """
    # Imported here, so that other commands do not load pydantic.
    from polygent_issuer.machine_info.document import parse  # noqa: PLC0415

    try:
        identity = (read or _reader(system or platform.system(), root))()
    except machine_id.NoMachineId as error:
        raise NoMachineId(error.message, hint=error.hint) from None
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
    document = {name: value for name, value in fields.items() if value}
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    data = text.encode("utf-8", "surrogatepass")  # bytes that argv could not decode fail below
    parse(data)  # the result must be valid
    return data


def image_id_warning(*, system: str | None = None, root: Path = Path("/")) -> str | None:
    """Return a warning if all containers of an image share the id of this machine, else None.

    Args:
        system: Linux, Darwin or Windows; the default is `platform.system()`.
        root: the root folder of a Linux system.
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
            f"the machine id of this system cannot be read: {system or 'unknown system'}",
            hint="run the command on Linux, macOS or Windows",
        )
    return readers[system]


def _if_showable(text: str) -> str | None:
    """Return a name of the system, or None if it is not allowed in a document."""
    trimmed = text.strip()
    return trimmed if display_name_problem(trimmed) is None else None
