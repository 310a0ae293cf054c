"""`polygent-issue doctor`: what is wrong, and how to mend it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.json_text import at_home, hint_json
from polygent_issuer.cli.output.model import Block, Line, Style
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import ExitCode

if TYPE_CHECKING:
    from polygent_issuer.doctor import Examination

_MARKS: Final[Mapping[str, tuple[str, Style]]] = {
    "ok": ("ok", "good"),
    "warn": ("warn", "warn"),
    "fail": ("fail", "bad"),
    "not_checked": ("--", "dim"),
}
"""How each state looks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings(Result):
    """Everything that was looked at: a line for each row, and below it what mends it."""

    examination: "Examination"

    @property
    def exit_code(self) -> ExitCode:
        """0 with warnings; else that of the first failure."""
        return self.examination.exit_code

    def to_json(self) -> Mapping[str, Any]:
        """`rows`, how many there are of each state, and the `settings` that were chosen."""
        from polygent_issuer.cli.commands.config.show import entries_json

        count = self._count()
        return {
            "rows": [
                {
                    "name": row.name,
                    "state": str(row.state),
                    "message": row.message,
                    **hint_json(row.fix, "mend"),
                    "mend": at_home(row.fix),
                }
                for row in self.examination.rows
            ],
            "count": {state: count[state] for state in _MARKS},
            "settings": entries_json(self.examination.settings),
        }

    def blocks(self) -> Iterable[Block]:
        """The rows, and their sum."""
        width = max(len(row.name) for row in self.examination.rows)
        for row in self.examination.rows:
            mark, style = _MARKS[row.state]
            yield Line(f"{mark:<4}  {row.name:<{width}}  {row.message}", style)
            if row.fix is not None:
                yield Line(f"{'':<{4 + 2 + width}}  mend: {at_home(row.fix)}")
        count = self._count()
        parts = [
            f"{count['ok']} ok",
            f"{count['warn']} warning{'' if count['warn'] == 1 else 's'}",
            f"{count['fail']} failure{'' if count['fail'] == 1 else 's'}",
        ]
        if count["not_checked"]:
            parts.append(f"{count['not_checked']} not checked")
        worst = next((state for state in ("fail", "warn") if count[state]), "ok")
        yield Line(", ".join(parts), _MARKS[worst][1])

    def _count(self) -> Counter[str]:
        return Counter(str(row.state) for row in self.examination.rows)


def doctor(
    invocation: Invocation,
    quick: Annotated[bool, flag("--quick", "Leave out what reads the whole registry.")] = False,
) -> Result:
    """Look for what is wrong, and say which command mends it.

    Nothing is changed, nobody is asked. Exit 0 with warnings; else the exit code of what failed
    first: 3 settings, 6 key, 7 home or registry.
    """
    from polygent_issuer.doctor import examine

    option = invocation.options.get("home")
    return Findings(
        examination=examine(option, invocation.environ, now=invocation.now, quick=quick)
    )
