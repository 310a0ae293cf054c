"""Create the machine-info document of this machine, as any server does (`enforcement.machine`)."""

from datetime import datetime

from polygent_issuer.enforcement import NoMachineInfo, machine_info
from polygent_issuer.enforcement.machine import NO_MACHINE_ID
from polygent_issuer.errors import InputRefused, InvalidMachineInfo


class NoMachineId(InputRefused):
    """This machine has no valid id for a fingerprint."""

    code = NO_MACHINE_ID


def describe(
    *, now: datetime, customer: str | None = None, product_version: str | None = None
) -> bytes:
    """Return the `machine-info.json` of this machine; arguments are those of `machine_info`.

    Raises:
        NoMachineId: (`no_machine_id`) when the machine has no valid id.
        InvalidMachineInfo: (`invalid_machine_info`) when a given name is not allowed in a document.
    """
    try:
        return machine_info(now=now, customer=customer, product_version=product_version)
    except NoMachineInfo as error:
        kind = NoMachineId if error.code == NO_MACHINE_ID else InvalidMachineInfo
        raise kind(error.message, hint=error.hint) from None
