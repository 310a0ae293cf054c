"""`polygent-issue verify`: check license files as the customer's server would."""

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.input_files import VerifyOptions
from polygent_issuer.cli.output.result import Result


def verify(invocation: Invocation, options: VerifyOptions) -> Result:
    """Check license files as a server would.

    All checks run. Each failure states what the customer sees, and the command that fixes it.
    Without --machine-info or --fingerprint the license is compared with its machine in the
    registry.

    For several files, or a folder, one line for each file (with --json an object) is printed as
    soon as it is verified, then a summary. In a folder a file is a license if its name ends in .lic
    or its content is a license. Other files are counted and listed.
    """
    from polygent_issuer.cli.flows.verify import run_verify  # not for --help

    return run_verify(invocation, options)
