"""The allowed keyrings, one class each: look without a prompt, unlock, read, write.

`keyring` reads and writes; what it cannot do, look without prompting and clean up after a refused
prompt, each class does with what its system offers. Every method may wait for ever: the caller
sets the deadline. Errors are whatever the libraries raise: the caller translates.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from polygent_issuer.keys import keyring_allowlist

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

SERVICE: Final = "polygent-issuer"
_NO_SUCH_ITEM: Final = 44  # security(1), errSecItemNotFound


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyStatus:
    """What a look without a prompt has shown.

    Attributes:
        found: whether the key was seen.
        locked: whether the keyring is locked; some show nothing while they are.
    """

    found: bool
    locked: bool


class SystemKeyring:
    """A keyring through its backend: one entry per key, the user name being the kid."""

    backend_name: ClassVar[str]

    def __init__(self) -> None:
        """Make the backend, or say why it may not be used."""
        self._backend: KeyringBackend = keyring_allowlist.make(self.backend_name)

    def survey(self, kid: str) -> KeyStatus | None:
        """Look for a key without a prompt; None when this keyring is not running here."""
        return KeyStatus(found=self.read(kid) is not None, locked=False)

    def unlock(self) -> bool:
        """Have the person unlock the keyring, if it is locked; False when that was refused."""
        return True

    def read(self, kid: str) -> str | None:
        """The entry of a key; may prompt."""
        return self._backend.get_password(SERVICE, kid)

    def write(self, kid: str, text: str) -> None:
        """Write the entry of a key, replacing one of the same kid; may prompt."""
        self._backend.set_password(SERVICE, kid, text)


class SecretServiceKeyring(SystemKeyring):
    """The Secret Service over D-Bus: GNOME Keyring, KeePassXC, newer KWallet."""

    backend_name = keyring_allowlist.SECRET_SERVICE

    def survey(self, kid: str) -> KeyStatus | None:
        """Look in the default collection; searching and asking for the lock never prompt."""
        try:
            import secretstorage  # noqa: PLC0415 -- only where there is a D-Bus
        except ImportError:
            return None
        try:
            bus = secretstorage.dbus_init()
        except (OSError, RuntimeError, secretstorage.SecretStorageException):
            return None
        with closing(bus):
            if not secretstorage.check_service_availability(bus):
                return None
            try:
                collection = secretstorage.Collection(bus)
            except secretstorage.ItemNotFoundException:
                return KeyStatus(found=False, locked=False)
            items = collection.search_items({"service": SERVICE, "username": kid})
            return KeyStatus(found=any(True for _ in items), locked=collection.is_locked())

    def unlock(self) -> bool:
        """Unlock the default collection, or make it."""
        import secretstorage  # noqa: PLC0415 -- likewise

        with closing(secretstorage.dbus_init()) as bus:
            collection = secretstorage.get_default_collection(bus)
            if collection.is_locked():
                collection.unlock()
            return not collection.is_locked()

    def read(self, kid: str) -> str | None:
        """The entry in the default collection, which `unlock` has unlocked."""
        return self._in_default_collection(partial(super().read, kid))

    def write(self, kid: str, text: str) -> None:
        """Write the entry in the default collection."""
        self._in_default_collection(partial(super().write, kid, text))

    def _in_default_collection(self, call: Callable[[], T]) -> T:
        """Run the backend on a collection that is opened here and closed whatever happens."""
        import secretstorage  # noqa: PLC0415 -- likewise

        with closing(secretstorage.dbus_init()) as bus:
            backend: Any = self._backend
            backend.get_preferred_collection = partial(secretstorage.Collection, bus)
            return call()


class KWalletKeyring(SystemKeyring):
    """KWallet over its own D-Bus interface, where dbus-python is installed."""

    backend_name = keyring_allowlist.KWALLET

    def survey(self, kid: str) -> KeyStatus | None:
        """Ask the daemon; `keyDoesNotExist` and `isOpen` answer without opening the wallet."""
        if not self._backend.viable:
            return None
        dbus: Any = import_module("dbus")
        kwallet: Any = self._backend
        remote = dbus.SessionBus().get_object(kwallet.bus_name, kwallet.object_path)
        interface = dbus.Interface(remote, "org.kde.KWallet")
        wallet = interface.networkWallet()
        missing = bool(interface.keyDoesNotExist(wallet, SERVICE, kid))
        return KeyStatus(found=not missing, locked=not interface.isOpen(wallet))

    def unlock(self) -> bool:
        """Open the wallet."""
        kwallet: Any = self._backend
        return bool(kwallet.connected(SERVICE))


class MacOSKeyring(SystemKeyring):
    """The login keychain."""

    backend_name = keyring_allowlist.MACOS
    security: ClassVar[str] = "/usr/bin/security"

    def survey(self, kid: str) -> KeyStatus | None:
        """Ask security(1) for the attributes alone, which needs no permission of the person."""
        command = [self.security, "find-generic-password", "-s", SERVICE, "-a", kid]
        status = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True
        ).returncode
        if status not in (0, _NO_SUCH_ITEM):
            return None
        return KeyStatus(found=status == 0, locked=False)


class WindowsKeyring(SystemKeyring):
    """The Windows Credential Manager of this person on this machine; reading never prompts."""

    backend_name = keyring_allowlist.WINDOWS


def for_platform(platform: str = sys.platform) -> tuple[SystemKeyring, ...]:
    """The keyrings that may hold keys here, the preferred one first.

    Args:
        platform: as `sys.platform` has it.

    Raises:
        UnsafeBackend: (`unsafe_backend`) when the environment has bent one of them.
        KeyringAbsent: (`keyring_absent`) when a backend is not installed.
    """
    if platform == "darwin":
        return (MacOSKeyring(),)
    if platform == "win32":
        return (WindowsKeyring(),)
    return (SecretServiceKeyring(), KWalletKeyring())
