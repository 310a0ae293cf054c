"""`--report FILE.csv|.json`: what became of each item, for a spreadsheet or a program.

It is written when the batch has ended, however it did: a report is whole or absent.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polygent_issuer import files
from polygent_issuer.cli.output.csv_text import CsvTable
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing.destination import require_folder, require_free
from polygent_issuer.text import escape

_ELSEWHERE = "name another file with --report"
COLUMNS = (
    *("item", "outcome", "action", "customer", "machine", "license", "last_full_day"),
    *("upload_before", "file", "code", "why", "hint"),
)


class ReportFile:
    """A report that is being written."""

    def __init__(self, target: Path) -> None:
        """Begin without an item.

        Raises:
            UsageProblem: (`usage`) when the name is neither `.csv` nor `.json`.
            OutputExists: (`output_exists`) when there is such a file.
            OutputProblem: (`output_failed`) when its folder is not there or takes no files.
        """
        if target.suffix not in (".csv", ".json"):
            raise UsageProblem(
                f"a report is CSV or JSON, and {escape(target.name)} says neither",
                hint="--report FILE.csv or --report FILE.json",
            )
        require_folder(target.parent, _ELSEWHERE)
        require_free(target, _ELSEWHERE)
        self._target = target
        self._items: list[str] = []

    def add(self, item: Mapping[str, Any]) -> None:
        """Note an item, as programs get it."""
        self._items.append(json.dumps(item))

    def finish(self) -> Path:
        """Write the file.

        Raises:
            OutputExists, OutputProblem: as `files.publish`.
        """
        fill = self._as_csv if self._target.suffix == ".csv" else self._as_json
        return files.prepare_with(fill, self._target).publish(self._target.name)

    def _as_json(self, path: Path) -> None:
        with path.open("w", encoding="ascii") as stream:
            stream.write("[" + ",".join(f"\n{item}" for item in self._items) + "\n]\n")

    def _as_csv(self, path: Path) -> None:
        rows = (row for item in map(json.loads, self._items) for row in _rows(item))
        CsvTable(columns=COLUMNS, items=rows).write_file(path)


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
