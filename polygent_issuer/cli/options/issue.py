"""Options of the commands that issue licenses: how, where to, and of a batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.consent import YesButFindings
from polygent_issuer.cli.options.common import OptionGroup, flag, option
from polygent_issuer.cli.options.input_files import MachineInfoFile
from polygent_issuer.errors import UsageProblem

EmlFolder = Annotated[
    str | None, option("--eml", "DIR", "Write a mail draft for each contact there, too.")
]


LicenseFile = Annotated[
    str | None, option("--output", "FILE|DIR", "Where it goes; - is stdout.", short="-o")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueOptions(OptionGroup):
    """How the operator wants it done; the same for all four."""

    key: Annotated[
        str | None, option("--key", "LABEL|KID", "Sign with another key.", candidates.keys)
    ] = None
    output: LicenseFile = None
    eml: EmlFolder = None
    dry_run: Annotated[bool, flag("--dry-run", "Show what would be issued and stop.")] = False
    yes: YesButFindings = False


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
        bool, flag("--all-machines", "Each current license; enterprise: one for all.")
    ] = False
    machine_info: MachineInfoFile = None

    def check(self, customers: int) -> None:
        """Refuse options that say two things, or are of one license where `customers` are several.

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
