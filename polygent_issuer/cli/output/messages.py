"""Lines for the person on stderr, beside what a command gives back."""

import sys
from typing import TYPE_CHECKING

from polygent_issuer.cli.output.broken_pipe import STREAM_ERRORS, discard
from polygent_issuer.cli.output.plain_text import is_plain
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.cli.output.model import Style


def note(label: str, message: str, *, style: "Style" = "warn") -> None:
    """Say it behind a label; lost without complaint when stderr is."""
    try:
        if is_plain(sys.stderr):
            sys.stderr.write(f"{label}: {escape(message)}\n")
        else:
            from polygent_issuer.cli.output.rich_text import draw_note

            draw_note(label, message, style, sys.stderr)
        sys.stderr.flush()
    except STREAM_ERRORS:
        discard(sys.stderr)
