"""`polygent-issue verify`: check license files as the customer's server would."""

from dataclasses import dataclass
from typing import Annotated

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import OptionGroup
from polygent_issuer.cli.options.input_files import MachineInfoFile, PublicKeyFiles, Recursive
from polygent_issuer.cli.output.result import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions(OptionGroup):
    """Which licenses are checked, and as which server at which time."""

    license_files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|DIR...", help="License files or folders; - is stdin."),
    ] = None
    recursive: Recursive = False
    license_id: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="ID",
            autocompletion=candidates.licenses,
            help="One of the registry instead.",
        ),
    ] = None
    customer: Annotated[
        str | None,
        typer.Option(
            "--customer",
            metavar="NAME",
            autocompletion=candidates.customers,
            help="A customer's current ones instead.",
        ),
    ] = None
    machine_info: MachineInfoFile = None
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="TEXT", help="The server's machine.")
    ] = None
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="The request's Host header.")
    ] = None
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="Another time than now.")
    ] = None
    install: Annotated[
        bool, typer.Option("--install", help="As at the upload: within the window, too.")
    ] = False
    public_key: PublicKeyFiles = None


def verify(invocation: Invocation, options: VerifyOptions) -> Result:
    """Check license files as the customer's server would.

    All checks run; each failure says what the customer sees and which command mends it. Without
    --machine-info or --fingerprint the machine that the registry holds for the license is taken.

    Of several files, or of a folder, each is one line as soon as it is judged (with --json an
    object), and a summary ends them. In a folder a file is a license by its ending (.lic) or by its
    content; what else is in it is counted and named.
    """
    from polygent_issuer.cli.flows.verify import run_verify  # not for --help

    return run_verify(invocation, options)
