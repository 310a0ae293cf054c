"""Keys in a real Secret Service: available, locked, hung, absent or damaged."""

import base64
import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import secretstorage
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.secret_service import SESSION, SecretService, secret_service

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import keyring_store
from polygent_issuer.keys.keyring_backends import KeyStatus, SecretServiceKeyring, SystemKeyring
from polygent_issuer.keys.keyring_store import KeyringStore
from polygent_issuer.keys.signer import Presence, generate_private_key
from polygent_issuer.keys.stores import open_store
from polygent_issuer.verifier.keys import Key

AMPLE = timedelta(seconds=30)
SHORT = timedelta(milliseconds=300)
INTO_FILE = (
    "or import the key into a file: polygent-issue key import BACKUP --store file:~/polygent-keys/"
)
INTO_NEW_FILE = "or store the key in an encrypted file: --store file:~/polygent-keys/"
NULL = "keyring.backends.null.Keyring"

Pair = tuple[ec.EllipticCurvePrivateKey, Key]


def keyring(timeout: timedelta = AMPLE) -> KeyringStore:
    """Return the keyring store as the command line opens it."""
    store = open_store(Settings(keyring_timeout=timeout), "keyring:", warn=pytest.fail)
    assert isinstance(store, KeyringStore)
    return store


def items(path: str | None = None) -> Iterator[tuple[dict[str, str], bytes]]:
    """Return attributes and secret of each item, read without the package."""
    with closing(secretstorage.dbus_init()) as bus:
        collection = (
            secretstorage.Collection(bus) if path is None else secretstorage.Collection(bus, path)
        )
        for item in collection.get_all_items():
            yield item.get_attributes(), item.get_secret()


def put(kid: str, secret: bytes) -> None:
    """Write an entry without the package."""
    with closing(secretstorage.dbus_init()) as bus:
        collection = secretstorage.Collection(bus)
        attributes = {"service": "polygent-issuer", "username": kid, "application": "else"}
        collection.create_item("entry", attributes, secret, replace=True)


def refusal(store: KeyringStore, pinned: Key) -> KeyUnavailable:
    """Return the error of loading a key."""
    with pytest.raises(KeyUnavailable) as raised:
        store.load(pinned)
    return raised.value


@pytest.fixture
def pair() -> Pair:
    """A new key."""
    private_key = generate_private_key()
    return private_key, Key.from_public_key(private_key.public_key())


def test_a_saved_key_is_loaded_and_signs(service: SecretService, pair: Pair) -> None:
    """A saved key is loaded and signs; its public key verifies the signature."""
    private_key, key = pair
    assert not service.is_locked()
    assert keyring().presence(key.kid) is Presence.ABSENT
    assert keyring().save(private_key, label="main") == "keyring:"
    assert keyring().presence(key.kid) is Presence.PRESENT
    signer = keyring().load(key)
    assert signer.kid == key.kid
    assert key.verifies(signer.sign(b"data"), b"data")


def test_the_entry_is_pkcs8_der_in_base64(service: SecretService, pair: Pair) -> None:
    """An entry has our service, the kid as user name, and PKCS#8 DER in base64."""
    private_key, key = pair
    keyring().save(private_key, label="main")
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    ((attributes, secret),) = items()
    assert attributes["service"] == "polygent-issuer"
    assert attributes["username"] == key.kid
    assert attributes["application"] == "polygent-issuer"
    assert base64.b64decode(secret, validate=True) == der
    assert service.environ["HOME"]


@pytest.mark.usefixtures("service")
def test_each_key_has_its_own_entry() -> None:
    """Each kid has its own entry; saving a key again adds none."""
    private_keys = [generate_private_key() for _ in range(3)]
    for private_key in [*private_keys, private_keys[0]]:
        keyring().save(private_key, label="main")
    assert len(list(items())) == 3
    for private_key in private_keys:
        key = Key.from_public_key(private_key.public_key())
        assert keyring().load(key).public_key == key


