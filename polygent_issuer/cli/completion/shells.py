"""The shells: how each tells what is being typed, and how it is answered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from polygent_issuer.cli.completion import bash_words
from polygent_issuer.cli.completion.reply import Reply

WORDS_VARIABLE = "POLYGENT_ISSUER_COMPLETE"
"""Where PowerShell puts the words, one a line: it drops empty arguments and eats quotes."""

_LISTING = "63"  # COMP_TYPE: the second TAB only lists, so there is room for a word of help
_QUOTES = "'\u2018\u2019\u201a\u201b"  # PowerShell ends a text at any of these
_BARE = "_./:-"


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """What a shell said: the words after the tool's name, and how the last one is written."""

    shell: Shell
    words: tuple[str, ...]
    last: bash_words.Word
    replaced: str = ""
    listing: bool = False


def typed(argv: Sequence[str], environ: Mapping[str, str]) -> Typed:
    """What is being typed, from the arguments that a script gives.

    Args:
        argv: the shell, and then: of bash COMP_TYPE, the line up to the cursor and the word as
            readline sees it; of zsh and fish the words, the last one still quoted; of PowerShell
            nothing, since its words are in the environment.

    Raises:
        LookupError, ValueError: for arguments that no script of ours gives.
    """
    shell = Shell(argv[0])
    if shell is Shell.BASH:
        kind, line, replaced = argv[1:]
        _tool, *words = bash_words.split(line)
        return Typed(
            shell=shell,
            words=tuple(word.plain for word in words),
            last=words[-1],
            replaced=replaced,
            listing=kind == _LISTING,
        )
    if shell is Shell.POWERSHELL:
        given = environ[WORDS_VARIABLE].split("\n")
        plain = _from_powershell(given[-1])
    else:
        given = list(argv[1:])
        plain = bash_words.plain(given[-1])
    last = bash_words.Word(raw=given[-1], plain=plain, quote="")
    return Typed(shell=shell, words=(*given[:-1], last.plain), last=last)


def lines(typed: Typed, reply: Reply) -> Iterator[str]:
    """The answer as the shell's script reads it."""
    yield f"{reply.kind}\t{reply.before}" if reply.before else str(reply.kind)
    for candidate in reply.candidates:
        value, told = candidate.value, candidate.told
        if typed.shell is Shell.BASH:
            written = bash_words.written(value, typed.last, typed.replaced)
            if written is not None:
                beside = typed.listing and len(reply.candidates) > 1 and told
                yield f"{written}  ({told})" if beside else written
        elif typed.shell is Shell.POWERSHELL:
            yield f"{_for_powershell(value)}\t{value}\t{told or value}"
        else:
            yield f"{value}\t{told}" if told else value


def _from_powershell(raw: str) -> str:
    quote = raw[:1] if raw[:1] in (*_QUOTES, '"') else ""
    return raw[1:].replace(quote * 2, quote) if quote else raw


def _for_powershell(value: str) -> str:
    if value.isascii() and value and all(c.isalnum() or c in _BARE for c in value):
        return value
    return "'" + "".join(c * 2 if c in _QUOTES else c for c in value) + "'"
