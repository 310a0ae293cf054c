"""Keys in a hardware token through PKCS#11: the private key is generated there and stays there.

Such a key has no backup, and its PIN is a separate secret. The PKCS#11 library is an optional extra
(`polygent-issuer[pkcs11]`), which is imported when a token is used.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import IssuerError, KeyUnavailable, OutputExists, UsageProblem
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import Presence, StoreEntry, public_key_of
from polygent_issuer.store_uri.token import TokenUri
from polygent_issuer.text import Hint, escape, run
from polygent_issuer.verifier.keys import Key

if TYPE_CHECKING:
    from polygent_issuer.keys.pkcs11_session import TokenSession, TokenSigner


class Pkcs11Store:
    """One token, or one key in it if `place` has an id or a label; new keys ignore these.

    The passphrase is the user PIN. The timeout applies to each call into the module.
    """

    def __init__(
        self,
        place: TokenUri,
        *,
        passphrase: Passphrase,
        timeout: timedelta,
        warn: Callable[[str], None],
    ) -> None:
        """Store the arguments; the module is not loaded yet."""
        self._place = place
        self._passphrase = passphrase
        self._timeout = timeout
        self._warn = warn

    @property
    def uri(self) -> str:
        """The URI in its canonical form."""
        return self._place.uri

    def require_room(self) -> None:
        """Check without the PIN whether a key can be generated or stored.

        Raises:
            KeyUnavailable: (`token_library_missing`, `module_unusable`, `token_absent`,
                `token_ambiguous`, `token_timeout`, `pin_locked`, `pin_final_try`, `pin_not_set`,
                `token_read_only`, `mechanism_missing`).
        """
        with self._session(self._place.of_token) as session:
            session.require_ready(writing=True)

    def require_ready(self) -> None:
        """Check without the PIN whether `load` and `adopt` can succeed."""
        with self._session(self._place) as session:
            session.require_ready()

    def load(self, pinned: Key) -> "TokenSigner":
        """Unlock the private key of a pinned public key; the caller closes the signer.

        Raises:
            KeyUnavailable: as `require_room`, before the PIN prompt; (`no_such_key`,
                `key_ambiguous`, `key_mismatch`) unless exactly this key matches;
                (`passphrase_needed`, `passphrase_refused`, `pin_incorrect`).
        """
        session = self._session(self._place)
        try:
            if visible := session.public_keys():  # fail before the PIN prompt if possible
                session.match(visible, pinned)
            session.require_ready()
            session.log_in(self._passphrase, warn=self._warn)
            return session.signer(session.match(session.public_keys(), pinned), pinned)
        except BaseException:
            session.close()
            raise

    def presence(self, kid: str) -> Presence:
        """Return whether the token has a public key; needs no PIN and never raises."""
        try:
            with self._session(self._place) as session:
                stored = [public.key for public in session.public_keys()]
        except IssuerError:
            return Presence.UNAVAILABLE
        is_there = any(key is not None and key.kid == kid for key in stored)
        return Presence.PRESENT if is_there else Presence.ABSENT

    @contextmanager
    def generating(self, *, label: str) -> Iterator[StoreEntry]:
        """Generate a key pair in the token; it is deleted again if the block fails.

        Raises:
            KeyUnavailable: (`not_kept`) when the private key is extractable; (`key_mismatch`) when
                its test signature is invalid; as `load` and `require_room`.
        """
        with self._writing() as session, self._destroyed_on_failure(session, label) as made:
            yield _proven(session, session.generate(label, made))

    @contextmanager
    def taking(
        self, private_key: ec.EllipticCurvePrivateKey, *, label: str
    ) -> Iterator[StoreEntry]:
        """Store a private key in the token; it is deleted again if the block fails.

        Raises:
            OutputExists: (`output_exists`) when the token already holds this key.
            KeyUnavailable: as `generating`.
        """
        key = public_key_of(private_key)
        with self._writing() as session:
            for public in session.public_keys():
                if public.key == key:
                    raise OutputExists(
                        f"{session.name} already holds this key",
                        hint=Hint(
                            "import it from there: ",
                            run("key", "import", session.exact_uri(public)),
                        ),
                    )
            with self._destroyed_on_failure(session, label) as made:
                session.store(private_key, label, made)
                yield _proven(session, key)

    def adopt(self) -> StoreEntry:
        """Return the only P-256 key in the token that matches the URI; it is not changed.

        Raises:
            KeyUnavailable: (`no_such_key`, `key_ambiguous`, `unsupported_key`, `key_mismatch`) and
                as `load`.
        """
        with self._session(self._place) as session:
            session.require_ready()
            session.log_in(self._passphrase, warn=self._warn)
            public, key = session.only()
            signer = session.signer(public, key)
            signer.prove()
            if not signer.stays_inside():
                self._warn(
                    "the token allows this private key to be exported (it is extractable or not "
                    "sensitive), so it is not safer there than in a file"
                )
            return StoreEntry(key=key, uri=session.exact_uri(public), label=public.label)

    @contextmanager
    def _destroyed_on_failure(self, session: "TokenSession", label: str) -> Iterator[list[Any]]:
        """Collect the new objects; if the block fails, delete them, or warn about them."""
        made: list[Any] = []
        try:
            yield made
        except BaseException:
            try:
                session.destroy(made)
            except KeyUnavailable:
                self._warn(
                    f"{session.name} may still hold the key {escape(label)}, which was not "
                    f"recorded; look for it and delete it: {session.list_command}"
                )
            raise

    @contextmanager
    def _writing(self) -> "Iterator[TokenSession]":
        """Open the token for new objects; an id or a label in the URI is ignored."""
        with self._session(self._place.of_token) as session:
            session.require_ready(writing=True)
            session.log_in(self._passphrase, warn=self._warn, writing=True)
            yield session

    def _session(self, place: TokenUri) -> "TokenSession":
        try:
            from polygent_issuer.keys.pkcs11_session import TokenSession  # noqa: PLC0415 -- extra
        except ImportError:
            pass
        else:
            return TokenSession(place, timeout=self._timeout)
        raise KeyUnavailable(
            "keys in a token need the library python-pkcs11, which is not installed",
            hint="install it: pip install 'polygent-issuer[pkcs11]'",
            code="token_library_missing",
        )


def _proven(session: "TokenSession", key: Key) -> StoreEntry:
    public = session.match(session.public_keys(), key)
    signer = session.signer(public, key)
    if not signer.stays_inside():
        raise KeyUnavailable(
            "the token allows the private key to be exported",
            hint="choose another token for the key",
            code="not_kept",
        )
    signer.prove()
    return StoreEntry(key=key, uri=session.exact_uri(public), label=public.label)


def require_secret_for_token(passphrase: Passphrase, others: Sequence[str]) -> None:
    """Check that the token does not get another passphrase as its PIN, a wrong attempt.

    Args:
        others: the other parts of the command that need a secret: file, backup.

    Raises:
        UsageProblem: (`usage`) when the token and another part would share one secret.
    """
    if others and passphrases.is_shared(passphrase):
        raise UsageProblem(
            f"the passphrase of the {others[0]} and the PIN of the token are two secrets, but only "
            "one was given",
            hint="run the command on a terminal without --passphrase-fd, --passphrase-file, "
            "--passphrase-command and POLYGENT_ISSUER_PASSPHRASE_FILE: it asks for both"
            + ("; or add --no-backup" if others == ["backup"] else ""),
        )
