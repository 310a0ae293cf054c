"""A passphrase source that records its calls."""

from collections.abc import Sequence

from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.keys.lifecycle import NewPassphrase
from polygent_issuer.keys.passphrases import Passphrase


def ignore(_warning: str) -> None:
    """Ignore a warning that is not the subject of the test."""


class Given(Passphrase):
    """Returns the same passphrase for every purpose.

    Attributes:
        asked: the purpose and the `confirm` of each call.
    """

    def __init__(self, secret: bytes) -> None:
        """Store the passphrase."""
        self._secret = secret
        self.asked: list[tuple[str, bool]] = []

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """Record the call, and return the passphrase."""
        self.asked.append((purpose, confirm))
        return self._secret


NONE = Consent()


def obtain(findings: Sequence[Finding], consent: Consent) -> Consent:
    """Return the consent if it covers the findings, as without a terminal."""
    require(findings, consent, with_reason=True)
    return consent


def new(source: Passphrase, consent: Consent = NONE, *, shared: bool = False) -> NewPassphrase:
    """Return the source for new passphrases; a weak one needs the consent."""
    return NewPassphrase(source, obtain, consent, shared=shared)
