"""How a key looks that was made or taken in, and what the operator does next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.key.key_view import EXPORT_ALL, backup_state, key_json, key_state
from polygent_issuer.cli.output import Result
from polygent_issuer.custody import Kept, typed
from polygent_issuer.hints import run
from polygent_issuer.keystore.location import EXAMPLE
from polygent_issuer.settings.token_uri import is_token_uri


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
                + run("key", "backup", *typed(key.label), "FILE"),
                "warn",
            )
        yield from self._following()

    def _following(self) -> Iterable[Block]:
        key = self.kept.key
        if key.active:
            output = ("--output", "polygent-public.pem")
            export = run("key", "export-public", *typed(key.label), *output)
            yield Line(f"for the servers, once: {export}")
        else:
            yield Line(f"for the servers, with all others that they may trust: {EXPORT_ALL}")
            yield Line(f"when all of them have it: {run('key', 'use', *typed(key.label))}")
