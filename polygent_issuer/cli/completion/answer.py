"""What a shell is answered when TAB is pressed; whatever goes wrong gives no candidates."""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, Final

from typer import _completion_classes as of_typer
from typer._click.shell_completion import CompletionItem, ShellComplete

from polygent_issuer.cli.completion import VARIABLE
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import result

_VALUE: Final = re.compile(r"[A-Za-z0-9._:@-]+")
_NOT_PLAIN: Final = re.compile(r"[^\w\s.,:()/@+-]")

# No help of ours has markup, for which rich would be imported.
of_typer._sanitize_help_text = str  # type: ignore[assignment]  # noqa: SLF001


def answer(tool: Any, invocation: Invocation) -> int:  # noqa: ANN401 - Typer's own are private
    """Write the candidates for a line that is being typed, as its shell reads them.

    The environment says which shell asks, and what for. Returns 0; fish asks first whether there
    are any, and gets 1 where there are none.
    """
    invocation.options["quiet"] = True
    text = ""
    try:
        with suppress(Exception, KeyboardInterrupt):
            shell = _SHELLS[invocation.environ[VARIABLE]]
            text = shell(tool, {"obj": invocation}, "polygent-issue", VARIABLE).complete()
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # only help may be other than ASCII
        sys.stdout.write(f"{text}\n" if text else "")
        sys.stdout.flush()
    except result.STREAM_ERRORS as problem:
        result.stdout_failed(problem)  # which lets go of what nobody reads
    return 0


class _Plain(ShellComplete):
    """Candidates that any shell takes for one word, with help that it takes for text."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what Typer finds, without what would have to be quoted."""
        words = [word for word in args if word != "="]  # bash breaks --option=value in three
        return [
            CompletionItem(item.value, help=_plain(item.help or ""))
            for item in super().get_completions(words, incomplete)
            if _VALUE.fullmatch(item.value)
        ]


def _plain(text: str) -> str:
    return " ".join(_NOT_PLAIN.sub("", text.replace(";", ",")).split())


_SHELLS: Final[Mapping[str, type[ShellComplete]]] = {
    f"complete_{of_shell.name}": type(of_shell.__name__, (_Plain, of_shell), {})
    for of_shell in (
        of_typer.BashComplete,
        of_typer.ZshComplete,
        of_typer.FishComplete,
        of_typer.PowerShellComplete,
    )
}
