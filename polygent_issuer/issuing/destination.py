"""Where a license file goes: a folder, a named file, or stdout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.errors import OutputExists, OutputProblem, UsageProblem
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.text import shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A place for license files.

    Attributes:
        folder: where files go; `None` means stdout.
        name: the one file's name; `None` takes each license's own.
        write: how bytes reach stdout, when that is the place.
    """

    folder: Path | None
    name: str | None = None
    write: Callable[[bytes], None] | None = None

    def name_for(self, proposal: Proposal) -> str:
        """The file's name for a license."""
        return self.name or proposal.file_name

    def target(self, proposal: Proposal) -> Path | None:
        """The file for a license; `None` on stdout."""
        return None if self.folder is None else self.folder / self.name_for(proposal)

    def check(self, proposals: tuple[Proposal, ...]) -> None:
        """Refuse before anything is signed what could not be delivered afterwards.

        Raises:
            OutputProblem: (`output_failed`) when the folder is not there or takes no files.
            OutputExists: (`output_exists`) when a file of that name is there.
            UsageProblem: (`usage`) one name for several licenses.
        """
        if len(proposals) > 1 and (self.name is not None or self.folder is None):
            raise UsageProblem(
                f"{len(proposals)} licenses do not fit into one file", hint="--output FOLDER"
            )
        if self.folder is None:
            return
        place = shown(str(self.folder))
        if not self.folder.is_dir():
            raise OutputProblem(f"there is no folder {place}", hint=f"mkdir -p {place}")
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise OutputProblem(
                f"no right to write into {place}", hint="name another place with --output"
            )
        for proposal in proposals:
            target = self.folder / self.name_for(proposal)
            if os.path.lexists(target):
                raise OutputExists(
                    f"{shown(str(target))} exists already, and nothing is overwritten",
                    hint="name another place with --output",
                )


def resolve(
    option: str | None, default: Path | None, current: Path, write: Callable[[bytes], None]
) -> Destination:
    """The destination of `--output`: `-`, a folder, or a file; else the settings', else here.

    Args:
        option: what was typed; an existing folder, or a trailing slash, means a folder.
        default: the folder of the settings.
        current: the current folder.
        write: how bytes reach stdout.
    """
    if option == "-":
        return Destination(folder=None, write=write)
    if option is None:
        return Destination(folder=default or current)
    path = current / Path(option).expanduser()
    if path.is_dir() or option.endswith(("/", os.sep)):
        return Destination(folder=path)
    return Destination(folder=path.parent, name=path.name)
