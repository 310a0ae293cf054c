"""Keys that stay where they are, in services that sign.

A service (`Service`) generates its own keys and makes each signature. This tool only pins a public
key, after a signature that proves the private one. Tokens stay in their place, too, but have their
own store, since they take new keys and need a PIN.

No transaction is open while a signature is awaited (`registry.change`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, NoReturn, TypeVar

from polygent_issuer import store_uri
from polygent_issuer.errors import InvalidStore, IssuerError, KeyUnavailable
from polygent_issuer.keys.signer import (
    PROBE,
    Presence,
    Signer,
    StoreEntry,
    call_store,
    mismatch,
)
from polygent_issuer.store_uri.remote import RemoteUri
from polygent_issuer.store_uri.token import TokenUri
from polygent_issuer.text import Hint, escape, join, run
from polygent_issuer.verifier.jws import SIGNATURE_BYTES
from polygent_issuer.verifier.keys import Key

T = TypeVar("T")


_FEW: Final = 3


class Service(ABC):
    """A service that signs; its calls may block, and raise anything.

    Each call opens and closes what it needs, because one that misses its deadline is abandoned in
    its thread. A call that notices this itself raises `TimeoutExpired`. Any other error that is not
    a `KeyUnavailable` becomes `remote_failed`.

    Attributes:
        at_once: the largest number of signatures in one call.
    """

    at_once: int = 1

    def __init__(self, place: RemoteUri, *, timeout: timedelta) -> None:
        """Store the URI and the deadline of each call; nothing is opened."""
        self._place = place
        self._timeout = timeout

    @abstractmethod
    def keys(self) -> Sequence[StoreEntry]:
        """Return the P-256 keys that match the URI, without a signature or a prompt.

        The URI of each entry names exactly this key. An empty result means `no_such_key`.

        Raises:
            KeyUnavailable: as `absent`, `refused`, and (`unsupported_key`).
        """

    def check_stays(self, entry: StoreEntry) -> None:  # noqa: B027 -- most services know nothing
        """Check without a signature, as far as the service knows, that a key cannot leave it.

        Raises:
            KeyUnavailable: (`remote_exportable`) if it can; as `keys`.
        """

    @abstractmethod
    def sign(self, entry: StoreEntry, items: Sequence[bytes]) -> Sequence[bytes]:
        """Return an ES256 signature, 64 bytes R‖S, of each item; at most `at_once` of them.

        Raises:
            KeyUnavailable: as `absent`, `refused`, and (`no_such_key`).
        """


class RemoteStore:
    """One service, or one key of it if the URI names one.

    Args:
        place: the URI.
        service: of this URI; nothing was called yet.
        timeout: of each call.
    """

    def __init__(self, place: RemoteUri, service: Service, *, timeout: timedelta) -> None:
        """Store the arguments."""
        self._place = place
        self._service = service
        self._timeout = timeout

    @property
    def uri(self) -> str:
        """The URI in its canonical form."""
        return self._place.uri

    @property
    def endpoint(self) -> str:
        """The URI without what names a key, so that it is the same for all keys of a service."""
        options = tuple((name, value) for name, value in self._place.options if name != "version")
        return replace(self._place, key="", options=options).uri

    def require_room(self) -> NoReturn:
        """Refuse a new key (`store_read_only`)."""
        raise read_only(self._place)

    def require_ready(self, pinned: Key | None = None) -> None:
        """Check without a signature that `load` of a key, or `adopt`, can find it.

        A key that can leave its service is refused here, too, although `load` still returns it.
        """
        entry = self._only() if pinned is None else self._find(pinned)
        self.call(lambda: self._service.check_stays(entry))

    def load(self, pinned: Key) -> "RemoteSigner":
        """Return the signer of a pinned public key; nothing is signed yet.

        Raises:
            KeyUnavailable: (`no_such_key`, `key_mismatch`) unless exactly this key matches; as
                `Service.keys`; (`remote_timeout`, `remote_failed`).
        """
        return self._signer(self._find(pinned))

    def presence(self, kid: str) -> Presence:
        """Return whether the service lists a key; it signs nothing and never raises."""
        try:
            entries = self._entries()
        except IssuerError:
            return Presence.UNAVAILABLE
        is_there = any(entry.key.kid == kid for entry in entries)
        return Presence.PRESENT if is_there else Presence.ABSENT

    def adopt(self) -> StoreEntry:
        """Return the only key that matches the URI, after a signature that proves it.

        Raises:
            KeyUnavailable: (`no_such_key`, `key_ambiguous`, `key_mismatch`, `remote_exportable`),
                and as `load` and `RemoteSigner.sign`.
        """
        entry = self._only()
        self.call(lambda: self._service.check_stays(entry))
        if not entry.key.verifies(self._signer(entry).sign(PROBE), PROBE):
            raise KeyUnavailable(
                f"the test signature of the key in {self._place.where} does not verify with its "
                "public key",
                hint=f"check the key there; {self._place.scheme.generating}",
                code="key_mismatch",
            )
        return entry

    def _signer(self, entry: StoreEntry) -> "RemoteSigner":
        return RemoteSigner(self, entry, self._service.at_once)

    def _entries(self) -> Sequence[StoreEntry]:
        return self.call(self._service.keys)

    def _find(self, pinned: Key) -> StoreEntry:
        entries = self._entries()
        for entry in entries:
            if entry.key == pinned:
                return entry
        if entries and self._place.key:
            raise mismatch(entries[0].key, pinned)
        raise missing(self._place, f"the key {self.uri if self._place.key else pinned.kid}")

    def _only(self) -> StoreEntry:
        entries = self._entries()
        if not entries:
            raise missing(self._place, f"the key {self.uri}" if self._place.key else None)
        if len(entries) > 1:
            raise KeyUnavailable(
                f"{len(entries)} keys in {self._place.where} match the store URI",
                hint=Hint(
                    "name one of them: ",
                    join(", or ", [run("key", "import", entry.uri) for entry in entries[:_FEW]]),
                ),
                code="key_ambiguous",
            )
        return entries[0]

    def sign(self, entry: StoreEntry, items: Sequence[bytes]) -> list[bytes]:
        """Sign with one call to the service, and check the form of its answer."""
        signatures = list(self.call(lambda: self._service.sign(entry, items)))
        if [len(each) for each in signatures] != [SIGNATURE_BYTES] * len(items):
            raise failed(self._place, "a signature that is not 64 bytes long")
        return signatures

    def call(self, call: Callable[[], T]) -> T:
        """Run a call within the deadline.

        Raises:
            KeyUnavailable: from `call`; (`remote_timeout`, `remote_failed`).
        """
        return call_store(
            call,
            timeout=self._timeout,
            name=self._place.where,
            code="remote_timeout",
            hint=Hint(
                "answer its prompt, or touch its token, if it waits for that; to allow more time: ",
                run("config", "set", "keyring_timeout", "60s"),
            ),
            translate=lambda error: failed(self._place, f"an error ({type(error).__name__})"),
        )


class RemoteSigner(Signer):
    """A private key in a service, which makes each signature, perhaps after a person agreed.

    Services may randomise ECDSA, so two signatures of the same bytes can differ.
    """

    def __init__(self, store: RemoteStore, entry: StoreEntry, at_once: int) -> None:
        """Store the arguments."""
        self.public_key = entry.key
        self.at_once = at_once
        self._entry = entry
        self._store = store

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S.

        Raises:
            KeyUnavailable: as `Service.sign`; (`remote_timeout`, `remote_failed`).
        """
        return self._store.sign(self._entry, [data])[0]

    def sign_many(self, items: Sequence[bytes]) -> list[bytes]:
        """Sign each of the items as `sign` does, with as few calls to the service as possible."""
        return [
            signature
            for at in range(0, len(items), self.at_once)
            for signature in self._store.sign(self._entry, items[at : at + self.at_once])
        ]


