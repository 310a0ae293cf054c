"""Words as bash writes them: read from a line that is still being typed, and written into it.

Fish and zsh quote alike where it matters here, so their unfinished word is read the same way.
Nothing is expanded: what a variable or a command would give is not known, nor asked for.
"""

from dataclasses import dataclass

_ESCAPED_IN_DOUBLE = '$`"\\'
_SAFE = "_./:=@%+,-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word of a line.

    Attributes:
        raw: as it is typed.
        plain: without quotes and backslashes.
        quote: the quote that is still open at its end, or nothing.
    """

    raw: str
    plain: str
    quote: str


def split(line: str) -> list[Word]:
    """The words of an unfinished line; the last one is at its end, and empty after white space."""
    words, raw, plain, quote = [], "", "", ""
    characters = iter(line)
    for character in characters:
        if not quote and character.isspace():
            if raw:
                words.append(Word(raw=raw, plain=plain, quote=quote))
            raw = plain = ""
            continue
        raw += character
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == "\\" and quote != "'":
            following = next(characters, "")
            raw += following
            kept = quote and following not in _ESCAPED_IN_DOUBLE
            plain += f"\\{following}" if kept else following
        else:
            plain += character
    return [*words, Word(raw=raw, plain=plain, quote=quote)]


def plain(raw: str) -> str:
    """One unfinished word without its quotes, white space kept as it is."""
    return " ".join(word.plain for word in split(raw)) if raw.strip() else ""


def written(value: str, word: Word, replaced: str) -> str | None:
    """How a value is put into the place of a word that is being typed.

    Args:
        value: the whole word that is meant.
        word: what is there of it.
        replaced: the end of it that readline replaces: it breaks words at `=`, `:` and quotes.

    Returns:
        None when it cannot be written there: a `!` within double quotes is history.
    """
    kept = word.raw.removesuffix(replaced)
    before = split(kept)[-1].plain if kept else ""
    if not value.startswith(before) or (word.quote == '"' and "!" in value):
        return None
    rest = value[len(before) :]
    if word.quote == '"':
        return "".join(f"\\{c}" if c in _ESCAPED_IN_DOUBLE else c for c in rest)
    if word.quote == "'":
        return rest.replace("'", "'\\''")
    return "".join(c if c.isalnum() or c in _SAFE else f"\\{c}" for c in rest)
