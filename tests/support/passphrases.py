"""A passphrase source that remembers what it was asked for."""

from polygent_issuer.keys.passphrases import Passphrase


def ignore(_warning: str) -> None:
    """Ignore warnings that are not the subject of a test."""


class Given(Passphrase):
    """Gives the same passphrase for every purpose.

    Attributes:
        asked: each purpose, with whether it was to be confirmed.
    """

    def __init__(self, secret: bytes) -> None:
        """Take what to give."""
        self._secret = secret
        self.asked: list[tuple[str, bool]] = []

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """The passphrase."""
        self.asked.append((purpose, confirm))
        return self._secret
