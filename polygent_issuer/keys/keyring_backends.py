"""The supported keyrings, one class each: probe without a prompt, unlock, read, write.

`keyring` chooses its backend by PYTHON_KEYRING_BACKEND, `keyringrc.cfg`, entry points and
priorities. KEYRING_PROPERTY_* overwrites attributes even of an instance that was made directly.
None of these may decide where a signing key is stored: a null backend loses the key, a plain-text
one discloses it, and another collection hides it. Therefore each backend class is named exactly and
instantiated directly. Its attributes are cleared and set to fixed values.

`keyring` can read and write. It cannot look for an entry without a prompt, nor clean up after a
dismissed prompt, so each class does that through its system's own interface. Every method may
block: the caller sets the deadline. The libraries' exceptions pass through: the caller translates
them.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.store_uri import EXAMPLE_FILE_URI
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

SERVICE: Final = "polygent-issuer"
INTO_FILE: Final = Hint(
    "or import the key into a file: ", run("key", "import", "BACKUP", "--store", EXAMPLE_FILE_URI)
)
"""The end of a hint when the key is in a keyring that is not available."""

SECRET_SERVICE: Final = "keyring.backends.SecretService.Keyring"  # noqa: S105 -- a class name
KWALLET: Final = "keyring.backends.kwallet.DBusKeyring"
MACOS: Final = "keyring.backends.macOS.Keyring"
WINDOWS: Final = "keyring.backends.Windows.WinVaultKeyring"

ALLOWED: Final[Mapping[str, Mapping[str, object]]] = {
    SECRET_SERVICE: {"appid": SERVICE, "scheme": "default"},
    KWALLET: {
        "appid": SERVICE,
        "handle": -1,
        "bus_name": "org.kde.kwalletd5",
        "object_path": "/modules/kwalletd5",
    },
    # The login keychain. Without this, KEYCHAIN_PATH causes a warning.
    MACOS: {"keychain": None},
    # The default is "enterprise", which follows a roaming profile to other machines.
    WINDOWS: {"persist": "local machine"},
}
"""Each allowed class by its exact name, with the attributes of its instance."""


_NO_SUCH_ITEM: Final = 44  # security(1), errSecItemNotFound


def make(name: str) -> "KeyringBackend":
    """Instantiate a backend of `ALLOWED` with exactly the attributes listed there.

    Raises:
        KeyUnavailable: (`unsafe_backend`) when the class is not allowed, has another name, or fails
            because of the environment; (`keyring_absent`) when its module is not installed.
    """
    if name not in ALLOWED:
        raise _refused(name)
    module, _, attribute = name.rpartition(".")
    try:
        backend_class: type[KeyringBackend] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise KeyUnavailable(
            f"the keyring backend {name} is not installed ({type(error).__name__})",
            hint=Hint("install it; ", INTO_FILE),
            code="keyring_absent",
        ) from None
    actual = f"{backend_class.__module__}.{backend_class.__qualname__}"
    if actual != name:
        raise _refused(actual)
    try:
        backend = backend_class()
        vars(backend).clear()
        for attribute, value in ALLOWED[name].items():
            setattr(backend, attribute, value)
    except Exception as error:  # noqa: BLE001 -- KEYRING_PROPERTY_* can cause any exception
        raise KeyUnavailable(
            f"the keyring backend {name} could not be set up ({type(error).__name__})",
            hint="unset every KEYRING_PROPERTY_* variable",
            code="unsafe_backend",
        ) from None
    return backend


def redirections(names: Iterable[str]) -> tuple[str, ...]:
    """Return the variables and files that redirect `keyring`; they have no effect in this tool.

    Args:
        names: of all environment variables.
    """
    from keyring.util.platform_ import config_root  # noqa: PLC0415 -- slow to import

    choosing = ("PYTHON_KEYRING_BACKEND", "KEYRING_PROPERTY_")
    variables = sorted(n for n in names if n == choosing[0] or n.startswith(choosing[1]))
    with suppress(RuntimeError):  # a user without a home folder has no such file
        config = Path(config_root()) / "keyringrc.cfg"
        if config.exists():
            variables.append(str(config))
    return tuple(variables)


def third_party_backends() -> tuple[str, ...]:
    """Return the modules of installed backends that are not part of `keyring`."""
    modules = {entry.value.partition(":")[0] for entry in entry_points(group="keyring.backends")}
    return tuple(sorted(name for name in modules if not name.startswith("keyring.")))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyStatus:
    """The status of a key in a keyring, without a prompt; some keyrings show none while locked."""

    present: bool
    locked: bool


class SystemKeyring:
    """A keyring and its backend: one entry per key, with the kid as the user name."""

    backend_name: ClassVar[str]

    def __init__(self) -> None:
        """Instantiate the backend; errors as `make`."""
        self._backend: KeyringBackend = make(self.backend_name)

    def probe(self, kid: str) -> KeyStatus | None:
        """Look for a key without a prompt; None when this keyring is not running."""
        return KeyStatus(present=self.read(kid) is not None, locked=False)

    def unlock(self) -> bool:
        """Ask the operator to unlock a locked keyring; False when the prompt was dismissed."""
        return True

    def read(self, kid: str) -> str | None:
        """Return the entry of a key; may prompt."""
        return self._backend.get_password(SERVICE, kid)

    def write(self, kid: str, text: str) -> None:
        """Write the entry of a key, replacing one of the same kid; may prompt."""
        self._backend.set_password(SERVICE, kid, text)


class SecretServiceKeyring(SystemKeyring):
    """The Secret Service over D-Bus: GNOME Keyring, KeePassXC, newer KWallet."""

    backend_name = SECRET_SERVICE

    def probe(self, kid: str) -> KeyStatus | None:
        """Search the default collection; neither the search nor the lock query prompts."""
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
                return KeyStatus(present=False, locked=False)
            items = collection.search_items({"service": SERVICE, "username": kid})
            return KeyStatus(present=any(True for _ in items), locked=collection.is_locked())

    def unlock(self) -> bool:
        """Unlock the default collection, or create it."""
        import secretstorage  # noqa: PLC0415 -- only where there is a D-Bus

        with closing(secretstorage.dbus_init()) as bus:
            collection = secretstorage.get_default_collection(bus)
            if collection.is_locked():
                collection.unlock()
            return not collection.is_locked()

    def read(self, kid: str) -> str | None:
        """Return the entry in the default collection; `unlock` must have been called."""
        return self._in_default_collection(partial(super().read, kid))

    def write(self, kid: str, text: str) -> None:
        """Write the entry in the default collection."""
        self._in_default_collection(partial(super().write, kid, text))

    def _in_default_collection(self, call: Callable[[], T]) -> T:
        """Run the backend on a collection that is opened and closed here."""
        import secretstorage  # noqa: PLC0415 -- only where there is a D-Bus

        with closing(secretstorage.dbus_init()) as bus:
            backend: Any = self._backend
            backend.get_preferred_collection = partial(secretstorage.Collection, bus)
            return call()


class KWalletKeyring(SystemKeyring):
    """KWallet over its own D-Bus interface, where dbus-python is installed."""

    backend_name = KWALLET

    def probe(self, kid: str) -> KeyStatus | None:
        """Query the daemon; `keyDoesNotExist` and `isOpen` do not open the wallet."""
        if not self._backend.viable:
            return None
        dbus: Any = import_module("dbus")
        kwallet: Any = self._backend
        remote = dbus.SessionBus().get_object(kwallet.bus_name, kwallet.object_path)
        interface = dbus.Interface(remote, "org.kde.KWallet")
        wallet = interface.networkWallet()
        missing = bool(interface.keyDoesNotExist(wallet, SERVICE, kid))
        return KeyStatus(present=not missing, locked=not interface.isOpen(wallet))

    def unlock(self) -> bool:
        """Open the wallet."""
        kwallet: Any = self._backend
        return bool(kwallet.connected(SERVICE))


class MacOSKeyring(SystemKeyring):
    """The login keychain."""

    backend_name = MACOS
    security: ClassVar[str] = "/usr/bin/security"

    def probe(self, kid: str) -> KeyStatus | None:
        """Query security(1) for the attributes only, which needs no permission prompt."""
        command = [self.security, "find-generic-password", "-s", SERVICE, "-a", kid]
        status = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True
        ).returncode
        if status not in (0, _NO_SUCH_ITEM):
            return None
        return KeyStatus(present=status == 0, locked=False)


class WindowsKeyring(SystemKeyring):
    """The user's Windows Credential Manager on this machine; reading never prompts."""

    backend_name = WINDOWS


def for_platform(platform: str = sys.platform) -> tuple[SystemKeyring, ...]:
    """Return the supported keyrings of a platform, the preferred one first; errors as `make`."""
    if platform == "darwin":
        return (MacOSKeyring(),)
    if platform == "win32":
        return (WindowsKeyring(),)
    return (SecretServiceKeyring(), KWalletKeyring())


def _refused(name: str) -> KeyUnavailable:
    return KeyUnavailable(
        f"keyring backend {name} is not supported",
        hint=Hint("see which setting replaces the backend: ", run("doctor")),
        code="unsafe_backend",
    )
