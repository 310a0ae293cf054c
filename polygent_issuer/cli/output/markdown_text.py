"""Markdown on a terminal. Unlike in rich's own tables, no text is cut off, and words stay whole."""

from typing import ClassVar, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, MarkdownElement, TableElement
from rich.measure import measure_renderables
from rich.syntax import Syntax
from rich.table import Table


class _WholeTable(TableElement):
    """A table with columns as wide as their longest words, as far as the terminal has room."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table):
                _set_widths(part, console, options)
            yield part


def _set_widths(table: Table, console: Console, options: ConsoleOptions) -> None:
    """Set the width of each column if the table is too wide for its lines."""
    ranges = [
        measure_renderables(console, options, [column.header, *column.cells])
        for column in table.columns
    ]
    room = options.max_width - 2 * len(ranges)
    if sum(measured.maximum for measured in ranges) <= room:
        return
    widths = [measured.minimum for measured in ranges]
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    while sum(widths) < room:
        lines = [each.maximum / width for each, width in zip(ranges, widths, strict=True)]
        widths[lines.index(max(lines))] += 1
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
        column.overflow = "fold"


class _WideCode(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, padding=(1, 0))


class _Guide(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "table_open": _WholeTable,
        "fence": _WideCode,
    }


def draw_markdown(text: str, stream: TextIO) -> None:
    """Write Markdown, rendered for a terminal."""
    Console(file=stream).print(_Guide(text, hyperlinks=False))
