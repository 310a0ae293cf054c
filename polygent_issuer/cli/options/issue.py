"""Options of the commands that issue licenses: how, where to, and of a batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.options.common import OptionGroup

EmlFolder = Annotated[
    str | None,
    typer.Option("--eml", metavar="DIR", help="Write a mail draft for each contact there, too."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueOptions(OptionGroup):
    """How the operator wants it done; the same for all four."""

    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="LABEL|KID",
            autocompletion=candidates.keys,
            help="Sign with another key.",
        ),
    ] = None
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where it goes; - is stdout."),
    ] = None
    eml: EmlFolder = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be issued and stop.")
    ] = False
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Go ahead without asking; accepts no finding.")
    ] = False


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
