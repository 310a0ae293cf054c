"""`polygent-issue registry backup`: the whole registry in one file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.home.settings import settings_path
from polygent_issuer.registry import change, journal
from polygent_issuer.registry.backup import Backup, back_up_to
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.text import for_shell


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryBackup(Result):
    """A backup that was written; `settings` is the file that is not in it."""

    backup: Backup
    settings: Path

    @property
    def head(self) -> str:
        """The head as `--against` takes it later."""
        return head_text(self.backup.size, self.backup.head)

    def to_json(self) -> Mapping[str, Any]:
        """The `file`, its `size` in journal rows and `head`, and the `settings` beside it."""
        return {
            "file": str(self.backup.path),
            "size": self.backup.size,
            "head": self.head,
            "settings": str(self.settings),
        }

    def blocks(self) -> Iterable[Block]:
        """Where it is, what it holds, and what it does not."""
        yield Line(f"backed up the registry to {self.backup.path}", "good")
        yield Fields((("rows", str(self.backup.size)), ("head", self.head)))
        yield Line("keep the head elsewhere: with it an exchanged or older backup is found", "dim")
        yield Line("confidential: it names your customers and machines, and holds every license")
        yield Line("not in it: private keys (polygent-issue key backup), and the settings:")
        folder = for_shell(str(self.backup.path.parent))
        yield Line(f"cp {for_shell(str(self.settings))} {folder}", indent=1)


def backup(
    invocation: Invocation, to: Annotated[Path, argument("FILE|DIR", "A new file, or a folder.")]
) -> RegistryBackup:
    """Write a backup of the registry, while other commands go on.

    One file, for nobody else's eyes, read back before it gets its name; nothing is written over.
    It holds what was there before the journal row that tells of it.
    """
    decided = invocation.decide(lambda _: None)  # a copy rests on nothing
    for finding in decided.behind:
        invocation.warn(f"{finding.message}: {finding.hint}")
    written = back_up_to(invocation.registry, to, invocation.now)
    if written.path.resolve().is_relative_to(invocation.home.resolve()):
        invocation.warn("the backup lies in the home: what takes the home takes it, too")
    result = RegistryBackup(backup=written, settings=settings_path(invocation.home))
    details = {"file": str(written.path), "size": written.size, "head": result.head}
    change.carry_out(decided.unasked(), lambda db: db.record(journal.BACKED_UP, details=details))
    return result
