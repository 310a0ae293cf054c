"""Options of the commands that issue many licenses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer.cli.options import OptionGroup


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOptions(OptionGroup):
    """Where the licenses of a batch go, and the file that reports on them."""

    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="All in one archive, FILE.zip."),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="What became of each: .csv or .json."),
    ] = None