@pytest.mark.usefixtures("service")
def test_a_missing_key_is_reported(pair: Pair) -> None:
    """A running keyring without the key is not an absent keyring."""
    refused = refusal(keyring(), pair[1])
    assert refused.code == "no_such_key"
    assert pair[1].kid in refused.message
    assert str(refused.hint).endswith(": polygent-issue key import BACKUP")


def test_a_locked_keyring_can_store_a_key(service: SecretService) -> None:
    """A locked keyring passes the check without a prompt; `save` unlocks it."""
    service.lock()
    keyring().require_room()
    assert service.is_locked()


def test_a_locked_keyring_is_reported(service: SecretService, pair: Pair) -> None:
    """A key in a locked keyring is found without a prompt, but cannot be loaded."""
    private_key, key = pair
    keyring().save(private_key, label="main")
    service.lock()
    assert keyring().presence(key.kid) is Presence.LOCKED
    refused = refusal(keyring(), key)
    assert refused.code == "keyring_locked"
    assert refused.message == "the keyring that holds the key is locked and was not unlocked"
    with pytest.raises(KeyUnavailable) as raised:
        keyring().save(generate_private_key(), label="other")
    assert raised.value.code == "keyring_locked"
    assert raised.value.message == "the keyring is locked and was not unlocked"
    assert service.is_locked()


def test_an_unanswered_unlock_prompt_has_a_deadline(service: SecretService, pair: Pair) -> None:
    """An unanswered prompt is reported as locked after the deadline."""
    private_key, key = pair
    keyring().save(private_key, label="main")
    service.lock()
    service.hold_prompts()
    start = time.monotonic()
    assert refusal(keyring(SHORT), key).code == "keyring_locked"
    assert SHORT.total_seconds() <= time.monotonic() - start < 10
    with pytest.raises(KeyUnavailable) as raised:
        keyring(SHORT).save(private_key, label="main")
    assert raised.value.code == "keyring_locked"


def test_presence_never_prompts(service: SecretService, pair: Pair) -> None:
    """`presence` of a locked keyring returns although a prompt would hang."""
    private_key, key = pair
    keyring().save(private_key, label="main")
    service.lock()
    service.hold_prompts()
    assert keyring().presence(key.kid) is Presence.LOCKED
    assert keyring().presence("another") is Presence.LOCKED


def test_a_hung_keyring_has_a_deadline(service: SecretService, pair: Pair) -> None:
    """With a stopped daemon, every call ends with a timeout."""
    private_key, key = pair
    keyring().save(private_key, label="main")
    service.stop()
    start = time.monotonic()
    refused = refusal(keyring(SHORT), key)
    assert refused.code == "keyring_timeout"
    assert "0.3 s" in refused.message
    with pytest.raises(KeyUnavailable) as raised:
        keyring(SHORT).save(private_key, label="main")
    assert raised.value.code == "keyring_timeout"
    assert keyring(SHORT).presence(key.kid) is Presence.UNAVAILABLE
    assert time.monotonic() - start < 10
    service.cont()
    assert keyring().load(key).kid == key.kid


