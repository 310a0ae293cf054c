"""How keys look: their public side, and where the private one is."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.output import Result
from polygent_issuer.custody import Kept
from polygent_issuer.keystore.location import EXAMPLE
from polygent_issuer.registry import KeyRecord
from polygent_issuer.settings.token_uri import is_token_uri


def key_json(key: KeyRecord, store: str) -> dict[str, Any]:
    """A key for programs; `store` is where this operator has its private half."""
    return {
        "kid": key.kid,
        "label": key.label,
        "active": key.active,
        "store": store,
        "created_at": dates.instant(key.created_at),
        "backed_up_at": None if key.backed_up_at is None else dates.instant(key.backed_up_at),
        "retired_at": None if key.retired_at is None else dates.instant(key.retired_at),
        "compromised": key.compromised,
    }


def key_state(key: KeyRecord) -> str:
    """What the key is good for, in a word or two."""
    if key.compromised:
        return "compromised"
    if key.retired_at is not None:
        return "retired"
    return "active" if key.active else "standby"


def typed(key: KeyRecord) -> str:
    """The key as one types it in a shell; after `--` a hyphen begins no option."""
    quoted = shlex.quote(key.label)
    return f"-- {quoted}" if key.label.startswith("-") else quoted


def list_command(key: KeyRecord) -> str:
    """The command that lists the current licenses under a key."""
    return f"polygent-issue license list --status current --key={shlex.quote(key.label)}"


def backup_state(key: KeyRecord) -> str:
    """When it was last backed up."""
    return "none" if key.backed_up_at is None else dates.instant(key.backed_up_at)


def way_back(key: KeyRecord) -> str:
    """How a private half comes back that is not in its place; it ends a sentence on that."""
    if key.backed_up_at is None:
        return ", and no backup was noted"
    return ": polygent-issue key import BACKUP takes it from its backup"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptReport(Result):
    """A key that was made or taken in, and what the operator does next.

    Attributes:
        verb: what was done: generated or imported.
        origin_as_backup: the file that an imported key came from, if that can be its backup.
    """

    kept: Kept
    verb: str
    origin_as_backup: str | None = None

    def to_json(self) -> Mapping[str, Any]:
        """`key`, whether it is new to the registry, and the file of its `backup`."""
        backup = self.kept.backup
        return {
            "key": key_json(self.kept.key, self.kept.uri),
            "new": self.kept.is_new,
            "backup": None if backup is None else str(backup),
        }

    def blocks(self) -> Iterable[Block]:
        """What it is, where it is, and what comes next."""
        key, backup = self.kept.key, self.kept.backup
        yield Line(f"{self.verb} the key {key.label}", "good")
        yield Fields(
            (
                ("kid", key.kid),
                ("private half", self.kept.uri),
                ("backup", backup_state(key) if backup is None else str(backup)),
                ("state", "active: it signs from now on" if key.active else key_state(key)),
            )
        )
        if not self.kept.is_new:
            yield Line("the registry had its public half already, and its label", "dim", 1)
            return
        if key.backed_up_at is None and self.origin_as_backup is not None:
            yield Line(
                f"{self.origin_as_backup} is encrypted and may serve as the backup: keep it apart"
            )
        elif key.backed_up_at is None and is_token_uri(self.kept.uri):
            yield Line(
                "nobody can copy it out of the token: for its loss, have a second key that the "
                f"servers know: polygent-issue key generate spare --store {EXAMPLE} --backup FILE",
                "warn",
            )
        elif key.backed_up_at is None:
            yield Line(
                "without a backup, a lost key means new licenses for everybody: "
                f"polygent-issue key backup {typed(key)} FILE",
                "warn",
            )
        yield from self._following()

    def _following(self) -> Iterable[Block]:
        key = self.kept.key
        if key.active:
            export = f"polygent-issue key export-public {typed(key)} --output polygent-public.pem"
            yield Line(f"for the servers, once: {export}")
        else:
            export = "polygent-issue key export-public --all --format jwks --output keys.json"
            yield Line(f"for the servers, old and new together: {export}")
            yield Line(f"when all of them have it: polygent-issue key use {typed(key)}")
