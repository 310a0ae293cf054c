"""What the pretended server's license leads to: paused services, and uploads."""

from dataclasses import dataclass

from polygent_issuer.enforcement import InstallRefused, Refusal
from polygent_issuer.verifier import License


class Background:
    """The queue, the automations and the sync: one stands for all.

    Attributes:
        reason: why they are paused; None while they run.
    """

    reason: Refusal | None = None

    def pause(self, reason: Refusal) -> None:
        """Start nothing more."""
        self.reason = reason

    def resume(self) -> None:
        """Work again."""
        self.reason = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """The last upload: what became of it."""

    installed: License | None = None
    refused: InstallRefused | None = None
