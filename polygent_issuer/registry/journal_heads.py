"""Heads of the journal that were noted elsewhere: how they are written, and read again.

A head is `SIZE:HASH`: how many rows there were, and the hash of the last one in hex. A file of
them has one a line, the instant before it and the registry's id after it; blank lines and lines
that begin with `#` are for people.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.hints import Hint, run
from polygent_issuer.terms import dates
from polygent_issuer.text import escape, escape_short

HEAD: Final = re.compile(r"(?:([0-9]{1,15}):)?([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalHead:
    """A head that was noted earlier.

    Attributes:
        size: how many rows the journal had then; None when only the hash was kept.
        digest: the hash of the last of them, 32 bytes.
        told: what a message calls it.
    """

    size: int | None
    digest: bytes
    told: str = "the noted head"


def head_text(size: int, digest: str) -> str:
    """A head as `--against` takes it later.

    Args:
        digest: the hash in hex.
    """
    return f"{size}:{digest}"


def noted_line(size: int, digest: str, *, now: datetime, registry_id: str) -> str:
    """A line of a file of noted heads.

    Args:
        now: when it is noted, aware.
    """
    return f"{dates.instant(now)} {head_text(size, digest)} {escape(registry_id)}"


def parse_head(text: str) -> JournalHead | None:
    """The head that a text is; None when it is none."""
    match = HEAD.fullmatch(text.strip())
    if match is None:
        return None
    size, digest = match.groups()
    return JournalHead(size=None if size is None else int(size), digest=bytes.fromhex(digest))


def parse_noted(text: str, name: str) -> tuple[JournalHead, ...]:
    """The heads of a file, in its order.

    Args:
        text: what the file holds.
        name: what a message calls the file, safe to show.

    Raises:
        InputRefused: (`input_refused`) when a line holds no head, or the file none at all.
    """
    heads = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        found = next(filter(None, map(parse_head, words)), None)
        if found is None:
            raise InputRefused(
                f"line {number} of {name} holds no head: {escape_short(line)}",
                hint=Hint("a head is SIZE:HASH, as `", run("journal", "verify"), "` prints it"),
            )
        told = f"the head noted in line {number} of {name}"
        heads.append(JournalHead(size=found.size, digest=found.digest, told=told))
    if not heads:
        raise InputRefused(
            f"{name} holds no head",
            hint=Hint("note one: ", run("journal", "verify", "--note", "FILE")),
        )
    return tuple(heads)
