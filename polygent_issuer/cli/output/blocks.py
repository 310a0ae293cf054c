"""Blocks of text (lines, named values, tables), and their layout as rows for a width.

No row breaks what a person copies. A *piece* is a word, a path, an ID, a date, a quoted text or a
command. A row ends between two pieces only. A piece that is too long for its place gets a row of
its own; if the screen is too narrow even for that, the terminal wraps it, and no newline is in it.
Without a width (a pipe) nothing is wrapped.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import chain, repeat
from typing import Any, Final, Literal, NamedTuple

from polygent_issuer.text import PROGRAM, Command, Hint, Option, escape

GLOBAL_OPTIONS: ContextVar[Mapping[str, Any]] = ContextVar("global_options")
Style = Literal["plain", "title", "good", "bad", "warn", "dim"]


def at_home(hint: str) -> str:
    """Return a hint with `--home` in its commands if it was given; the variable is inherited."""
    home = GLOBAL_OPTIONS.get({}).get("home")
    return hint if home is None or not isinstance(hint, Hint) else hint.at_home(str(home))


class Line(NamedTuple):
    """One line of text.

    Attributes:
        indent: in steps of two spaces.
        hang: the column of the rows after the first, if the line is too long for the screen.
        verbatim: it is a line of a file, and is never wrapped.
    """

    text: str = ""
    style: Style = "plain"
    indent: int = 0
    hang: int = 0
    verbatim: bool = False


class Fields(NamedTuple):
    """Names and values, aligned; a `None` value is left out."""

    rows: tuple[tuple[str, str | None], ...]


class Table(NamedTuple):
    """Rows under headers; `styles` colours whole rows, in their order."""

    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    styles: Sequence[Style] = ()

    def without_repeated(self, *headers: str) -> "Table":
        """Return the table without those of these columns that have one value in all rows."""
        kept = [
            number
            for number, header in enumerate(self.headers)
            if header not in headers or len({row[number] for row in self.rows}) > 1
        ]
        rows = tuple(tuple(row[number] for number in kept) for row in self.rows)
        return self._replace(headers=tuple(self.headers[number] for number in kept), rows=rows)


Block = Line | Fields | Table


CUT: Final = "..."
_EMOJI: Final = "\ufe0f"
"""Makes an emoji, which is wide, of the character before it."""

Row = tuple[tuple[str, Style | Literal["rule"]], ...]
"""The parts of a row, each with its style."""

GAP: Final = 2
"""Columns of the screen between two of a table, and of one step of indentation."""
_INSTANT: Final = 20
"""The width of an instant. A column of a table is never narrower than its pieces up to this."""
_LEAST: Final = 8
"""The narrowest column for longer pieces, which then get rows of their own."""
_PROSE: Final = 20
"""A text that is longer than this gets a row of its own rather than a narrower last column."""
_MOST_SPACES: Final = 6
"""A path or quoted text with more spaces is not recognised as one."""

_HEADER: Final[tuple[Style]] = ("title",)
_PLAIN: Final[Iterable[Style]] = repeat("plain")
_WORD: Final = r"\s*\S+"
_PATH: Final = r"['(`]*(?:file:)?(?:~?/|[A-Za-z]:\\)"
_SHELL: Final = frozenset({"cp", "mkdir", "rm"})
_ENDS: Final = tuple(",;:)`")


def cells(text: str) -> int:
    """Return how many columns a terminal needs for a text, at most."""
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, room: int) -> str:
    """Return a text in no more than so many columns, with dots where something is missing."""
    if cells(text) <= room:
        return text
    while text and cells(text) > room - len(CUT):
        text = text[:-1]
    return f"{text}{CUT}" if text else ""


def _width(character: str) -> int:
    import unicodedata

    if character == _EMOJI:
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def rows(blocks: Iterable[Block], width: int | None, *, boxes: bool = False) -> Iterator[Row]:
    """Yield the rows of blocks in at most `width` columns; `boxes` draws a rule under headers."""
    for block in blocks:
        if isinstance(block, Line):
            for text in line(block, width):
                yield ((text, block.style),)
        elif isinstance(block, Fields):
            yield from _fields(block, width)
        else:
            yield from _table(block, width, boxes=boxes)


def line(block: Line, width: int | None) -> list[str]:
    """Return a line as rows. The second and later ones are indented by one step more, or `hang`."""
    if block.verbatim:
        return [escape(block.text)]
    text = at_home(block.text)
    start = GAP * block.indent
    whole = " " * start + escape(text)
    if width is None or cells(whole) <= width:
        return [whole.rstrip()]
    return wrapped(text, width, start=start, hang=max(start + GAP, block.hang))


def wrapped(text: str, width: int, *, start: int = 0, hang: int = 0) -> list[str]:
    """Return a text as rows of at most `width` columns, broken between its pieces.

    Args:
        text: a `Hint` knows its commands; in another text they are recognised.
        width: of the screen, in columns.
        start: column of the first row.
        hang: column of the other rows. A piece that does not fit there begins further left.
    """
    lines, current = list[str](), " " * start
    for piece in pieces(text):
        if cells(current) + cells(piece) <= width:
            current += piece
            continue
        if current.strip():
            lines.append(current.rstrip())
        alone = piece.lstrip()
        fits = hang + cells(alone) <= width
        column = hang if fits else max(0, min(hang, start + GAP, width - cells(alone)))
        current = " " * column + alone
    return [*lines, current.rstrip()]


def pieces(text: str) -> list[str]:
    """Split a text into its pieces, each with the white space before it; joined they are it."""
    words = list(re.finditer(_WORD, escape(text)))
    bare = [word[0].strip() for word in words]
    commands = _commands(text) if isinstance(text, Hint) else []
    joined, at = list[str](), 0
    while at < len(words):
        first = words[at].end() - 1
        stop = next((end for begin, end in commands if begin <= first < end), None)
        if stop is None:
            end = _piece_end(bare, at)
        else:
            end = next((n for n in range(at, len(words)) if words[n].end() >= stop), at) + 1
        joined.append("".join(word[0] for word in words[at:end]))
        at = end
    return joined


def _commands(hint: Hint) -> list[tuple[int, int]]:
    """Return where commands, and options with quotes, begin and end in the text of a hint."""
    spans, at = list[tuple[int, int]](), 0
    for part in hint.parts:
        end = at + len(escape(str(part)))
        if isinstance(part, Command) or (isinstance(part, Option) and "'" in str(part)):
            spans.append((at, end))
        at = end
    return spans


def _piece_end(words: Sequence[str], at: int) -> int:
    """Return the index after the last word of the piece that begins at `at`."""
    word = words[at]
    if word == "$":
        return len(words)
    if word.lstrip("`(") == PROGRAM or word in _SHELL:
        return _command_end(words, at)
    if word.startswith("'") and word.count("'") % 2:
        quoted = range(at + 1, min(at + _MOST_SPACES, len(words)))
        return next((n for n in quoted if "'" in words[n]), at) + 1
    if word.startswith("--"):
        return _options_end(words, at)
    return _path_end(words, at) if re.match(_PATH, word) else at + 1


def _command_end(words: Sequence[str], at: int) -> int:
    """Find the comma, semicolon, bracket or backtick that ends a command, outside of quotes."""
    quotes = 0
    for number in range(at, len(words)):
        quotes += words[number].count("'")
        if quotes % 2 == 0 and words[number].rstrip("?")[-1:] in _ENDS:
            return number + 1
    return len(words)


def _options_end(words: Sequence[str], at: int) -> int:
    """Find the end of options with a value each: `--accept CODE --reason TEXT`."""
    end = at
    while end < len(words) and words[end].startswith("--"):
        ends = words[end][-1] in _ENDS or "=" in words[end]
        end += 1 if ends else 2
        if words[min(end, len(words)) - 1][-1] in _ENDS:
            break
    return min(end, len(words))


def _path_end(words: Sequence[str], at: int) -> int:
    """Find the end of a path with spaces: the last word with a slash that begins no other path."""
    end = at
    for number in range(at + 1, min(at + _MOST_SPACES, len(words))):
        if words[number - 1][-1] in _ENDS or re.match(_PATH, words[number]):
            break
        if "/" in words[number] or "\\" in words[number]:
            end = number
    return end + 1


def _fields(block: Fields, width: int | None) -> Iterator[Row]:
    named = [(name, at_home(value)) for name, value in block.rows if value is not None]
    start = GAP
    column = start + max((cells(name) for name, _ in named), default=0) + GAP
    for name, value in named:
        label, gap = " " * start + name, " " * (column - start - cells(name))
        if width is None or column + cells(escape(value)) <= width:
            yield ((label, "dim"), ((gap + escape(value)).rstrip(), "plain"))
        elif column + _longest_piece(value) <= width:
            first, *others = wrapped(value, width - column)
            yield ((label, "dim"), (gap + first, "plain"))
            for text in others:
                yield ((" " * column + text, "plain"),)
        else:
            yield ((label, "dim"),)
            for text in wrapped(value, width, start=start + GAP, hang=start + GAP):
                yield ((text, "plain"),)


def _table(table: Table, width: int | None, *, boxes: bool) -> Iterator[Row]:
    texts = [table.headers, *(tuple(map(escape, row)) for row in table.rows)]
    columns = list(zip(*texts, strict=True))
    widths = [max(map(cells, column)) for column in columns]
    total, is_narrowed = _span(widths), False
    if width is not None and total > width:
        widths, total, is_narrowed = _narrowed(columns, widths, width), width, True
    styles = chain(_HEADER, table.styles, _PLAIN)
    for number, (values, style) in enumerate(zip(texts, styles, strict=False)):
        for text in _row(values, widths, total) if is_narrowed else (_line(values, widths),):
            yield ((text, style),)
        if boxes and number == 0:
            yield (("─" * min(total, _span(widths)), "rule"),)


def _span(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _narrowed(columns: Sequence[Sequence[str]], natural: Sequence[int], width: int) -> list[int]:
    """Return widths that fit: IDs and dates stay whole, then as many other pieces as possible.

    One cell in ten may be longer than its column, if that leaves more to the others. No column is
    wider than half of the screen, except the last one, which gets what the others leave.
    """
    lengths = [sorted(map(_longest_piece, column)) for column in columns]
    longest = [each[-1] for each in lengths]
    usual = [each[min(len(each) * 9 // 10, len(each) - 2)] for each in lengths]
    headers = [_longest_piece(column[0]) for column in columns]
    widths = [
        whole if whole <= _INSTANT else max(_LEAST, header)
        for whole, header in zip(longest, headers, strict=True)
    ]
    if longest[-1] != natural[-1]:  # prose, which may also have rows of its own
        widths[-1] = headers[-1]
    others = range(len(widths) - 1)
    spare = width - GAP * len(others) - sum(widths)
    for goal in (usual, longest, natural):
        for number in sorted(others, key=goal.__getitem__):
            more = max(0, goal[number] - widths[number])
            if more <= spare and goal[number] <= width // 2:
                widths[number] += more
                spare -= more
    widths[-1] += max(0, min(spare, natural[-1] - widths[-1]))
    return widths


def _longest_piece(text: str) -> int:
    if " " not in text:
        return cells(escape(text))
    return max((cells(piece.lstrip()) for piece in pieces(text)), default=0)


def _line(values: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row whose cells all fit into their columns."""
    gap = " " * GAP
    padded = (
        text + " " * (width - cells(text)) for text, width in zip(values, widths, strict=True)
    )
    return gap.join(padded).rstrip()


