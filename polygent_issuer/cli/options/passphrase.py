"""The options for the passphrase of a key."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import OptionGroup, option, whole_number
from polygent_issuer.errors import UsageProblem

if TYPE_CHECKING:
    from polygent_issuer.keys.passphrases import Passphrase

# access(2) would refuse a file that the shell opened for another user: `… | sudo -u ada …`.
_option = partial(option, rich_help_panel="Passphrase", readable=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PassphraseOptions(OptionGroup):
    """The three sources of a passphrase, which are mutually exclusive."""

    passphrase_fd: int | None = _option(
        "--passphrase-fd", "N", "Read the passphrase from a file descriptor.", parser=whole_number()
    )
    passphrase_file: Path | None = _option(
        "--passphrase-file", "FILE", "Read the passphrase from a file."
    )
    passphrase_command: str | None = _option(
        "--passphrase-command", "COMMAND", "Read the passphrase from a command."
    )

    def source(self, invocation: Invocation) -> "Passphrase":
        """Return the source of the passphrase: an option, the environment's file, or the terminal.

        Raises:
            UsageProblem: (`usage`) several options are given.
        """
        from polygent_issuer.keys import passphrases

        fd, command = self.passphrase_fd, self.passphrase_command
        if sum(option is not None for option in (fd, self.passphrase_file, command)) > 1:
            names = "--passphrase-fd, --passphrase-file and --passphrase-command"
            raise UsageProblem(f"{names} are mutually exclusive", hint="give one of them")
        if fd is not None:
            return passphrases.from_fd(fd, warn=invocation.warn)
        if command is not None:
            return passphrases.from_command(command, warn=invocation.warn)
        path = self.passphrase_file or invocation.environ.get(passphrases.VARIABLE)
        if path:
            return passphrases.from_file(Path(path), warn=invocation.warn)
        return (
            passphrases.TerminalPassphrase()
            if invocation.interactive
            else passphrases.NoPassphrase()
        )
