"""Keys in a hardware token, by PKCS#11: the private key is made there and stays there.

So it has no copy, and its PIN is a secret of its own. The library that speaks PKCS#11 is an extra
(`polygent-issuer[pkcs11]`); it is imported when a token is really used.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer import store_uri
from polygent_issuer.errors import (
    InvalidStore,
    IssuerError,
    KeyUnavailable,
    OutputExists,
    UsageProblem,
)
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import Presence, StoreEntry, public_key_of
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape
from polygent_issuer.verifier.keys import Key

if TYPE_CHECKING:
    from polygent_issuer.keys.pkcs11_session import TokenSession, TokenSigner


class Pkcs11Store:
    """One token, or one key in it: an id or a label of `place` narrows it, except for a new key.

    The passphrase is the user PIN; the timeout is of each call into the module.
    """

    def __init__(
        self,
        place: TokenUri,
        *,
        passphrase: Passphrase,
        timeout: timedelta,
        warn: Callable[[str], None],
    ) -> None:
        """Load nothing yet."""
        self._place = place
        self._passphrase = passphrase
        self._timeout = timeout
        self._warn = warn

    @property
    def uri(self) -> str:
        """The URI in its one spelling."""
        return self._place.uri

    def require_room(self) -> None:
        """Check without the PIN what generating or storing a key would refuse in any case.

        Raises:
            KeyUnavailable: (`token_library_missing`, `module_unusable`, `token_absent`,
                `token_ambiguous`, `token_timeout`, `pin_locked`, `pin_final_try`, `pin_not_set`,
                `token_read_only`, `mechanism_missing`).
        """
        with self._session(self._place.of_token) as session:
            session.require_ready(writing=True)

    def require_ready(self) -> None:
        """Check what `load` and `adopt` would refuse before they ask for the PIN."""
        with self._session(self._place) as session:
            session.require_ready()

    def load(self, pinned: Key) -> "TokenSigner":
        """Unlock the private key of a pinned public key; the caller closes the signer.

        Raises:
            KeyUnavailable: as `require_room`, before anybody is asked; (`no_such_key`,
                `key_ambiguous`, `key_mismatch`) when the token does not hold just this key;
                (`passphrase_needed`, `passphrase_refused`, `pin_incorrect`).
        """
        session = self._session(self._place)
        try:
            if visible := session.public_keys():  # what can be refused without the PIN is
                session.match(visible, pinned)
            session.require_ready()
            session.log_in(self._passphrase, warn=self._warn)
            return session.signer(session.match(session.public_keys(), pinned), pinned)
        except BaseException:
            session.close()
            raise

    def presence(self, kid: str) -> Presence:
        """Return whether the token shows a public key; no PIN is given. Never raises."""
        try:
            with self._session(self._place) as session:
                stored = [public.key for public in session.public_keys()]
        except IssuerError:
            return Presence.UNAVAILABLE
        is_there = any(key is not None and key.kid == kid for key in stored)
        return Presence.PRESENT if is_there else Presence.ABSENT

    @contextmanager
    def generating(self, *, label: str) -> Iterator[StoreEntry]:
        """Generate a key pair in the token; it is destroyed again if the block fails.

        Raises:
            KeyUnavailable: (`not_kept`) when the private key could leave the token;
                (`key_mismatch`) when its probe does not verify; as `load` and `require_room`.
        """
        with self._writing() as session, self._destroyed_on_failure(session, label) as made:
            yield _proven(session, session.generate(label, made))

    @contextmanager
    def taking(
        self, private_key: ec.EllipticCurvePrivateKey, *, label: str
    ) -> Iterator[StoreEntry]:
        """Put a key of this process into the token; it is destroyed again if the block fails.

        Raises:
            OutputExists: (`output_exists`) when the token holds this key already.
            KeyUnavailable: as `generating`.
        """
        key = public_key_of(private_key)
        with self._writing() as session:
            for public in session.public_keys():
                if public.key == key:
                    raise OutputExists(
                        f"{session.name} holds this key already",
                        hint=run("key", "import", session.exact_uri(public)),
                    )
            with self._destroyed_on_failure(session, label) as made:
                session.store(private_key, label, made)
                yield _proven(session, key)

    def adopt(self) -> StoreEntry:
        """Return the one P-256 key in the token that matches the URI; it stays as it is.

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
                    "the token would give this private key away (it is extractable, or not "
                    "sensitive), so it is no safer there than in a file"
                )
            return StoreEntry(key=key, uri=session.exact_uri(public), label=public.label)

    @contextmanager
    def _destroyed_on_failure(self, session: "TokenSession", label: str) -> Iterator[list[Any]]:
        """Collect the new objects; when the block fails, destroy them, or else warn of them."""
        made: list[Any] = []
        try:
            yield made
        except BaseException:
            try:
                session.destroy(made)
            except KeyUnavailable:
                self._warn(
                    f"{session.name} may hold a key {escape(label)} that nothing here names; "
                    f"look, and delete it: {session.list_command}"
                )
            raise

    @contextmanager
    def _writing(self) -> "Iterator[TokenSession]":
        """Open the token for new objects, whatever key the URI names."""
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
            hint="pip install 'polygent-issuer[pkcs11]'",
            code="token_library_missing",
        )


