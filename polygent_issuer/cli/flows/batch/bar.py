"""The progress bar of a batch, drawn by rich and removed at the end."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import TextIOBase

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


class _Above(TextIOBase):
    """A stream that prints lines above the bar, since other consoles would write into it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""

    def isatty(self) -> bool:
        """Return True, since the lines go to the terminal of the bar."""
        return True

    def write(self, text: str) -> int:
        """Print each line as soon as it is complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)


@contextmanager
def bar(activity: str, total: int) -> Iterator[Callable[[], None]]:
    """Draw a bar with count, rate and time left on stderr; yield the function that advances it."""
    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
    columns = (
        TextColumn(activity, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    same_screen = sys.stdout is not None and sys.stdout.isatty()
    drawn = Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with drawn, ExitStack() as redirected:
        redirected.enter_context(redirect_stderr(_Above(console)))
        if same_screen:
            redirected.enter_context(redirect_stdout(_Above(console)))
        task = drawn.add_task(activity, total=total)
        yield lambda: drawn.advance(task)
