"""What a server's license is worth at one moment."""

from dataclasses import dataclass
from enum import StrEnum

from ..verifier import License


class State(StrEnum):
    """The states of a server's license; the values never change."""

    NONE = "none"
    ACTIVE = "active"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    MACHINE_CHANGED = "machine_changed"
    CLOCK_TAMPERED = "clock_tampered"
    NOT_AUTHENTIC = "not_authentic"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is in force.

    Attributes:
        state: the first check of FORMAT §5 that fails decides.
        license: the installed one, whatever its state; None without one and when it is not
            authentic any more.
        message: why, for the server's admins: it may name machine and license.
    """

    state: State
    license: License | None
    message: str

    @property
    def active(self) -> bool:
        """Whether the product runs."""
        return self.state is State.ACTIVE
