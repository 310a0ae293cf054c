"""`polygent-issue registry backup`: the whole registry in one file."""

from pathlib import Path
from typing import Annotated

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.home.settings import settings_path
from polygent_issuer.registry import change, journal
from polygent_issuer.registry.backup import back_up_to
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.text import for_shell


def backup(
    invocation: Invocation, to: Annotated[Path, argument("FILE|DIR", "A new file, or a folder.")]
) -> Report:
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
    file, head = str(written.path), head_text(written.size, written.head)
    details = {"file": file, "size": written.size, "head": head}
    change.carry_out(decided.unasked(), lambda db: db.record(journal.BACKED_UP, details=details))
    settings, folder = str(settings_path(invocation.home)), str(written.path.parent)
    return Report(
        {**details, "settings": settings},
        [
            Line(f"backed up the registry to {file}", "good"),
            Fields((("rows", str(written.size)), ("head", head))),
            Line("keep the head elsewhere: with it an exchanged or older backup is found", "dim"),
            Line("confidential: it names your customers and machines, and holds every license"),
            Line("not in it: private keys (polygent-issue key backup), and the settings:"),
            Line(f"cp {for_shell(settings)} {for_shell(folder)}", indent=1),
        ],
    )
