"""What ended a command, as an error of ours: whatever was raised has a code, an exit and a hint."""

from typing import TYPE_CHECKING

import typer

from polygent_issuer.errors import ExitCode, InputRefused, InternalError, IssuerError

if TYPE_CHECKING:
    from polygent_issuer.verifier.errors import VerifierError


class Refused(InputRefused):
    """What the verifier refuses outside of a verdict: a public key, a domain."""

    def __init__(self, error: "VerifierError") -> None:
        """Carry over what the verifier said."""
        super().__init__(error.message, hint=error.hint)
        self.code = error.code  # type: ignore[misc] # stable, but its own


class Interrupted(IssuerError):
    """Ctrl-C, or the end of input at a question."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


def told(raised: BaseException) -> IssuerError:
    """What ended the command, as an error of ours."""
    from polygent_issuer.cli.usage import usage
    from polygent_issuer.verifier.errors import VerifierError

    if isinstance(raised, IssuerError):
        return raised
    if isinstance(raised, VerifierError):
        return Refused(raised)
    if isinstance(raised, KeyboardInterrupt | typer.Abort):
        return Interrupted("interrupted; what was acknowledged is kept")
    if isinstance(raised, typer.TyperException):
        return usage(raised)
    return InternalError.at(raised)
