"""The allow-list of keyring backends, and each keyring."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from keyring.backends import SecretService, kwallet, macOS, null

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import keyring_backends
from polygent_issuer.keys.keyring_store import KeyringStore
from polygent_issuer.keys.signer import Presence, generate_private_key
from polygent_issuer.verifier.keys import Key


@pytest.mark.parametrize(
    "name",
    [
        "keyring.backends.null.Keyring",
        "keyring.backends.fail.Keyring",
        "keyring.backends.chainer.ChainerBackend",
        "keyring.backends.libsecret.Keyring",
        "keyring.backends.kwallet.DBusKeyringKWallet4",
        "keyrings.alt.file.PlaintextKeyring",
        "keyrings.alt.file.EncryptedKeyring",
        "",
    ],
)
def test_any_other_backend_is_refused(name: str) -> None:
    """Only the four listed classes are accepted; null, fail, chainer and plain text are not."""
    with pytest.raises(KeyUnavailable) as raised:
        keyring_backends.make(name)
    assert raised.value.code == "unsafe_backend"
    assert name in raised.value.message


def test_a_class_that_poses_as_an_allowed_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact class counts, not the name under which it is found."""
    monkeypatch.setattr(SecretService, "Keyring", null.Keyring)
    with pytest.raises(
        KeyUnavailable,
        check=lambda error: error.code == "unsafe_backend",
        match=r"keyring\.backends\.null\.Keyring",
    ):
        keyring_backends.make(keyring_backends.SECRET_SERVICE)


