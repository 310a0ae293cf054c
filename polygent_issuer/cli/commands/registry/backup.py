"""`polygent-issue registry backup`: write a backup of the registry."""

from pathlib import Path
from typing import Annotated

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.delivery import backup_settings
from polygent_issuer.home.settings import settings_path
from polygent_issuer.registry import journal
from polygent_issuer.registry.backup import back_up_to
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.text import Hint, run


def backup(
    invocation: Invocation,
    to: Annotated[Path, argument("FILE|DIR", "Write the backup to this new file or folder.")],
) -> Report:
    """Write a backup of the registry.

    Other commands can run meanwhile. The backup is one file that only you can read. It is verified
    before it gets its name, and never overwrites a file. It does not contain the journal row about
    the backup itself.

    It contains the settings with which another operator signs as you do: issuer, plans, windows,
    features, sender and template of mail drafts. It contains no key, key store, folder or
    operator name.
    """
    decided = invocation.decide(lambda _: None)  # a copy depends on no decision
    for finding in decided.behind:
        invocation.warn(Hint(f"{finding.message}: ", finding.hint or ""))
    included = backup_settings.collect(invocation.home, invocation.loaded, warn=invocation.warn)
    written = back_up_to(invocation.registry, to, invocation.now, included)
    if written.path.resolve().is_relative_to(invocation.home.resolve()):
        invocation.warn("the backup is in the home, so it would be lost together with the home")
    file, head = str(written.path), head_text(written.size, written.head)
    details = {"file": file, "size": written.size, "head": head}
    invocation.record_copy(decided, journal.BACKED_UP, details)
    names = [*dict.fromkeys(name.partition(".")[0] for name in written.settings)]
    return Report(
        {**details, "settings": str(settings_path(invocation.home)), "settings_included": names},
        [
            Line(f"backed up the registry to {file}", "good"),
            Fields((("rows", str(written.size)), ("head", head))),
            Line("save the head elsewhere: it reveals a replaced or older backup", "dim"),
            Line("confidential: it contains customers, machines and all license files"),
            Line("settings in it: issuer, plans, windows, features, mail sender and template"),
            Line(
                Hint(
                    "not in it: private keys (",
                    run("key", "backup"),
                    "), and the key stores, folders and operator's name of this machine",
                )
            ),
        ],
    )