@pytest.mark.parametrize("step", ["probe", "unlock", "write"])
def test_a_keyring_that_hangs_later_has_a_deadline(
    service: SecretService, pair: Pair, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the daemon stops between two calls, the next call ends in time."""
    original = getattr(SecretServiceKeyring, step)

    def stop_after(*arguments: object) -> object:
        result = original(*arguments)
        service.stop()
        return result

    monkeypatch.setattr(SecretServiceKeyring, step, stop_after)
    with pytest.raises(KeyUnavailable) as raised:
        keyring(SHORT).save(pair[0], label="main")
    expected = "keyring_locked" if step == "probe" else "keyring_timeout"
    assert raised.value.code == expected


@pytest.mark.parametrize(
    "address", [None, "", "nonsense", "unix:path=/nowhere/bus", "tcp:host=localhost"]
)
def test_a_missing_session_bus_is_an_absent_keyring(
    address: str | None, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a reachable session bus the keyring is absent, for reading and writing."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    refused = refusal(keyring(), pair[1])
    assert refused.code == "keyring_absent"
    assert refused.hint == f"log in to a desktop session; {INTO_FILE}"
    for put_in in (lambda: keyring().save(pair[0], label="main"), keyring().require_room):
        with pytest.raises(KeyUnavailable) as raised:
            put_in()
        assert raised.value.code == "keyring_absent"
        assert str(raised.value.hint).endswith(INTO_NEW_FILE)
    assert keyring().presence(pair[1].kid) is Presence.UNAVAILABLE


def test_a_bus_without_a_secret_service_is_an_absent_keyring(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a session bus without a Secret Service the keyring is absent."""
    with secret_service(daemon=False) as bus:
        bus.enter(monkeypatch)
        assert refusal(keyring(), pair[1]).code == "keyring_absent"
        assert keyring().presence(pair[1].kid) is Presence.UNAVAILABLE


def test_a_keyring_without_a_default_collection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a default collection the key is missing, and saving needs the operator."""
    with secret_service(unlocked=False) as fresh:
        fresh.enter(monkeypatch)
        assert keyring().presence(pair[1].kid) is Presence.ABSENT
        assert refusal(keyring(), pair[1]).code == "no_such_key"
        with pytest.raises(KeyUnavailable) as raised:
            keyring().save(pair[0], label="main")
        assert raised.value.code == "keyring_locked"


@pytest.mark.parametrize(
    "bent",
    [
        {"PYTHON_KEYRING_BACKEND": NULL},
        {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
        {"KEYRING_PROPERTY_PREFERRED_COLLECTION": SESSION},
        {"KEYRING_PROPERTY_SCHEME": "KeePassXC"},
        {"KEYRING_PROPERTY_SCHEMES": "none"},
        {"KEYRING_PROPERTY_APPID": "another"},
        {"KEYRING_PROPERTY_GET_PASSWORD": "none", "KEYRING_PROPERTY_SET_PASSWORD": "none"},
        {"KEYRING_PROPERTY_GET_PREFERRED_COLLECTION": "none"},
    ],
    ids="-".join,
)
@pytest.mark.usefixtures("service")
def test_the_environment_does_not_choose_the_keyring(
    bent: dict[str, str], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of `keyring` have no effect: the key is in the default keyring."""
    for name, value in bent.items():
        monkeypatch.setenv(name, value)
    private_key, key = pair
    keyring().save(private_key, label="main")
    assert keyring().load(key).kid == key.kid
    ((attributes, _secret),) = items()
    assert attributes["service"] == "polygent-issuer"
    assert attributes["username"] == key.kid
    assert attributes["application"] == "polygent-issuer"
    assert list(items(SESSION)) == []


@pytest.mark.usefixtures("service")
def test_a_variable_that_stops_the_backend_is_named(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A property that breaks the backend is refused, and the hint is to unset it."""
    monkeypatch.setenv("KEYRING_PROPERTY_PRIORITY", "9")
    with pytest.raises(KeyUnavailable) as raised:
        keyring().load(pair[1])
    assert raised.value.code == "unsafe_backend"
    assert raised.value.hint == "unset every KEYRING_PROPERTY_* variable"


def test_the_configuration_file_does_not_choose_the_keyring(
    service: SecretService, pair: Pair
) -> None:
    """`keyringrc.cfg` with the null backend is ignored."""
    folder = Path(service.environ["XDG_CONFIG_HOME"]) / "python_keyring"
    folder.mkdir(parents=True)
    (folder / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={NULL}\n")
    keyring().save(pair[0], label="main")
    assert keyring().load(pair[1]).kid == pair[1].kid
    assert len(list(items())) == 1


@pytest.mark.usefixtures("service")
def test_a_plug_in_does_not_choose_the_keyring(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend from an entry point is not even imported."""
    (tmp_path / "evil_backend.py").write_text("raise SystemExit('imported')\n")
    information = tmp_path / "evil-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[keyring.backends]\nevil = evil_backend\n")
    monkeypatch.syspath_prepend(tmp_path)
    keyring().save(pair[0], label="main")
    assert len(list(items())) == 1


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    "entry", [b"", b"null", b"!!!!", base64.b64encode(b"no key"), "schlüssel".encode()]
)
def test_an_entry_without_a_key_is_refused(entry: bytes, pair: Pair) -> None:
    """An entry of another program under our name is not accepted as a key."""
    put(pair[1].kid, entry)
    assert refusal(keyring(), pair[1]).code == "key_damaged"


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("curve", "code"), [(ec.SECP256R1(), "key_mismatch"), (ec.SECP384R1(), "unsupported_key")]
)
def test_another_key_is_refused(curve: ec.EllipticCurve, code: str, pair: Pair) -> None:
    """A valid key that is not the pinned one never signs."""
    other = ec.generate_private_key(curve)
    der = other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    put(pair[1].kid, base64.b64encode(der))
    assert refusal(keyring(), pair[1]).code == code


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("kept", [None, "another"])
def test_a_key_that_reads_back_differently_is_not_saved(
    kept: str | None, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyring that loses or changes a key is detected at once."""
    monkeypatch.setattr(SecretServiceKeyring, "read", lambda _vault, _kid: kept)
    with pytest.raises(KeyUnavailable) as raised:
        keyring().save(pair[0], label="main")
    assert raised.value.code == "not_kept"


class _Revealing(SystemKeyring):
    """A keyring whose errors quote the secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def probe(self, kid: str) -> KeyStatus | None:
        return KeyStatus(present=bool(kid), locked=False)

    def read(self, kid: str) -> str | None:
        raise UnicodeDecodeError(kid, self._secret.encode(), 0, 1, self._secret)


def test_an_error_of_the_keyring_is_not_passed_on(pair: Pair) -> None:
    """The libraries' errors are replaced by ours, without their text and without a chain."""
    secret = secrets.token_hex(16)
    refused = refusal(KeyringStore(timeout=AMPLE, keyrings=[_Revealing(secret)]), pair[1])
    assert refused.code == "keyring_failed"
    assert "UnicodeDecodeError" in refused.message
    assert str(refused.hint).endswith(f"; {INTO_FILE}")
    assert secret not in f"{refused!r} {refused.message} {refused.hint}"
    assert refused.__cause__ is None
    assert refused.__context__ is None


class _Missing(SystemKeyring):
    """A keyring that is not running."""

    def __init__(self) -> None:
        pass

    def probe(self, kid: str) -> KeyStatus | None:  # noqa: ARG002 -- it looks at nothing
        return None


@pytest.mark.usefixtures("service")
def test_the_next_keyring_is_used_when_one_is_not_running(pair: Pair) -> None:
    """The first running keyring stores the key; loading looks in each."""
    store = KeyringStore(timeout=AMPLE, keyrings=[_Missing(), SecretServiceKeyring()])
    store.save(pair[0], label="main")
    assert store.load(pair[1]).kid == pair[1].kid
    assert store.presence(pair[1].kid) is Presence.PRESENT


class _InMemory(SystemKeyring):
    """A keyring in this process, in second place."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, kid: str) -> str | None:
        return self._text if kid else None


def test_a_bus_without_a_keyring_does_not_hide_the_next_one(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a Secret Service the next keyring is used."""
    held = _InMemory(keyring_store.to_text(pair[0]))
    with secret_service(daemon=False) as bus:
        bus.enter(monkeypatch)
        store = KeyringStore(timeout=AMPLE, keyrings=[SecretServiceKeyring(), held])
        assert store.load(pair[1]).kid == pair[1].kid


@pytest.mark.usefixtures("service")
def test_a_key_can_be_in_the_second_keyring(pair: Pair) -> None:
    """A running keyring without the key does not hide the next one."""
    keyring().save(pair[0], label="main")

    class _Empty(SecretServiceKeyring):
        def probe(self, kid: str) -> KeyStatus | None:  # noqa: ARG002 -- it is empty
            return KeyStatus(present=False, locked=False)

    store = KeyringStore(timeout=AMPLE, keyrings=[_Empty(), SecretServiceKeyring()])
    assert store.load(pair[1]).kid == pair[1].kid
    assert store.presence(pair[1].kid) is Presence.PRESENT
