"""The option `--against`: a head that was noted earlier, or a file of them."""

from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer import files
from polygent_issuer.errors import InputRefused
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.journal_check import JournalHead, parse_head, parse_noted
from polygent_issuer.text import escape

AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="HEAD|FILE",
        help="A head that was noted earlier, or a file of them; - is stdin.",
    ),
]
_LIMIT = 16 * 1024 * 1024


def noted_heads(against: str | None) -> tuple[JournalHead, ...]:
    """The heads that the option names; none without it.

    Raises:
        InputRefused: (`input_refused`) when it is neither a head nor a file, or the file has a
            line without one.
        UnreadableInput: (`unreadable_input`) when the file cannot be read.
    """
    if against is None:
        return ()
    head = parse_head(against)
    if head is not None:
        return (head,)
    if against != "-" and not Path(against).exists():
        raise InputRefused(
            f"{escape(against)} is neither a head (SIZE:HASH) nor a file of heads",
            hint=Hint("take a head from an earlier `", run("journal", "verify"), "`"),
        )
    data = files.read_unmarked(against, limit=_LIMIT, what="file of noted heads")
    name = "stdin" if against == "-" else escape(against)
    return parse_noted(data.decode("utf-8", "replace"), name)
