"""What may stand where the cursor is."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from polygent_issuer.cli.completion.asked import Asked
from polygent_issuer.cli.completion.cursor import Cursor, name_of
from polygent_issuer.cli.completion.reply import Candidate, Kind, Reply
from polygent_issuer.cli.completion.sources import SOURCES
from polygent_issuer.text import shown

PATHS: Final = {"FILE": Kind.FILES, "FILE|DIR": Kind.FILES, "DIR": Kind.FOLDERS}
"""What the shell finds by itself, by the metavar."""

_HELP: Final = Candidate("--help", "Show what the command does.")


def reply(cursor: Cursor, environ: Mapping[str, str]) -> Reply:
    """The candidates for the word at the cursor.

    What cannot be shown as it is, is not offered: what a shell would insert then is not the name.
    """
    before, word = cursor.before, cursor.word
    kind = _kind(cursor)
    if kind is Kind.FOLDERS or kind is Kind.FILES:
        scheme = "file:" if word.startswith("file:") else ""
        return Reply(kind=kind, before=before + scheme)
    found = [
        Candidate(before + each.value, shown(each.told))
        for each in _candidates(cursor, environ)
        if each.value.startswith(word) and shown(each.value) == each.value
    ]
    ends_open = len(found) == 1 and found[0].value.endswith(":")
    return Reply(kind=Kind.OPEN if ends_open else Kind.WORDS, candidates=tuple(found))


def source_of(path: tuple[str, ...], parameter: Any) -> str | None:  # noqa: ANN401 - Typer's own are private
    """The name in `SOURCES` of what a parameter takes, if there is one."""
    name = name_of(parameter)
    own = " ".join((*path, name))
    return next((one for one in (own, name) if one in SOURCES), None)


def _kind(cursor: Cursor) -> Kind:
    parameter = cursor.parameter
    typing_option = cursor.may_be_option and cursor.word.startswith("-")
    if parameter is None or typing_option or source_of(cursor.path, parameter):
        is_place = cursor.word.startswith("file:") and parameter is not None
        return Kind.FILES if is_place and name_of(parameter) == "--store" else Kind.WORDS
    return PATHS.get(str(parameter.metavar or "").strip("[]."), Kind.WORDS)


def _candidates(cursor: Cursor, environ: Mapping[str, str]) -> Iterator[Candidate]:
    if cursor.may_be_option and cursor.word.startswith("-"):
        yield from _options(cursor)
    elif cursor.parameter is not None:
        yield from _values(Asked(cursor=cursor, environ=environ), cursor.parameter)
    elif cursor.entry.entries:
        for entry in cursor.entry.entries:
            yield Candidate(entry.name, entry.help)
    else:
        yield from _options(cursor)


def _options(cursor: Cursor) -> Iterator[Candidate]:
    """Those that were not given yet, or may be given again."""
    for option in cursor.options:
        again = option.multiple or name_of(option) not in cursor.given
        if again and not option.hidden:
            yield Candidate(name_of(option), option.help or "")
    yield _HELP


def _values(asked: Asked, parameter: Any) -> Iterator[Candidate]:  # noqa: ANN401 - Typer's own are private
    source = source_of(asked.cursor.path, parameter)
    if source is not None:
        yield from SOURCES[source](asked)
    else:
        yield from map(Candidate, getattr(parameter.type, "choices", ()))
