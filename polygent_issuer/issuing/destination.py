"""Where license files are written: a folder, one file, or stdout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem, UsageProblem
from polygent_issuer.files import disk
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import Proposal

_ELSEWHERE: Final = "choose another place with --output"


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A place for license files: a folder, or stdout by `write`.

    `name` is the name of a single file; by default each license has its own.
    """

    folder: Path | None
    name: str | None = None
    write: Callable[[bytes], None] | None = None

    def target(self, proposal: "Proposal") -> Path | None:
        """Return the path for a license's file; `None` for stdout."""
        return None if self.folder is None else self.folder / (self.name or proposal.file_name)

    def check(self, proposals: tuple["Proposal", ...]) -> None:
        """Check before signing that the files can be delivered.

        Raises:
            UsageProblem: (`usage`) one name for several licenses.
            OutputExists, OutputProblem: as `files.require_folder` and `files.require_free`.
        """
        if len(proposals) > 1 and (self.name is not None or self.folder is None):
            raise UsageProblem(
                f"{len(proposals)} licenses cannot be written to one file",
                hint="name a folder with --output FOLDER",
            )
        if self.folder is None:
            return
        files.require_folder(self.folder, _ELSEWHERE)
        for proposal in proposals:
            self.free_target(proposal)

    def free_target(self, proposal: "Proposal") -> Path | None:
        """Return `target` after a check with `files.require_free`."""
        target = self.target(proposal)
        if target is not None:
            files.require_free(target, _ELSEWHERE)
        return target


def choose_destination(
    option: str | None, default: Path | None, write: Callable[[bytes], None]
) -> Destination:
    """Return the destination of `--output`, else of the settings, else the current folder.

    `-` is stdout. An existing folder, or a path with a trailing slash, is a folder; any other path
    is a file. A path that cannot be a file is `output_failed`.
    """
    if option == "-":
        return Destination(folder=None, write=write)
    if option is None and default is not None:
        return Destination(folder=default)
    if option == "":
        raise OutputProblem("--output is empty", hint="name a file or a folder, or leave it out")
    try:
        path = Path(option or ".").expanduser().absolute()
        str(path).encode()  # the registry keeps it as text
    except FileNotFoundError:
        raise OutputProblem(
            "the current folder no longer exists",
            hint="change to another folder, or name one with --output",
        ) from None
    except (RuntimeError, UnicodeEncodeError):
        raise OutputProblem(
            f"not a valid path for a file: {escape(ascii(option))}", hint=_ELSEWHERE
        ) from None
    if option is None or disk.is_folder(path) or option.endswith(("/", os.sep)):
        return Destination(folder=path)
    return Destination(folder=path.parent, name=path.name)
