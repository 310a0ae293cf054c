"""The keyring backends that may hold a key, and how one is made that nothing can bend.

`keyring` chooses its backend by PYTHON_KEYRING_BACKEND, `keyringrc.cfg`, entry points and
priorities, and lets KEYRING_PROPERTY_* overwrite any attribute of even a directly made instance.
None of these may say where a signing key goes: a null backend accepts a key and loses it, a
plain-text one publishes it, another collection is out of sight. So a backend is known by the exact
name of its class, made directly, emptied of what the environment put into it, and given the
attributes that it shall have.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from polygent_issuer.hints import Hint, run
from polygent_issuer.keys.errors import KeyringAbsent, UnsafeBackend
from polygent_issuer.store_uri import EXAMPLE_FILE_URI

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

APPLICATION: Final = "polygent-issuer"
INTO_FILE: Final = Hint(
    "or take the key into a file: ", run("key", "import", "BACKUP", "--store", EXAMPLE_FILE_URI)
)
"""What helps whoever has no keyring, and a key that was in one."""

_BACKEND_VARIABLE: Final = "PYTHON_KEYRING_BACKEND"
_PROPERTIES: Final = "KEYRING_PROPERTY_"

SECRET_SERVICE: Final = "keyring.backends.SecretService.Keyring"  # noqa: S105 -- a class name
KWALLET: Final = "keyring.backends.kwallet.DBusKeyring"
MACOS: Final = "keyring.backends.macOS.Keyring"
WINDOWS: Final = "keyring.backends.Windows.WinVaultKeyring"

ALLOWED: Final[Mapping[str, Mapping[str, object]]] = {
    SECRET_SERVICE: {"appid": APPLICATION, "scheme": "default"},
    KWALLET: {
        "appid": APPLICATION,
        "handle": -1,
        "bus_name": "org.kde.kwalletd5",
        "object_path": "/modules/kwalletd5",
    },
    # KEYCHAIN_PATH would warn; the login keychain is meant.
    MACOS: {"keychain": None},
    # The default is "enterprise", which follows a roaming profile to other machines.
    WINDOWS: {"persist": "local machine"},
}
"""Each allowed class by its exact name, with the attributes that its instance shall have."""


def make(name: str) -> "KeyringBackend":
    """An allowed backend with our attributes and no others.

    Args:
        name: the module and class, one of `ALLOWED`.

    Raises:
        UnsafeBackend: (`unsafe_backend`) when the class is not allowed, is not the one that it is
            looked up as, or cannot be made because the environment sets what may not be set.
        KeyringAbsent: (`keyring_absent`) when its module cannot be imported.
    """
    if name not in ALLOWED:
        raise _refused(name)
    found = _look_up(name)
    actual = f"{found.__module__}.{found.__qualname__}"
    if actual != name:
        raise _refused(actual)
    try:
        backend = found()
        vars(backend).clear()
        for attribute, value in ALLOWED[name].items():
            setattr(backend, attribute, value)
    except Exception as error:  # noqa: BLE001 -- any class of error can come of KEYRING_PROPERTY_*
        raise UnsafeBackend(
            f"the keyring backend {name} could not be set up ({type(error).__name__})",
            hint="unset every KEYRING_PROPERTY_* variable",
        ) from None
    return backend


def redirections(names: Iterable[str]) -> tuple[str, ...]:
    """What would have `keyring` keep a key elsewhere, and has no effect here.

    Args:
        names: of all variables of the environment.
    """
    from keyring.util.platform_ import config_root  # noqa: PLC0415 -- slow to import

    variables = [n for n in names if n == _BACKEND_VARIABLE or n.startswith(_PROPERTIES)]
    try:
        config = Path(config_root()) / "keyringrc.cfg"
    except RuntimeError:  # a user without a home folder has no such file
        return tuple(sorted(variables))
    return (*sorted(variables), *([str(config)] if config.exists() else []))


def strangers() -> tuple[str, ...]:
    """The modules of installed backends that neither `keyring` nor the list knows."""
    found = {entry.value.partition(":")[0] for entry in entry_points(group="keyring.backends")}
    return tuple(sorted(name for name in found if not name.startswith("keyring.")))


def _refused(name: str) -> UnsafeBackend:
    return UnsafeBackend(
        f"a key may not be kept by the keyring backend {name}",
        hint="unset what replaces the backend",
    )


def _look_up(name: str) -> "type[KeyringBackend]":
    module, _, attribute = name.rpartition(".")
    try:
        found: type[KeyringBackend] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise KeyringAbsent(
            f"the keyring backend {name} is not here ({type(error).__name__})",
            hint=Hint("install it; ", INTO_FILE),
        ) from None
    return found
