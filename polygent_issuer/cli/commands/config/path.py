"""`polygent-issue config path`: print the path of the settings file."""

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.home.settings import settings_path


def path(invocation: Invocation) -> Report:
    """Print the path of the settings file."""
    file = str(settings_path(invocation.home))
    return Report({"path": file}, [Line(file)])
