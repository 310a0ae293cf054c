"""New passphrases: a short one needs consent."""

from collections.abc import Callable, Sequence
from typing import Final, TypedDict, TypeVar

from polygent_issuer.findings import Consent, ConsentNeeded, Finding, FindingCode
from polygent_issuer.keys.passphrases import Passphrase, TerminalPassphrase

_AMPLE: Final = 12  # characters

T = TypeVar("T")


class Agreed(TypedDict):
    """The accepted findings and the reason of a journal row."""

    accepted: tuple[FindingCode, ...]
    reason: str | None


class NewPassphrase(Passphrase):
    """A source whose new passphrases need consent if they are short.

    If a key file and its backup share the passphrase, it is asked for once.
    """

    __slots__ = ("_consent", "_findings", "_new", "_obtain", "_shared", "_source")

    def __init__(
        self,
        source: Passphrase,
        obtain: Callable[[Sequence[Finding], Consent], Consent],
        consent: Consent,
        *,
        shared: bool = False,
    ) -> None:
        """Store the arguments; the source is not read yet.

        `obtain` returns the consent to findings, or raises `ConsentNeeded`.
        """
        self._source = source
        self._obtain = obtain
        self._shared = shared
        self._new: bytes | None = None
        self._consent = consent
        self._findings: tuple[Finding, ...] = ()

    @property
    def agreed(self) -> Agreed:
        """The accepted code and the reason, for the journal row of the key."""
        return {"accepted": self._consent.used(self._findings), "reason": self._consent.reason}

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """Return the passphrase of the source; a declined one at a terminal is asked for again.

        Raises:
            ConsentNeeded: (`consent_needed`) for a short new passphrase.
        """
        if not confirm:
            return self._source.get(purpose)
        if self._shared and self._new is not None:
            return self._new
        what = "the new key file and its backup" if self._shared else purpose
        while True:
            secret = self._source.get(what, confirm=True)
            try:
                self._require_ample(secret)
            except ConsentNeeded:
                if not isinstance(self._source, TerminalPassphrase):
                    raise
            else:
                self._new = secret
                return secret

    def unlock(self, purpose: str, attempt: Callable[[bytes], T]) -> T:
        """Unlock with the source."""
        return self._source.unlock(purpose, attempt)

    def _require_ample(self, secret: bytes) -> None:
        if self._findings or len(secret.decode(errors="replace")) >= _AMPLE:
            return
        weak = Finding(
            code=FindingCode.WEAK_PASSPHRASE,
            message=f"the new passphrase has fewer than {_AMPLE} characters",
            hint="choose a longer one, such as several words",
        )
        self._consent = self._obtain((weak,), self._consent)
        self._findings = (weak,)
