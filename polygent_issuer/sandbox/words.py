"""The words of the full-screen page: what it is called and what is to be done, for each reason."""

from dataclasses import dataclass
from typing import Final

from polygent_issuer.enforcement import State


@dataclass(frozen=True, slots=True)
class Words:
    """The title, the reason, and what an admin and a member do about it.

    Attributes:
        needs_request: whether the vendor needs this server's machine info for it.
    """

    title: str
    why: str
    admin: str
    member: str = "Ask an admin of your organisation; your work is safe and waits for you."
    needs_request: bool = False


_REQUEST: Final = (
    "Download the machine info, send it to your vendor, and upload the license that comes back."
)

OF_STATE: Final = {
    State.NONE: Words(
        "No license yet",
        "This server was never given a license.",
        _REQUEST,
        "Ask an admin of your organisation: the server is not set up yet.",
        needs_request=True,
    ),
    State.EXPIRED: Words(
        "License expired",
        "The license of this server has come to its end.",
        "Upload the renewed license that your vendor sent. It works at once.",
    ),
    State.NOT_YET_VALID: Words(
        "License not valid yet",
        "The license was issued later than this server's clock says.",
        "Compare the server's clock with the true time, and set it right.",
    ),
    State.MACHINE_CHANGED: Words(
        "Machine changed",
        "The license is for another machine than this one: its identity has changed.",
        _REQUEST,
        needs_request=True,
    ),
    State.CLOCK_TAMPERED: Words(
        "Clock set back",
        "This server's clock went back by more than a day.",
        "Set the clock right. If it once ran far ahead, upload a newly issued license.",
    ),
    State.NOT_AUTHENTIC: Words(
        "License not authentic",
        "The key that signed the license is not trusted any more.",
        "Upload the license that your vendor issued in its place.",
    ),
}
"""The words for each state but active."""

OTHER_ADDRESS: Final = Words(
    "Address not covered",
    "The license does not cover the address under which you came.",
    "Come by an address that the license allows, or upload a license for this one.",
    "Come by your organisation's usual address, or ask an admin.",
)
"""The words for one request under a host name that the license does not allow."""
