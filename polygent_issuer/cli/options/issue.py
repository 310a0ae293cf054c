"""Options of the commands that issue licenses: how, where to, and of a batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.options.common import OptionGroup, option
from polygent_issuer.cli.options.input_files import MachineInfoFile
from polygent_issuer.errors import UsageProblem

EmlFolder = Annotated[
    str | None, option("--eml", "DIR", "Write a mail draft for each contact there, too.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueOptions(OptionGroup):
    """How the operator wants it done; the same for all four."""

    key: Annotated[
        str | None, option("--key", "LABEL|KID", "Sign with another key.", candidates.keys)
    ] = None
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where it goes; - is stdout."),
    ] = None
    eml: EmlFolder = None
    dry_run: Annotated[bool, option("--dry-run", None, "Show what would be issued and stop.")] = (
        False
    )
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Go ahead without asking; accepts no finding.")
    ] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOptions(OptionGroup):
    """Where the licenses of a batch go, and the file that reports on them."""

    bundle: Annotated[Path | None, option("--bundle", "FILE", "All in one archive, FILE.zip.")] = (
        None
    )
    report: Annotated[
        Path | None, option("--report", "FILE", "What became of each: .csv or .json.")
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseSelection(OptionGroup):
    """Which license is meant, and a machine that takes the old one's place."""

    license_ids: Annotated[
        list[str] | None,
        option("--license", "ID", "This one of several; repeatable.", candidates.current_licenses),
    ] = None
    machine: Annotated[
        str | None, option("--machine", "LABEL", "The one of this machine.", candidates.machines)
    ] = None
    all_machines: Annotated[
        bool, option("--all-machines", None, "Each current license; enterprise: one for all.")
    ] = False
    machine_info: MachineInfoFile = None

    def check(self, customers: int) -> None:
        """Refuse options that say two things, or that are of one license where several are meant.

        Args:
            customers: how many are meant.

        Raises:
            UsageProblem: (`usage`) naming what to give instead.
        """
        selectors = (self.license_ids, self.machine, self.all_machines)
        if sum(map(bool, selectors)) > 1:
            raise UsageProblem(
                "two options say which license is meant",
                hint="give one of --license, --machine and --all-machines",
            )
        if customers > 1 and (self.license_ids or self.machine):
            raise UsageProblem(
                "--license and --machine are of one customer", hint="name one customer at a time"
            )
        many = customers > 1 or self.all_machines or len(self.license_ids or ()) > 1
        if self.machine_info and many:
            raise UsageProblem(
                "a machine-info document is of one machine",
                hint="name one customer, and one machine with --machine LABEL",
            )
