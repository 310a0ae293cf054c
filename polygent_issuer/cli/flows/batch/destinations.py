"""Destinations of a batch: a folder or an archive, checked before anything is signed."""

import os
from pathlib import Path

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import streams
from polygent_issuer.errors import OutputProblem, UsageProblem
from polygent_issuer.issuing.destination import Destination, resolve
from polygent_issuer.text import escape, for_shell


def archive(invocation: Invocation, option: Path | None, output: str | None) -> Bundle | None:
    """Return the archive that was asked for, after checking that it can be written.

    Raises:
        UsageProblem: (`usage`) for an archive and a folder at once.
        OutputProblem: (`output_failed`) when the home folder for `~` is unknown, and as
                `Bundle.check`.
    """
    if option is None:
        return None
    if output is not None:
        raise UsageProblem("--bundle and --output are two places", hint="give one of them")
    window = invocation.settings.upload_window_or_assumed
    try:
        path = option.expanduser().absolute()
    except (RuntimeError, OSError):
        raise OutputProblem(
            f"the home folder for ~ is unknown: {escape(str(option))}",
            hint="write the whole path after --bundle",
        ) from None
    bundle = Bundle(path, window=window)
    bundle.check()
    return bundle


def folder(invocation: Invocation, option: str | None) -> Destination:
    """Return the folder of a batch.

    Raises:
        UsageProblem: (`usage`) for a single file, or stdout.
        OutputProblem: (`output_failed`) when it is not there or takes no files.
    """
    destination = resolve(option, invocation.settings.output, streams.write_bytes)
    if destination.folder is None:
        raise UsageProblem(
            "a batch makes many files, which do not fit into stdout",
            hint="--output FOLDER, or --bundle FILE.zip",
        )
    if destination.name is not None:
        place = str(destination.folder / destination.name)
        raise UsageProblem(
            f"a batch makes many files, and {escape(place)} is no folder",
            hint="--output FOLDER" if os.path.lexists(place) else f"mkdir -p {for_shell(place)}",
        )
    destination.check(())
    return destination
