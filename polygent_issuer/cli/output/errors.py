"""How the error looks that ended a command."""

import sys
from typing import Any

from polygent_issuer.cli.output.broken_pipe import STREAM_ERRORS, BrokenPipe, StdoutError, discard
from polygent_issuer.cli.output.hint_json import finding_json, hint_json
from polygent_issuer.cli.output.messages import note
from polygent_issuer.cli.output.result import write_json
from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import ConsentNeeded


def write_error(error: IssuerError, *, as_json: bool, in_line: bool = False) -> None:
    """Say an error: JSON on stdout (one line of it after others), or text on stderr."""
    if isinstance(error, BrokenPipe):
        return
    if as_json and not isinstance(error, StdoutError):
        try:
            write_json({"error": _error_json(error)}, in_line=in_line)
        except STREAM_ERRORS:
            discard(sys.stdout)
        else:
            return
    note("error", error.message, style="bad")
    if error.hint:
        note("hint", error.hint)


def _error_json(error: IssuerError) -> dict[str, Any]:
    members: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        **hint_json(error.hint),
        "exit_code": int(error.exit_code),
    }
    if isinstance(error, ConsentNeeded):
        members["findings"] = [finding_json(finding) for finding in error.findings]
    return members