def library_missing(place: RemoteUri, library: str) -> KeyUnavailable:
    """Return the error for a service whose extra is not installed (`remote_library_missing`)."""
    return KeyUnavailable(
        f"keys in {place.where} need the library {library}, which is not installed",
        hint=f"install it: pip install 'polygent-issuer[{place.scheme.name}]'",
        code="remote_library_missing",
    )


def absent(place: RemoteUri, why: str, *, hint: str) -> KeyUnavailable:
    """Return the error for a service that cannot be reached (`remote_absent`)."""
    return KeyUnavailable(
        f"{place.where} cannot be reached: {why}", hint=hint, code="remote_absent"
    )


def no_credentials(place: RemoteUri, why: str, *, hint: str) -> KeyUnavailable:
    """Return the error for a service without a valid login (`remote_credentials`)."""
    return KeyUnavailable(
        f"{place.where} needs a login: {why}", hint=hint, code="remote_credentials"
    )


def exportable(place: RemoteUri, why: str, *, hint: str) -> KeyUnavailable:
    """Return the error for a key that a service can hand out (`remote_exportable`)."""
    return KeyUnavailable(
        f"the key can leave {place.where}: {why}", hint=hint, code="remote_exportable"
    )


def refused(place: RemoteUri, *, hint: str) -> KeyUnavailable:
    """Return the error for a service that refuses to sign or to list (`remote_refused`)."""
    return KeyUnavailable(f"{place.where} refused to sign", hint=hint, code="remote_refused")


