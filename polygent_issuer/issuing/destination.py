"""Where a license file goes: a folder, a named file, or stdout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer.errors import OutputExists, OutputProblem, UsageProblem
from polygent_issuer.text import escape, for_shell

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import Proposal

_ELSEWHERE = "name another place with --output"


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

    def target(self, proposal: "Proposal") -> Path | None:
        """The file for a license; `None` on stdout."""
        return None if self.folder is None else self.folder / (self.name or proposal.file_name)

    def check(self, proposals: tuple["Proposal", ...]) -> None:
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
        require_folder(self.folder)
        for proposal in proposals:
            self.free_target(proposal)

    def free_target(self, proposal: "Proposal") -> Path | None:
        """As `target`, when nothing is there yet.

        Raises:
            OutputExists: (`output_exists`) when something is.
            OutputProblem: (`output_failed`) when no file can be there.
        """
        target = self.target(proposal)
        if target is not None:
            require_free(target)
        return target


def require_folder(folder: Path, elsewhere: str = _ELSEWHERE) -> None:
    """Check that files can be written there.

    Raises:
        OutputProblem: (`output_failed`) when the folder is not there or takes no files.
    """
    place = str(folder)
    if not os.path.isdir(place):  # noqa: PTH112 - Path.is_dir raises where it may not look
        raise OutputProblem(
            f"there is no folder {escape(place)}", hint=f"mkdir -p {for_shell(place)}"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputProblem(f"no right to write into {escape(place)}", hint=elsewhere)


def resolve(
    option: str | None, default: Path | None, write: Callable[[bytes], None]
) -> Destination:
    """The destination of `--output`: `-`, a folder, or a file; else the settings', else here.

    Args:
        option: what was typed; an existing folder, or a trailing slash, means a folder.
        default: the folder of the settings.
        write: how bytes reach stdout.

    Raises:
        OutputProblem: (`output_failed`) when no file can be at that place.
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
            "the current folder is gone", hint="cd to another folder, or name one with --output"
        ) from None
    except (RuntimeError, UnicodeEncodeError):
        raise OutputProblem(
            f"no place for a file: {escape(ascii(option))}", hint=_ELSEWHERE
        ) from None
    if option is None or os.path.isdir(path) or option.endswith(("/", os.sep)):  # noqa: PTH112 - as above
        return Destination(folder=path)
    return Destination(folder=path.parent, name=path.name)


def require_free(target: Path, elsewhere: str = _ELSEWHERE) -> None:
    """Check that a file can get this name, and nothing has it.

    Raises:
        OutputExists: (`output_exists`) when something has.
        OutputProblem: (`output_failed`) when no file can be there.
    """
    try:
        target.lstat()
    except FileNotFoundError:
        return
    except OSError as problem:
        reason, place = (problem.strerror or "").lower(), escape(str(target))
        raise OutputProblem(f"no file can be at {place}: {reason}", hint=elsewhere) from None
    place = escape(str(target))
    raise OutputExists(f"{place} exists already, and nothing is overwritten", hint=elsewhere)
