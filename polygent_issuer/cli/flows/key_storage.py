"""Options, home and passphrase of `key generate` and `key import`, and their result."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer import store_uri
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.home_setup import ensure_home
from polygent_issuer.cli.options.common import OptionGroup
from polygent_issuer.cli.output.key import EXPORT_ALL, backup_state, key_json, key_state
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import HomeMissing, UsageProblem
from polygent_issuer.hints import run
from polygent_issuer.home import create, folder, settings
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.lifecycle import KeyLifecycle, StoredKey
from polygent_issuer.keys.passphrases import NewPassphrase, Passphrase
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.store_uri import EXAMPLE_FILE_URI, is_token_uri


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageOptions(OptionGroup):
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


def current_settings(invocation: Invocation) -> Settings:
    """Return the settings of the home, or the defaults where there is none yet.

    Raises:
        HomeProblem, InvalidSettings: when what is there cannot be used.
    """
    with suppress(HomeMissing):
        folder.require(invocation.home_path)
    return settings.load(invocation.home_path, invocation.environ).settings


def known_keys(invocation: Invocation) -> tuple[KeyRecord, ...]:
    """Return the keys of the registry; none where there is no home yet, which is not made here.

    Raises:
        HomeProblem: each code of a home that cannot be used, or has lost its registry.
    """
    if not create.is_complete(invocation.home_path):
        create.require_room(invocation.home_path)
        return ()
    with invocation.registry.reading() as db:
        return keys.every(db)


def key_lifecycle(
    invocation: Invocation, passphrase: Passphrase, *, store: str, backup: Path | None
) -> KeyLifecycle:
    """Return the lifecycle in the home of this invocation, which is made when there is none.

    Args:
        invocation: of the command.
        passphrase: of the command line, or the terminal.
        store: the store URI of the key.
        backup: where the backup goes.

    Raises:
        InvalidStore: (`invalid_store`) for another text; no home is made then.
        UsageProblem: (`usage`) when key and backup would be one file or in one folder.
        HomeProblem: each code of making a home.
    """
    place = store_uri.parse(store)
    file = place.path if isinstance(place, store_uri.FileLocation) else None
    if file is not None and file == backup:
        raise UsageProblem(
            "the backup would lie where the key lies", hint="name another place, on another disk"
        )
    ensure_home(invocation)
    shared = file is not None and backup is not None
    return KeyLifecycle(
        registry=invocation.registry,
        home=invocation.home,
        settings=invocation.settings,
        passphrase=NewPassphrase(passphrase, invocation.warn, shared=shared),
        warn=invocation.warn,
        now=invocation.now,
        actor=invocation.actor,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKeyReport(Result):
    """A key that was generated or imported, and what the operator does next.

    Attributes:
        verb: what was done: generated or imported.
        origin_as_backup: the file that an imported key came from, if that can be its backup.
    """

    stored: StoredKey
    verb: str
    origin_as_backup: str | None = None

    def to_json(self) -> Mapping[str, Any]:
        """`key`, whether it is new to the registry, and the file of its `backup`."""
        backup = self.stored.backup
        return {
            "key": key_json(self.stored.key, self.stored.uri),
            "new": self.stored.is_new,
            "backup": None if backup is None else str(backup),
        }

    def blocks(self) -> Iterable[Block]:
        """What it is, where it is, and what comes next."""
        key, backup = self.stored.key, self.stored.backup
        yield Line(f"{self.verb} the key {key.label}", "good")
        yield Fields(
            (
                ("kid", key.kid),
                ("private half", self.stored.uri),
                ("backup", backup_state(key) if backup is None else str(backup)),
                ("state", "active: it signs from now on" if key.active else key_state(key)),
            )
        )
        if not self.stored.is_new:
            yield Line("the registry had its public half already, and its label", "dim", 1)
            return
        if key.backed_up_at is None and self.origin_as_backup is not None:
            yield Line(
                f"{self.origin_as_backup} is encrypted and may serve as the backup: keep it apart"
            )
        elif key.backed_up_at is None and is_token_uri(self.stored.uri):
            yield Line(
                "nobody can copy it out of the token: for its loss, have a second key that the "
                "servers know: polygent-issue key generate spare "
                f"--store {EXAMPLE_FILE_URI} --backup FILE",
                "warn",
            )
        elif key.backed_up_at is None:
            yield Line(
                "without a backup, a lost key means new licenses for everybody: "
                + run("key", "backup", *label_words(key.label), "FILE"),
                "warn",
            )
        yield from self._following()

    def _following(self) -> Iterable[Block]:
        key = self.stored.key
        if key.active:
            output = ("--output", "polygent-public.pem")
            export = run("key", "export-public", *label_words(key.label), *output)
            yield Line(f"for the servers, once: {export}")
        else:
            yield Line(f"for the servers, with all others that they may trust: {EXPORT_ALL}")
            yield Line(f"when all of them have it: {run('key', 'use', *label_words(key.label))}")