def failed(place: RemoteUri, what: str) -> KeyUnavailable:
    """Return the error for an unexpected answer of a service (`remote_failed`)."""
    return KeyUnavailable(
        f"{place.where} returned {what}",
        hint="check the log and the version of the service",
        code="remote_failed",
    )


def missing(place: RemoteUri, what: str | None) -> KeyUnavailable:
    """Return the error for a key, or None for any key, that a service lacks (`no_such_key`)."""
    problem = "no P-256 key is in" if what is None else f"{escape(what)} is not in"
    return KeyUnavailable(f"{problem} {place.where}", hint=place.scheme.missing, code="no_such_key")


def read_only(place: RemoteUri) -> KeyUnavailable:
    """Return the error for a new key in a service (`store_read_only`)."""
    return KeyUnavailable(
        f"{place.where} keeps its own keys: this tool neither generates nor copies keys there",
        hint=Hint(
            f"generate the key there: {place.scheme.generating}; then import it: ",
            run("key", "import", place.scheme.example),
            "; or choose another place with --store",
        ),
        code="store_read_only",
    )


def check_new_key_uri(store: str) -> None:
    """Check that the store URI of a new key does not name an existing key.

    Raises:
        InvalidStore: (`invalid_store`) when it does, or is not a store URI.
        KeyUnavailable: (`store_read_only`) for a place that takes no keys.
    """
    place = store_uri.parse(store)
    if isinstance(place, RemoteUri):
        raise read_only(place)
    if isinstance(place, TokenUri) and place.names_a_key:
        raise InvalidStore(
            "this store URI names an existing key in a token, but a new key gets its own id",
            hint=Hint(
                "remove object and id from the URI; or import the existing key: ",
                run("key", "import", place.uri),
            ),
        )


def backup_impossible_new(store: str) -> KeyUnavailable:
    """Return the error for a backup of a new key in a place that it will never leave."""
    return KeyUnavailable(
        f"keys generated in {store_uri.where(store)} cannot be backed up",
        hint=Hint(
            "add --no-backup; or, to have a backup, generate the key in a file and import it into "
            "the token: ",
            _generate_in_file("LABEL"),
            ", then ",
            run("key", "import", "FILE", "--store", store),
        ),
        code="not_extractable",
    )


def backup_impossible_existing(label: str, store: str) -> KeyUnavailable:
    """Return the error for a backup of an existing key that never leaves its place."""
    return KeyUnavailable(
        f"the key {escape(label)} is stored in {store_uri.where(store)} and cannot be backed up",
        hint=Hint(
            "prepare for its loss with a spare key that your servers also trust: ",
            _generate_in_file("spare"),
        ),
        code="not_extractable",
    )


def _generate_in_file(label: str) -> Hint:
    file = store_uri.EXAMPLE_FILE_URI
    return run("key", "generate", label, "--store", file, "--backup", "FILE")
