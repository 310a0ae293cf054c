"""Write the table of a fault sweep for the guide: points and failed checks, by scenario.

    PYTHONPATH=tests python -m support.fault_figures points.xml

The file is pytest's report of `test_every_call.py` or `test_batches.py`. The table of batches also
has the acknowledged licenses and the kinds of failed checks.
"""

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

BROKEN = ("lost", "twice", "torn", "repair")


def figures(report: Path) -> list[tuple[str, int, int]]:
    """Return each scenario of a report with its points and its failed checks, and the sums last.

    Raises:
        ValueError: a test failed without a number of points.
    """
    points: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- our own file
        members = {each.get("name"): each.get("value") for each in case.iter("property")}
        if "scenario" in members:
            points[str(members["scenario"])] += int(members["points"] or 0)
            broken[str(members["scenario"])] += int(members["broken"] or 0)
        elif case.find("failure") is not None or case.find("error") is not None:
            raise ValueError(f"{case.get('name')} failed")
    rows = [(scenario, points[scenario], broken[scenario]) for scenario in points]
    return [*rows, ("together", points.total(), broken.total())]


@dataclass(kw_only=True, slots=True)
class Tried:
    """The result of a batch with faults.

    Attributes:
        points: the number of faults.
        acknowledged: the number of licenses that it had acknowledged by then, over all points.
        broken: the number of failed checks, by kind (`batch_aftermath.kind`).
    """

    name: str
    points: int = 0
    acknowledged: int = 0
    broken: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tried") -> None:
        """Add the counts of another result."""
        self.points += other.points
        self.acknowledged += other.acknowledged
        self.broken += other.broken

    def properties(self) -> dict[str, int | str]:
        """Return the properties for pytest's report."""
        counts = {"points": self.points, "acknowledged": self.acknowledged}
        broken = {name: self.broken[name] for name in BROKEN}
        return {"scenario": self.name, **counts, **broken, "broken": self.broken.total()}


def batches(report: Path) -> list[Tried]:
    """Return the result of each batch of a report; raises as `figures`."""
    results: dict[str, Tried] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- as above
        members = {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
        if "acknowledged" in members:
            name = members["scenario"]
            broken = Counter({kind: int(members[kind]) for kind in BROKEN})
            points, acknowledged = int(members["points"]), int(members["acknowledged"])
            results.setdefault(name, Tried(name=name)).add(
                Tried(name=name, points=points, acknowledged=acknowledged, broken=broken)
            )
    return list(results.values())


def write_batches(rows: Sequence[Tried]) -> None:
    """Print a table in Markdown, with the sums as its last row."""
    total = Tried(name="together")
    for row in rows:
        total.add(row)
    sys.stdout.write(
        "| batch | points | acknowledged | of them lost | issued twice | torn files | repairs |\n"
        "|---|--:|--:|--:|--:|--:|--:|\n"
    )
    for row in (*rows, total):
        counts = " | ".join(str(row.broken[kind]) for kind in BROKEN)
        sys.stdout.write(f"| {row.name} | {row.points:,} | {row.acknowledged:,} | {counts} |\n")
    sys.stdout.flush()


def main(report: str) -> None:
    """Print a table in Markdown."""
    rows_of_scenarios = figures(Path(report))  # raises for an incomplete report
    if rows := batches(Path(report)):
        write_batches(rows)
        return
    sys.stdout.write("| command | points | promises broken |\n|---|--:|--:|\n")
    for scenario, tried, broken in rows_of_scenarios:
        sys.stdout.write(f"| {scenario} | {tried:,} | {broken} |\n")


if __name__ == "__main__":
    main(sys.argv[1])