def _row(values: Sequence[str], widths: Sequence[int], total: int) -> Iterator[str]:
    """Yield the lines of a row. A cell that is too long for its column ends a line."""
    group, start = list[tuple[int, list[str]]](), 0
    for number, (value, width) in enumerate(zip(values, widths, strict=True), 1):
        longest = _longest_piece(value)
        squeezed = number == len(widths) and width < _PROSE < cells(value)
        if longest <= width and not squeezed:
            group.append((start, wrapped(value, width)))
        else:
            in_place = start + longest <= total and not squeezed
            left = start if in_place else max(0, min(start, GAP, total - longest))
            if left < start and any(map(any, (folded for _, folded in group))):
                yield from _side_by_side(group)  # all lines of its row are above it
                group = []
            group.append((left, wrapped(value, max(longest, total - left))))
            yield from _side_by_side(group)
            group = []
        start += width + GAP
    yield from _side_by_side(group)


def _side_by_side(group: Sequence[tuple[int, list[str]]]) -> Iterator[str]:
    """Yield the lines of cells, each at its column."""
    for number in range(max((len(folded) for _, folded in group), default=0)):
        current = ""
        for start, folded in group:
            text = folded[number] if number < len(folded) else ""
            current = (current + " " * (start - cells(current)) + text).rstrip()
        yield current
