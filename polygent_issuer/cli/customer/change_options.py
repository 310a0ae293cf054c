"""The options of `customer edit`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.options import OptionGroup
from polygent_issuer.errors import UsageProblem


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOptions(OptionGroup):
    """Everything about a customer that may change."""

    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="For licenses from now on.")
    ] = None
    contact: Annotated[
        list[str] | None,
        typer.Option(
            "--contact",
            metavar="EMAIL",
            help="An address or a name, instead of all so far; repeatable.",
        ),
    ] = None
    no_contacts: Annotated[bool, typer.Option("--no-contacts", help="Forget them all.")] = False
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="Such as Europe/Berlin.")
    ] = None
    no_time_zone: Annotated[bool, typer.Option("--no-time-zone", help="Forget it.")] = False
    crm: Annotated[
        str | None, typer.Option("--crm", metavar="TEXT", help="The reference in your own books.")
    ] = None
    no_crm: Annotated[bool, typer.Option("--no-crm", help="Forget it.")] = False
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="LABEL",
            autocompletion=candidates.machines,
            help="Rename this machine.",
        ),
    ] = None
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="Its new label.")
    ] = None


def require_sense(wanted: ChangeOptions) -> None:
    """Refuse options that say nothing, or against each other.

    Raises:
        UsageProblem: (`usage`) naming them.
    """
    if wanted == ChangeOptions():
        raise UsageProblem(
            "nothing to change was named",
            hint="--name, --contact, --time-zone, --crm, or --machine with --label",
        )
    for one, other, said in (
        ("--contact", "--no-contacts", wanted.contact and wanted.no_contacts),
        ("--time-zone", "--no-time-zone", wanted.time_zone and wanted.no_time_zone),
        ("--crm", "--no-crm", wanted.crm and wanted.no_crm),
    ):
        if said:
            raise UsageProblem(f"{one} and {other} contradict each other", hint="one of them")
    if (wanted.machine is None) != (wanted.label is None):
        raise UsageProblem(
            "a machine is renamed with both its labels", hint="--machine OLD --label NEW"
        )
