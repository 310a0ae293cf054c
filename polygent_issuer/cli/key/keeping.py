"""What `key generate` and `key import` share: options, the home, the passphrase."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer import founding, home, settings
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.home_making import ensure_home
from polygent_issuer.cli.options import OptionGroup
from polygent_issuer.custody import Custodian
from polygent_issuer.errors import HomeMissing, UsageProblem
from polygent_issuer.keystore import Passphrase, location
from polygent_issuer.keystore.passphrases import T
from polygent_issuer.keystore.strength import Judged
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepingOptions(OptionGroup):
    """Where a new key goes, and its backup."""

    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URI",
            autocompletion=candidates.stores,
            help="keyring:, file:PATH or pkcs11:URI; else the settings'.",
        ),
    ] = None
    backup: Annotated[
        str | None,
        typer.Option("--backup", metavar="FILE", help="Write an encrypted backup there, too."),
    ] = None
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Write no backup now.")] = False


def settings_in_force(invocation: Invocation) -> Settings:
    """The settings of the home, or the defaults where there is none yet.

    Raises:
        HomeProblem, InvalidSettings: when what is there cannot be used.
    """
    with suppress(HomeMissing):
        home.require(invocation.home_path)
    return settings.load(invocation.home_path, invocation.environ).settings


def known_keys(invocation: Invocation) -> tuple[KeyRecord, ...]:
    """The keys of the registry; none where there is no home yet, which is not made here.

    Raises:
        HomeProblem: each code of a home that cannot be used, or has lost its registry.
    """
    if not founding.is_complete(invocation.home_path):
        founding.require_room(invocation.home_path)
        return ()
    with invocation.registry.reading() as db:
        return keys.every(db)


def custodian(
    invocation: Invocation, passphrase: Passphrase, *, store: str, backup: Path | None
) -> Custodian:
    """Who keeps the key, in the home of this invocation, which is made when there is none.

    Args:
        invocation: of the command.
        passphrase: as it was given, or the terminal.
        store: the store URI that is used.
        backup: where the backup goes.

    Raises:
        InvalidStore: (`invalid_store`) for what is no key store; no home is made then.
        UsageProblem: (`usage`) when key and backup would be one file or in one folder.
        HomeProblem: each code of making a home.
    """
    place = location.parse(store)
    in_file = isinstance(place, location.FileLocation)
    if isinstance(place, location.FileLocation) and place.path == backup:
        raise UsageProblem(
            "the backup would lie where the key lies", hint="name another place, on another disk"
        )
    ensure_home(invocation)
    judged = Judged(passphrase, invocation.warn)
    return Custodian(
        registry=invocation.registry,
        home=invocation.home,
        settings=invocation.settings,
        passphrase=_OneForBoth(judged) if in_file and backup else judged,
        warn=invocation.warn,
        now=invocation.now,
        actor=invocation.actor,
    )


class _OneForBoth(Passphrase):
    """The key file and its backup share one new passphrase, so a person types it for one."""

    def __init__(self, source: Passphrase) -> None:
        self._source = source
        self._new: bytes | None = None

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """What the source gives; a new one is asked for once."""
        if not confirm:
            return self._source.get(purpose)
        if self._new is None:
            self._new = self._source.get("the new key file and its backup", confirm=True)
        return self._new

    def unlock(self, purpose: str, attempt: Callable[[bytes], T]) -> T:
        """Unlock with the source."""
        return self._source.unlock(purpose, attempt)
