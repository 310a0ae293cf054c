"""The operating system's keyrings: which one would keep a key, and why no other may."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from polygent_issuer.doctor.verdict import Verdict, ok, refused, warn
from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.hints import Hint, run
from polygent_issuer.keystore import Presence, backends, location, vaults
from polygent_issuer.keystore.errors import KeyringAbsent, KeyringTimeout
from polygent_issuer.keystore.keyring_store import KeyringStore
from polygent_issuer.keystore.vaults import Vault
from polygent_issuer.registry import KeyRecord
from polygent_issuer.settings import Settings
from polygent_issuer.text import shown

TITLES: Final[Mapping[str, str]] = {
    backends.SECRET_SERVICE: "Secret Service",
    backends.KWALLET: "KWallet",
    backends.MACOS: "Keychain",
    backends.WINDOWS: "Credential Manager",
}
_NO_KID: Final = "any"
_ELSEWHERE: Final = Hint(
    "log in to a session that has one, or keep new keys in files: ",
    run("config", "set", "store", location.EXAMPLE),
)
UNLOCK: Final = "unlock it by logging in to the desktop; signing asks for it, too"


def is_needed(settings: Settings, usable: Iterable[KeyRecord] | None) -> bool:
    """Whether signing needs a keyring.

    Args:
        settings: name the place of each key.
        usable: the keys that may sign; None when the registry does not tell.
    """
    if usable is None:
        places = [*settings.stores.values(), settings.store]
    else:
        # Without a key the next one is made where the settings say.
        places = [settings.stores.get(key.kid, settings.store) for key in usable]
        places = places or [settings.store]
    return location.KEYRING in places


def keyring(*, needed: bool, timeout: timedelta) -> Verdict:
    """Which keyring would keep a key, and whether it is locked; asked without a prompt.

    Args:
        needed: whether any key is or would be in one; else nothing about it is wrong.
        timeout: how long each call may take.
    """
    try:
        looks = tuple(_look(vault, timeout) for vault in vaults.of_this_system())
    except KeyUnavailable as error:
        return refused(error) if needed else ok(f"no key needs one: {error.message}")
    told = "; ".join(f"{look.title} {look.state}" for look in looks)
    told += "; any other is refused"
    if not needed:
        return ok(f"no key needs one: {told}")
    # As signing does it: the first one that runs is taken, even if it does not answer.
    taken = next((look for look in looks if look.runs), looks[0])
    return ok(told) if taken.mend is None else warn(told, taken.mend)


def choosing(names: Iterable[str]) -> Verdict:
    """What would choose another keyring, and why it does not: the list is of exact classes.

    Args:
        names: of all variables of the environment.
    """
    told = [f"{shown(what)} is ignored" for what in backends.redirections(names)]
    told += [f"{shown(module)} is refused" for module in backends.strangers()]
    return ok("; ".join(told) or "no variable, file or plug-in would choose another keyring")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """How one keyring is; `mend` is None for one that would keep a key at once."""

    title: str
    state: str
    runs: bool = True
    mend: str | None = None


def _look(vault: Vault, timeout: timedelta) -> _Look:
    title = TITLES[vault.backend_name]
    store = KeyringStore(timeout=timeout, vaults=(vault,))
    try:
        store.require_room()
    except KeyringAbsent:
        return _Look(title=title, state="does not run here", runs=False, mend=_ELSEWHERE)
    except KeyringTimeout:
        told = f"did not answer within {timeout.total_seconds():g} s"
        return _Look(title=title, state=told, mend="restart the keyring's service")
    except KeyUnavailable:
        return _Look(title=title, state="answers with an error", mend="look into its own log")
    if store.presence(_NO_KID) is Presence.LOCKED:
        return _Look(title=title, state="is locked", mend=UNLOCK)
    return _Look(title=title, state="is ready")
