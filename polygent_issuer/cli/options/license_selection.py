"""Which license `renew` and `reissue` follow, and whether the options agree on that."""

from dataclasses import dataclass
from typing import Annotated

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.options.common import OptionGroup
from polygent_issuer.cli.options.machine_info import MachineInfoFile
from polygent_issuer.errors import UsageProblem


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseSelection(OptionGroup):
    """Which license is meant, and a machine that takes the old one's place."""

    license_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--license",
            metavar="ID",
            autocompletion=candidates.current_licenses,
            help="This one of several; repeatable.",
        ),
    ] = None
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="LABEL",
            autocompletion=candidates.machines,
            help="The one of this machine.",
        ),
    ] = None
    all_machines: Annotated[
        bool, typer.Option("--all-machines", help="Each current license; enterprise: one for all.")
    ] = False
    machine_info: MachineInfoFile = None


def refuse_contradictions(which: LicenseSelection, customers: int) -> None:
    """Refuse options that say two things, or that are of one license where several are meant.

    Args:
        customers: how many are meant.

    Raises:
        UsageProblem: (`usage`) naming what to give instead.
    """
    selectors = (which.license_ids, which.machine, which.all_machines)
    if sum(bool(selector) for selector in selectors) > 1:
        raise UsageProblem(
            "two options say which license is meant",
            hint="give one of --license, --machine and --all-machines",
        )
    if customers > 1 and (which.license_ids or which.machine):
        raise UsageProblem(
            "--license and --machine are of one customer", hint="name one customer at a time"
        )
    many = customers > 1 or which.all_machines or len(which.license_ids or ()) > 1
    if which.machine_info and many:
        raise UsageProblem(
            "a machine-info document is of one machine",
            hint="name one customer, and one machine with --machine LABEL",
        )
