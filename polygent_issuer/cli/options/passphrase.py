"""Where a passphrase comes from: never argv, never a setting (DESIGN, "Keys")."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import OptionGroup, option
from polygent_issuer.errors import UsageProblem

if TYPE_CHECKING:
    from polygent_issuer.keys.passphrases import Passphrase


# access(2) refuses what the shell opened for another user: `… | sudo -u ada polygent-issue …`.
_option = partial(option, rich_help_panel="Passphrase", readable=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PassphraseOptions(OptionGroup):
    """The three options; at most one is used."""

    passphrase_fd: Annotated[
        int | None, _option("--passphrase-fd", "N", "Read it from a descriptor.")
    ] = None
    passphrase_file: Annotated[
        Path | None, _option("--passphrase-file", "FILE", "Read it from a file.")
    ] = None
    passphrase_command: Annotated[
        str | None, _option("--passphrase-command", "COMMAND", "Read what it prints; no shell.")
    ] = None


def source(invocation: Invocation, options: PassphraseOptions) -> "Passphrase":
    """Return the one source that was named, else the environment's file, else the terminal.

    Raises:
        UsageProblem: (`usage`) when several were named.
    """
    from polygent_issuer.keys import passphrases

    fd, command = options.passphrase_fd, options.passphrase_command
    if sum(option is not None for option in (fd, options.passphrase_file, command)) > 1:
        raise UsageProblem(
            "a passphrase has one source",
            hint="one of --passphrase-fd, --passphrase-file, --passphrase-command",
        )
    if fd is not None:
        return passphrases.from_fd(fd, warn=invocation.warn)
    if command is not None:
        return passphrases.from_command(command, warn=invocation.warn)
    named = options.passphrase_file or invocation.environ.get(passphrases.VARIABLE)
    if named:
        return passphrases.from_file(Path(named), warn=invocation.warn)
    return passphrases.from_terminal() if invocation.interactive else passphrases.absent()
