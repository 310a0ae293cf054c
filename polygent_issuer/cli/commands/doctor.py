"""`polygent-issue doctor`: check the installation and suggest fixes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.blocks import Line, Style
from polygent_issuer.cli.output.result import Report, hint_json
from polygent_issuer.text import Hint, counted

if TYPE_CHECKING:
    from polygent_issuer.doctor import Examination

_MARKS: Final[Mapping[str, tuple[str, Style]]] = {
    "ok": ("ok", "good"),
    "warn": ("warn", "warn"),
    "fail": ("fail", "bad"),
    "not_checked": ("--", "dim"),
}
"""Mark and style of each state."""


def doctor(
    invocation: Invocation,
    quick: bool = flag("--quick", "Skip checks that read the whole registry."),
) -> Report:
    """Check the installation and suggest fixes.

    The command changes nothing and never prompts. The exit code is that of the first failure: 3 for
    settings, 6 for a key, 7 for home or registry. Warnings alone exit with 0.
    """
    from polygent_issuer.cli.commands.config import entries_json
    from polygent_issuer.doctor import examine

    option = invocation.options.get("home")
    examination = examine(option, invocation.environ, now=invocation.now, quick=quick)
    count = Counter(str(row.state) for row in examination.rows)
    members = {
        "rows": [
            {
                "name": row.name,
                "state": str(row.state),
                "message": row.message,
                **hint_json(row.fix, "mend"),
            }
            for row in examination.rows
        ],
        "count": {state: count[state] for state in _MARKS},
        "settings": entries_json(examination.settings),
    }
    idle = not (count["fail"] or count["warn"])
    return Report(members, _text(examination, count), examination.exit_code, is_idle=idle)


def _text(examination: "Examination", count: Counter[str]) -> Iterator[Line]:
    width = max(len(row.name) for row in examination.rows)
    column = 4 + 2 + width + 2
    for row in examination.rows:
        mark, style = _MARKS[row.state]
        text = f"{mark:<4}  {row.name:<{width}}  {row.message}"
        yield Line(text, style, hang=column)
        if row.fix is not None:
            yield Line(Hint("fix: ", row.fix), indent=3)
    parts = [
        f"{count['ok']} ok",
        counted(count["warn"], "warning"),
        counted(count["fail"], "failure"),
    ]
    if count["not_checked"]:
        parts.append(f"{count['not_checked']} not checked")
    worst = next((state for state in ("fail", "warn") if count[state]), "ok")
    yield Line(", ".join(parts), _MARKS[worst][1])
