"""`--report FILE.csv|.json`: what became of each item, for a spreadsheet or a program.

The items wait in an unnamed temporary file until the batch has ended, however it did: a report is
whole or absent.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from polygent_issuer import files
from polygent_issuer.cli.many.spool import Spool
from polygent_issuer.cli.spreadsheet import CsvTable
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing.destination import require_folder, require_free
from polygent_issuer.text import shown

_ELSEWHERE = "name another file with --report"
COLUMNS = (
    *("item", "outcome", "action", "customer", "machine", "license", "last_full_day"),
    *("upload_before", "file", "code", "why", "hint"),
)


class ReportFile:
    """A report that is being written."""

    def __init__(self, target: Path) -> None:
        """Wait for outcomes.

        Raises:
            UsageProblem: (`usage`) when the name is neither `.csv` nor `.json`.
            OutputExists: (`output_exists`) when there is such a file.
            OutputProblem: (`output_failed`) when its folder is not there or takes no files.
        """
        if target.suffix not in (".csv", ".json"):
            raise UsageProblem(
                f"a report is CSV or JSON, and {shown(target.name)} says neither",
                hint="--report FILE.csv or --report FILE.json",
            )
        require_folder(target.parent, _ELSEWHERE)
        require_free(target, _ELSEWHERE)
        self._target = target
        self._spool = Spool("the report")

    def add(self, outcome: Mapping[str, Any]) -> None:
        """Note one outcome, as programs get it.

        Raises:
            OutputProblem: (`output_failed`) when no more can be noted.
        """
        self._spool.add(json.dumps(outcome))

    def finish(self) -> Path | None:
        """Give the file its name; None when it lacks an outcome.

        Raises:
            OutputExists, OutputProblem: as `files.publish`.
        """
        if self._spool.torn:
            return None
        fill = self._as_csv if self._target.suffix == ".csv" else self._as_json
        return files.prepare_with(fill, self._target).publish(self._target.name)

    def _items(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._spool.lines())

    def _as_json(self, path: Path) -> None:
        with path.open("w", encoding="ascii") as stream:
            stream.write("[")
            for number, item in enumerate(self._items()):
                stream.write((",\n" if number else "\n") + json.dumps(item))
            stream.write("\n]\n")

    def _as_csv(self, path: Path) -> None:
        rows = (row for item in self._items() for row in _rows(item))
        CsvTable(columns=COLUMNS, items=rows).write_file(path)

    def __enter__(self) -> Self:
        """Begin to take outcomes."""
        self._spool.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what waits."""
        self._spool.__exit__()


def _rows(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each license of an item; one without for an item that has none.

    A dry run has decisions in place of outcomes, and what is not issued has no ID.
    """
    error, missing = item.get("error") or {}, ", ".join(item.get("missing", ()))
    stopped = f"without consent: {missing}" if missing else None
    for license_ in item["licenses"] or [{}]:
        yield {
            "item": item["item"],
            "outcome": item.get("outcome") or item["decision"],
            "action": license_.get("action"),
            "customer": license_.get("customer"),
            "machine": license_.get("machine"),
            "license": license_.get("id") if "outcome" in item else None,
            "last_full_day": license_.get("last_full_day"),
            "upload_before": license_.get("upload_before"),
            "file": license_.get("file"),
            "code": error.get("code"),
            "why": error.get("message") or stopped or item.get("note"),
            "hint": error.get("hint"),
        }
