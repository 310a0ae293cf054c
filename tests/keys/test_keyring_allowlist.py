"""Which keyring backends may hold a key, and that nothing bends them."""

import pytest
from keyring.backends import SecretService, kwallet, null

from polygent_issuer.keys import keyring_backends
from polygent_issuer.keys.errors import KeyringAbsent, UnsafeBackend


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
    """Only the four classes of the list; null, fail, chainer and plain text are not on it."""
    with pytest.raises(UnsafeBackend) as raised:
        keyring_backends.make(name)
    assert raised.value.code == "unsafe_backend"
    assert name in raised.value.message


def test_a_class_that_poses_as_an_allowed_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact class counts, not the name under which it is found."""
    monkeypatch.setattr(SecretService, "Keyring", null.Keyring)
    with pytest.raises(UnsafeBackend, match=r"keyring\.backends\.null\.Keyring"):
        keyring_backends.make(keyring_backends.SECRET_SERVICE)


def test_a_subclass_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class derived from an allowed one is another class."""

    class Derived(SecretService.Keyring):
        """Could do anything."""

    monkeypatch.setattr(SecretService, "Keyring", Derived)
    with pytest.raises(UnsafeBackend, match="Derived"):
        keyring_backends.make(keyring_backends.SECRET_SERVICE)


def test_a_backend_that_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module without the class says what else can be done."""
    monkeypatch.delattr(SecretService, "Keyring")
    with pytest.raises(KeyringAbsent) as raised:
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
    """What KEYRING_PROPERTY_* put into the instance is gone."""
    for attribute in (*kept, "get_password", "preferred_collection", "schemes", "wallet"):
        monkeypatch.setenv(f"KEYRING_PROPERTY_{attribute.upper()}", "elsewhere")
    assert vars(keyring_backends.make(name)) == kept


def test_the_class_itself_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHON_KEYRING_BACKEND, which `keyring` goes by, is not asked."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    assert type(keyring_backends.make(keyring_backends.SECRET_SERVICE)) is SecretService.Keyring
    assert type(keyring_backends.make(keyring_backends.KWALLET)) is kwallet.DBusKeyring
