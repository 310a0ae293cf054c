"""How an examination looks: a line for each row, and below it what mends it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from polygent_issuer.cli.commands.config.show import entries_json
from polygent_issuer.cli.output.hint_json import at_home, hint_json
from polygent_issuer.cli.output.model import Block, Line, Style
from polygent_issuer.cli.output.result import Result
from polygent_issuer.doctor import Examination, Row, State
from polygent_issuer.errors import ExitCode

_MARKS: Final[Mapping[State, tuple[str, Style]]] = {
    State.OK: ("ok", "good"),
    State.WARN: ("warn", "warn"),
    State.FAIL: ("fail", "bad"),
    State.NOT_CHECKED: ("--", "dim"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings(Result):
    """Everything that was looked at."""

    examination: Examination

    @property
    def exit_code(self) -> ExitCode:
        """0 with warnings; else that of the first failure."""
        return self.examination.exit_code

    def to_json(self) -> Mapping[str, Any]:
        """`rows`, how many there are of each state, and the `settings` that were chosen."""
        found = self.examination
        return {
            "rows": [
                {
                    "name": row.name,
                    "state": str(row.state),
                    "message": row.message,
                    **hint_json(row.mend, "mend"),
                    "mend": at_home(row.mend),
                }
                for row in found.rows
            ],
            "count": {str(state): found.count(state) for state in State},
            "settings": entries_json(found.settings),
        }

    def blocks(self) -> Iterable[Block]:
        """The rows, and their sum."""
        rows = self.examination.rows
        width = max(len(row.name) for row in rows)
        for row in rows:
            yield from _drawn(row, width)
        yield Line(self._sum(), _worst(rows))

    def _sum(self) -> str:
        count = self.examination.count
        warnings, failures = count(State.WARN), count(State.FAIL)
        parts = [
            f"{count(State.OK)} ok",
            f"{warnings} warning{'' if warnings == 1 else 's'}",
            f"{failures} failure{'' if failures == 1 else 's'}",
        ]
        if left_out := count(State.NOT_CHECKED):
            parts.append(f"{left_out} not checked")
        return ", ".join(parts)


def _drawn(row: Row, width: int) -> Iterable[Line]:
    mark, style = _MARKS[row.state]
    yield Line(f"{mark:<4}  {row.name:<{width}}  {row.message}", style)
    if row.mend is not None:
        yield Line(f"{'':<{4 + 2 + width}}  mend: {at_home(row.mend)}")


def _worst(rows: Iterable[Row]) -> Style:
    states = {row.state for row in rows}
    worst = next((state for state in (State.FAIL, State.WARN) if state in states), State.OK)
    return _MARKS[worst][1]