def test_a_subclass_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class derived from a supported one is refused."""

    class Derived(SecretService.Keyring):
        """A subclass, which could do anything."""

    monkeypatch.setattr(SecretService, "Keyring", Derived)
    with pytest.raises(
        KeyUnavailable, check=lambda error: error.code == "unsafe_backend", match="Derived"
    ):
        keyring_backends.make(keyring_backends.SECRET_SERVICE)


def test_a_backend_that_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module without the class is reported with an alternative."""
    monkeypatch.delattr(SecretService, "Keyring")
    with pytest.raises(KeyUnavailable) as raised:
        keyring_backends.make(keyring_backends.SECRET_SERVICE)
    assert raised.value.code == "keyring_absent"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (keyring_backends.SECRET_SERVICE, {"appid": "polygent-issuer", "scheme": "default"}),
        (
            keyring_backends.KWALLET,
            {
                "appid": "polygent-issuer",
                "handle": -1,
                "bus_name": "org.kde.kwalletd5",
                "object_path": "/modules/kwalletd5",
            },
        ),
        (keyring_backends.MACOS, {"keychain": None}),
    ],
)
def test_an_instance_has_our_attributes_and_no_others(
    name: str, kept: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attributes from KEYRING_PROPERTY_* are removed from the instance."""
    for attribute in (*kept, "get_password", "preferred_collection", "schemes", "wallet"):
        monkeypatch.setenv(f"KEYRING_PROPERTY_{attribute.upper()}", "elsewhere")
    assert vars(keyring_backends.make(name)) == kept


def test_the_environment_does_not_choose_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHON_KEYRING_BACKEND, which `keyring` uses, is ignored."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    assert type(keyring_backends.make(keyring_backends.SECRET_SERVICE)) is SecretService.Keyring
    assert type(keyring_backends.make(keyring_backends.KWALLET)) is kwallet.DBusKeyring


AMPLE = timedelta(seconds=30)

Pair = tuple[ec.EllipticCurvePrivateKey, Key]
Entries = dict[tuple[str, str], str]


@pytest.fixture
def pair() -> Pair:
    """A new key."""
    private_key = generate_private_key()
    return private_key, Key.from_public_key(private_key.public_key())


def store(platform: str) -> KeyringStore:
    """Return the keyring store of a platform."""
    return KeyringStore(timeout=AMPLE, keyrings=keyring_backends.for_platform(platform))


def saved_and_loaded(platform: str, pair: Pair) -> None:
    """Save a key in a keyring and load it."""
    private_key, key = pair
    assert store(platform).presence(key.kid) is Presence.ABSENT
    store(platform).save(private_key, label="main")
    assert store(platform).presence(key.kid) is Presence.PRESENT
    assert key.verifies(store(platform).load(key).sign(b"data"), b"data")


@pytest.mark.parametrize("platform", ["linux", "freebsd14"])
def test_on_unix_the_secret_service_comes_before_kwallet(platform: str) -> None:
    """Unix has two keyrings, the Secret Service first."""
    first, second = keyring_backends.for_platform(platform)
    assert isinstance(first, keyring_backends.SecretServiceKeyring)
    assert isinstance(second, keyring_backends.KWalletKeyring)


class _SecurityError(Exception):
    """The exception of keyring's `api` module."""


@pytest.fixture
def keychain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entries:
    """A simulated keychain: the Security framework's functions and security(1)."""
    entries: Entries = {}
    security = tmp_path / "security"
    listing = tmp_path / "listing"

    def publish() -> None:
        listing.write_text("".join(f"find-generic-password -s {s} -a {a}\n" for s, a in entries))

    def write(_name: object, service: str, account: str, secret: str) -> None:
        entries[service, account] = secret
        publish()

    def find(_name: object, service: str, account: str) -> str:
        if (service, account) not in entries:
            raise api.NotFound
        return entries[service, account]

    api = SimpleNamespace(
        set_generic_password=write,
        find_generic_password=find,
        Error=_SecurityError,
        NotFound=type("NotFound", (_SecurityError,), {}),
        KeychainDenied=type("KeychainDenied", (_SecurityError,), {}),
    )
    publish()
    security.write_text(f'#!/bin/sh\ngrep -qxF -- "$*" {listing} || exit 44\n')
    security.chmod(0o700)
    monkeypatch.setattr(macOS, "api", api, raising=False)
    monkeypatch.setattr(keyring_backends.MacOSKeyring, "security", str(security))
    return entries


def test_macos_stores_a_key_in_the_keychain(
    keychain: Entries, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is named by our service and the kid; security(1) finds it without its secret."""
    monkeypatch.setattr(macOS.Keyring, "keychain", "/elsewhere")  # as KEYCHAIN_PATH would
    saved_and_loaded("darwin", pair)
    assert list(keychain) == [("polygent-issuer", pair[1].kid)]


def test_macos_reports_a_refused_prompt(
    keychain: Entries, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused keychain is reported as locked, not as empty."""
    store("darwin").save(pair[0], label="main")
    assert len(keychain) == 1

    def refuse(*_: object) -> str:
        raise macOS.api.KeychainDenied

    monkeypatch.setattr(macOS.api, "find_generic_password", refuse)
    with pytest.raises(KeyUnavailable) as raised:
        store("darwin").load(pair[1])
    assert raised.value.code == "keyring_locked"


def test_macos_without_security_has_no_keyring(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If security(1) fails otherwise than with "not found", the keyring is absent."""
    security = tmp_path / "security"
    security.write_text("#!/bin/sh\nexit 36\n")
    security.chmod(0o700)
    monkeypatch.setattr(keyring_backends.MacOSKeyring, "security", str(security))
    assert store("darwin").presence(pair[1].kid) is Presence.UNAVAILABLE


@dataclass
class _Credentials:
    """A simulated Windows Credential Manager with the interface of pywin32."""

    CRED_TYPE_GENERIC: int = 1
    CRED_PERSIST_SESSION: int = 1
    CRED_PERSIST_LOCAL_MACHINE: int = 2
    CRED_PERSIST_ENTERPRISE: int = 3
    kept: dict[str, dict[str, object]] = field(default_factory=dict)

    def CredWrite(self, credential: dict[str, object], _flags: int) -> None:  # noqa: N802
        """Store a credential, with the secret in UTF-16 as on Windows."""
        secret = str(credential["CredentialBlob"]).encode("utf-16")
        self.kept[str(credential["TargetName"])] = {**credential, "CredentialBlob": secret}

    def CredRead(self, *, Type: int, TargetName: str) -> dict[str, object]:  # noqa: N802, N803
        """Return a credential, or raise error 1168 if it does not exist."""
        assert Type == self.CRED_TYPE_GENERIC
        if TargetName not in self.kept:
            raise _WindowsError
        return self.kept[TargetName]


class _WindowsError(Exception):
    winerror = 1168
    funcname = "CredRead"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Credentials]:
    """A simulated Credential Manager below keyring's own backend."""
    manager = _Credentials()
    pywin32 = ModuleType("win32ctypes.pywin32")
    vars(pywin32).update(
        win32cred=manager, pywintypes=SimpleNamespace(error=_WindowsError), __path__=[]
    )
    manager_name = {"__name__": "win32cred"}
    vars(manager).update(manager_name)
    monkeypatch.setitem(sys.modules, "win32ctypes", ModuleType("win32ctypes"))
    monkeypatch.setitem(sys.modules, "win32ctypes.pywin32", pywin32)
    monkeypatch.delitem(sys.modules, "keyring.backends.Windows", raising=False)
    import_module("keyring.backends.Windows")
    yield manager
    sys.modules.pop("keyring.backends.Windows", None)


def test_windows_stores_a_key_on_this_machine(
    credentials: _Credentials, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key has local-machine persistence, whatever the environment sets; it does not roam."""
    monkeypatch.setenv("KEYRING_PROPERTY_PERSIST", "enterprise")
    saved_and_loaded("win32", pair)
    (credential,) = credentials.kept.values()
    assert credential["TargetName"] == "polygent-issuer"
    assert credential["UserName"] == pair[1].kid
    assert credential["Persist"] == credentials.CRED_PERSIST_LOCAL_MACHINE


def test_windows_stores_several_keys(credentials: _Credentials) -> None:
    """A second key moves the first entry to another name; both load."""
    for _ in range(3):
        private_key = generate_private_key()
        key = Key.from_public_key(private_key.public_key())
        saved_and_loaded("win32", (private_key, key))
    assert len(credentials.kept) == 3
    assert {entry["Persist"] for entry in credentials.kept.values()} == {2}


class _KWallet:
    """A simulated KWallet daemon and its bus."""

    def __init__(self) -> None:
        self.entries: Entries = {}
        self.is_open = True
        self.opens = True
        self.applications: set[str] = set()

    def name_has_owner(self, name: str) -> bool:
        """Report a running daemon."""
        return name == "org.kde.kwalletd5"

    def list_activatable_names(self) -> list[str]:
        """Report an activatable daemon."""
        return ["org.kde.kwalletd5"]

    def get_object(self, name: str, path: str) -> "_KWallet":
        """Return the daemon."""
        assert (name, path) == ("org.kde.kwalletd5", "/modules/kwalletd5")
        return self

    def networkWallet(self) -> str:  # noqa: N802 -- KWallet's name
        """Return the default wallet."""
        return "kdewallet"

    def isOpen(self, wallet: object) -> bool:  # noqa: N802 -- KWallet's name
        """Accept a name or a handle."""
        assert wallet in ("kdewallet", 7)
        return self.is_open

    def keyDoesNotExist(self, wallet: str, folder: str, key: str) -> bool:  # noqa: N802
        """Look up a key; works with a closed wallet."""
        assert wallet == "kdewallet"
        return (folder, key) not in self.entries

    def open(self, _wallet: str, _window: int, application: str) -> int:
        """Ask the operator."""
        self.applications.add(application)
        self.is_open = self.is_open or self.opens
        return 7 if self.is_open else -1

    def hasFolder(self, *_: object) -> bool:  # noqa: N802 -- KWallet's name
        """Report no folder of an old version."""
        return False

    def hasEntry(self, _handle: int, folder: str, key: str, _application: str) -> bool:  # noqa: N802
        """Look up an entry in the open wallet."""
        return (folder, key) in self.entries

    def readPassword(self, _handle: int, folder: str, key: str, _application: str) -> str:  # noqa: N802
        """Read from the open wallet."""
        return self.entries[folder, key]

    def writePassword(  # noqa: N802 -- KWallet's name
        self, _handle: int, folder: str, key: str, secret: str, _application: str
    ) -> int:
        """Write to the open wallet."""
        self.entries[folder, key] = secret
        return 0


@pytest.fixture
def wallet(monkeypatch: pytest.MonkeyPatch) -> _KWallet:
    """A simulated KWallet, without a Secret Service."""
    daemon = _KWallet()
    dbus = ModuleType("dbus")
    vars(dbus).update(
        SessionBus=lambda **_: daemon,
        Interface=lambda remote, _name: remote,
        DBusException=type("DBusException", (Exception,), {}),
    )
    monkeypatch.setitem(sys.modules, "dbus", dbus)
    monkeypatch.setattr(kwallet, "dbus", dbus, raising=False)
    monkeypatch.setattr(kwallet, "DBusGMainLoop", lambda: None, raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    return daemon


def test_kwallet_stores_a_key_without_a_secret_service(wallet: _KWallet, pair: Pair) -> None:
    """KWallet is used, under our name, without a Secret Service."""
    saved_and_loaded("linux", pair)
    assert list(wallet.entries) == [("polygent-issuer", pair[1].kid)]
    assert wallet.applications == {"polygent-issuer"}


def test_kwallet_reports_a_closed_wallet(wallet: _KWallet, pair: Pair) -> None:
    """A closed wallet shows that the key exists, and must be opened by the operator."""
    store("linux").save(pair[0], label="main")
    wallet.is_open = wallet.opens = False
    assert store("linux").presence(pair[1].kid) is Presence.LOCKED
    with pytest.raises(KeyUnavailable) as raised:
        store("linux").load(pair[1])
    assert raised.value.code == "keyring_locked"
    wallet.opens = True
    assert store("linux").load(pair[1]).kid == pair[1].kid


def test_kwallet_without_dbus_python_is_not_running(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dbus-python, KWallet counts as not running."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.delattr(kwallet, "dbus", raising=False)
    assert store("linux").presence(pair[1].kid) is Presence.UNAVAILABLE


def test_without_secretstorage_the_secret_service_is_absent(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing library counts as a keyring that is not running."""
    monkeypatch.setitem(sys.modules, "secretstorage", None)
    assert store("linux").presence(pair[1].kid) is Presence.UNAVAILABLE
