"""What the control strip moves, and what the server is told meanwhile."""

from dataclasses import dataclass
from datetime import timedelta

from polygent_issuer.enforcement import InstallRefused, Refusal
from polygent_issuer.verifier import AllowedDomain, License


@dataclass(kw_only=True, slots=True)
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


@dataclass(kw_only=True, slots=True)
class Pretended:
    """A server that was never used, until it is moved.

    Attributes:
        ahead: of the true time.
        host: the Host header of every request; None: one that the license allows.
        attempt: the last upload, until it was shown.
    """

    ahead: timedelta = timedelta(0)
    fingerprint: str
    host: str | None = None
    attempt: Attempt | None = None


def host_within(allowed: AllowedDomain | None) -> str:
    """A host that is allowed: the product's own name below a `*.` domain."""
    if allowed is None:
        return "polygent.example"
    return allowed.text.replace("*", "polygent", 1)