def _proven(session: "TokenSession", key: Key) -> StoreEntry:
    public = session.match(session.public_keys(), key)
    signer = session.signer(public, key)
    if not signer.stays_inside():
        raise KeyUnavailable(
            "the token would give the private half away",
            hint="name another token for the key",
            code="not_kept",
        )
    signer.prove()
    return StoreEntry(key=key, uri=session.exact_uri(public), label=public.label)


def is_in_token(store: str) -> bool:
    """Return whether a store URI names a token.

    Raises:
        InvalidStore: (`invalid_store`) for another text.
    """
    return isinstance(store_uri.parse(store), TokenUri)


def check_new_key_uri(store: str) -> None:
    """Check that the store of a new key does not name one key in a token.

    Raises:
        InvalidStore: (`invalid_store`) when it does, or is not a store URI.
    """
    place = store_uri.parse(store)
    if isinstance(place, TokenUri) and place.names_a_key:
        raise InvalidStore(
            "this store names one key in a token, and a new key gets a name of its own",
            hint=Hint(
                "leave out object and id; or, for a key that is in the token already: ",
                run("key", "import", place.uri),
            ),
        )


def backup_impossible_new(store: str) -> KeyUnavailable:
    """Return the error for a backup of a new key in a token."""
    return KeyUnavailable(
        "a key that is made in a token never leaves it, so it has no backup",
        hint=Hint(
            "say --no-backup; or, to have a backup, make it in a file first and put it into the "
            "token then: ",
            _generate_in_file("LABEL"),
            "; ",
            run("key", "import", "FILE", "--store", store),
        ),
        code="not_extractable",
    )


def backup_impossible_existing(label: str) -> KeyUnavailable:
    """Return the error for a backup of an existing key in a token."""
    return KeyUnavailable(
        f"the key {escape(label)} is in a token, which does not give it away: there is no backup "
        "to be made of it",
        hint=Hint(
            "be ready for its loss with a second key that the servers know, too: ",
            _generate_in_file("spare"),
        ),
        code="not_extractable",
    )


def require_ready(settings: Settings, place: TokenUri) -> None:
    """Check that a token is available and can be unlocked, without a prompt.

    Raises:
        KeyUnavailable: each code of `Pkcs11Store.require_ready`.
    """
    Pkcs11Store(
        place,
        passphrase=passphrases.NoPassphrase(),
        timeout=settings.keyring_timeout,
        warn=lambda _: None,
    ).require_ready()


def require_secret_for_token(passphrase: Passphrase, others: Sequence[str]) -> None:
    """Check that a token does not get another secret as its PIN, which would count as a wrong one.

    `others` are what else needs a secret in the same command: file, backup.

    Raises:
        UsageProblem: (`usage`) when one secret would have to serve for both.
    """
    if others and passphrases.is_shared(passphrase):
        raise UsageProblem(
            f"the {others[0]}'s passphrase and the token's PIN are two secrets; one was given",
            hint="run it on a terminal without --passphrase-fd, --passphrase-file, "
            "--passphrase-command and POLYGENT_ISSUER_PASSPHRASE_FILE: it asks for each"
            + ("; or say --no-backup" if others == ["backup"] else ""),
        )


def _generate_in_file(label: str) -> Hint:
    place = store_uri.EXAMPLE_FILE_URI
    return run("key", "generate", label, "--store", place, "--backup", "FILE")
