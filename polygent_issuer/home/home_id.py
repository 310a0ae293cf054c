"""The id of a home, by which a registry that several homes share knows whose files are pending.

It is a file of its own in the home, so that a copy of the folder keeps it. The first command that
writes to the registry creates it.
"""

import re
from pathlib import Path
from typing import Final

from polygent_issuer import files
from polygent_issuer.errors import HomeProblem, OutputExists, UnreadableInput
from polygent_issuer.hints import Hint, run
from polygent_issuer.text import escape

HOME_ID_FILE: Final = "home-id"
_LIMIT: Final = 100
_ID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")


def read(home: Path) -> str | None:
    """Return the id of a home; None if it has none yet.

    Raises:
        HomeProblem: (`home_problem`, `unsafe_file`) when the file cannot be read, is not an id, or
            another user may write to it.
    """
    path = home / HOME_ID_FILE
    if not path.exists():
        return None
    try:
        text = files.read_text(str(path), limit=_LIMIT, what="home's id", trusted=True).strip()
    except UnreadableInput as refused:
        raise _not_an_id(refused.message) from None
    if not _ID.fullmatch(text):
        raise _not_an_id(f"{escape(str(path))} does not contain the id of a home")
    return text


def ensure(home: Path, new_id: str) -> str:
    """Return the id of a home; it becomes `new_id` if it has none yet.

    Raises:
        HomeProblem: as `read`.
        OutputProblem: (`output_failed`) when it cannot be written.
    """
    present = read(home)
    if present is not None:
        return present
    try:
        files.write_private(f"{new_id}\n".encode(), home / HOME_ID_FILE)
    except OutputExists:  # of another command
        return read(home) or new_id
    return new_id


def _not_an_id(message: str) -> HomeProblem:
    return HomeProblem(
        message,
        hint=Hint(
            "remove the file: a new one is created; licenses that were not delivered are in ",
            run("doctor"),
        ),
    )
