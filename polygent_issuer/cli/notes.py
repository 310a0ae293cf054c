"""Lines for the person on stderr, beside what a command gives back."""

import sys
from typing import TYPE_CHECKING

from polygent_issuer.cli.gone_streams import GONE, silence
from polygent_issuer.cli.plain_text import is_plain
from polygent_issuer.text import shown

if TYPE_CHECKING:
    from polygent_issuer.cli.blocks import Style


def note(label: str, message: str, *, style: "Style" = "warn") -> None:
    """Say it behind a label; lost without complaint when stderr is."""
    try:
        if is_plain(sys.stderr):
            sys.stderr.write(f"{label}: {shown(message)}\n")
        else:
            from polygent_issuer.cli.colour import draw_note

            draw_note(label, message, style, sys.stderr)
        sys.stderr.flush()
    except GONE:
        silence(sys.stderr)
