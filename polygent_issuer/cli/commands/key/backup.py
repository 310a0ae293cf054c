"""`polygent-issue key backup`: an encrypted copy of a private key."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer.cli.commands.key.show import KeyName
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_place import backup_file
from polygent_issuer.cli.options.common import PassphraseOptions, source
from polygent_issuer.cli.output.key import key_json
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.passphrases import PassphraseStrengthWarning
from polygent_issuer.keys.signing import place_of
from polygent_issuer.registry import KeyRecord, keys


@dataclass(frozen=True, kw_only=True, slots=True)
class BackedUp(Result):
    """A backup that was written."""

    key: KeyRecord
    store: str
    path: Path

    def to_json(self) -> Mapping[str, Any]:
        """`key` and the file of its `backup`."""
        return {"key": key_json(self.key, self.store), "backup": str(self.path)}

    def blocks(self) -> Iterable[Block]:
        """Where it is, and how to come back from it."""
        yield Line(f"backed up the key {self.key.label}", "good")
        yield Fields((("file", str(self.path)), ("format", "OpenSSH, encrypted")))
        yield Line(
            f"to restore it: polygent-issue key import {shlex.quote(str(self.path))} --no-backup",
            "dim",
        )


def backup(
    invocation: Invocation,
    key: KeyName,
    to: Annotated[str, typer.Argument(metavar="FILE", help="A new file, or a folder for one.")],
    *,
    passphrases: PassphraseOptions,
) -> BackedUp:
    """Write an encrypted backup of a key; nothing is overwritten.

    The passphrase of a key file is asked for as well as the new one of the backup; one that comes
    from an option opens the first and locks the second.
    """
    path = backup_file(to)
    with invocation.registry.reading() as db:
        record = keys.find(db, key)
    written = KeyLifecycle(
        registry=invocation.registry,
        home=invocation.home,
        settings=invocation.settings,
        passphrase=PassphraseStrengthWarning(source(invocation, passphrases), invocation.warn),
        warn=invocation.warn,
        now=invocation.now,
        actor=invocation.actor,
    ).back_up(record, path)
    with invocation.registry.reading() as db:
        record = keys.find(db, record.kid)
    return BackedUp(key=record, store=place_of(invocation.settings, record.kid), path=written)
