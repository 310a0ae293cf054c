"""`polygent-issue verify`: check license files as the customer's server would."""

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.input_files import VerifyOptions
from polygent_issuer.cli.output.result import Result


def verify(invocation: Invocation, options: VerifyOptions) -> Result:
    """Check license files as a server would.

    All checks run; each failure says what the customer sees and which command mends it. Without
    --machine-info or --fingerprint the machine that the registry holds for the license is taken.

    Of several files, or of a folder, each is one line as soon as it is judged (with --json an
    object), and a summary ends them. In a folder a file is a license by its ending (.lic) or by its
    content; what else is in it is counted and named.
    """
    from polygent_issuer.cli.flows.verify import run_verify  # not for --help

    return run_verify(invocation, options)
