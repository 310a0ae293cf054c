"""`polygent-issue doctor`: what is wrong, and how to mend it."""

from typing import Annotated

import typer

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.result import Result


def doctor(
    invocation: Invocation,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what reads the whole registry.")
    ] = False,
) -> Result:
    """Look for what is wrong, and say which command mends it.

    Nothing is changed, nobody is asked. Exit 0 with warnings; else the exit code of what failed
    first: 3 settings, 6 key, 7 home or registry.
    """
    from polygent_issuer.cli.output.doctor_report import Findings
    from polygent_issuer.doctor import examine

    option = invocation.options.get("home")
    found = examine(option, invocation.environ, now=invocation.now, quick=quick)
    return Findings(examination=found)
