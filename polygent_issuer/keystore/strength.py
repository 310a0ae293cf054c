"""New passphrases that are too short to protect much: said, not refused."""

from collections.abc import Callable
from typing import Final

from polygent_issuer.keystore.passphrases import Passphrase, T

AMPLE: Final = 12
"""Characters from which on nothing is said."""


class Judged(Passphrase):
    """A source whose new passphrases are looked at.

    Args:
        source: gives them.
        warn: is told, once, of a new one that is short.
    """

    __slots__ = ("_source", "_told", "_warn")

    def __init__(self, source: Passphrase, warn: Callable[[str], None]) -> None:
        """Ask nothing yet."""
        self._source = source
        self._warn = warn
        self._told = False

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """What the source gives."""
        secret = self._source.get(purpose, confirm=confirm)
        if confirm and not self._told and len(secret.decode(errors="replace")) < AMPLE:
            self._told = True
            self._warn(f"a short passphrase protects little: {AMPLE} characters or more")
        return secret

    def unlock(self, purpose: str, attempt: Callable[[bytes], T]) -> T:
        """Unlock with the source."""
        return self._source.unlock(purpose, attempt)
