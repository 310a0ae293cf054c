"""Write the table of a sweep for the guide: points tried and promises broken, by errand.

    PYTHONPATH=tests python -m support.fault_figures points.xml

The file is pytest's report of `test_every_call.py` or `test_batches.py`, as they say. Of batches,
what was acknowledged is told as well, and which promises were broken.
"""

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

BROKEN = ("lost", "twice", "torn", "repair")


def figures(report: Path) -> list[tuple[str, int, int]]:
    """Each errand of a report with its points and its broken promises, and their sum last.

    Raises:
        ValueError: when a test of it failed without saying how many points it had tried.
    """
    points: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- our own file
        said = {each.get("name"): each.get("value") for each in case.iter("property")}
        if "errand" in said:
            points[str(said["errand"])] += int(said["points"] or 0)
            broken[str(said["errand"])] += int(said["broken"] or 0)
        elif case.find("failure") is not None or case.find("error") is not None:
            raise ValueError(f"{case.get('name')} failed")
    rows = [(errand, points[errand], broken[errand]) for errand in points]
    return [*rows, ("together", points.total(), broken.total())]


@dataclass(kw_only=True, slots=True)
class Tried:
    """What came of a batch that met faults.

    Attributes:
        points: how many times it met one.
        acknowledged: how many licenses it had acknowledged by then, over all of them.
        broken: the broken promises, by their kind (`batch_aftermath.kind`).
    """

    name: str
    points: int = 0
    acknowledged: int = 0
    broken: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tried") -> None:
        """Count another one with this."""
        self.points += other.points
        self.acknowledged += other.acknowledged
        self.broken += other.broken

    def properties(self) -> dict[str, int | str]:
        """As a report has it."""
        counts = {"points": self.points, "acknowledged": self.acknowledged}
        broken = {name: self.broken[name] for name in BROKEN}
        return {"errand": self.name, **counts, **broken, "broken": self.broken.total()}


def batches(report: Path) -> list[Tried]:
    """Each batch of a report; the same errors as `figures`."""
    found: dict[str, Tried] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- as above
        said = {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
        if "acknowledged" in said:
            name, broken = said["errand"], Counter({kind: int(said[kind]) for kind in BROKEN})
            points, acknowledged = int(said["points"]), int(said["acknowledged"])
            found.setdefault(name, Tried(name=name)).add(
                Tried(name=name, points=points, acknowledged=acknowledged, broken=broken)
            )
    return list(found.values())


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
    found = figures(Path(report))  # which refuses a report that is not complete
    if rows := batches(Path(report)):
        write_batches(rows)
        return
    sys.stdout.write("| command | points | promises broken |\n|---|--:|--:|\n")
    for errand, tried, broken in found:
        sys.stdout.write(f"| {errand} | {tried:,} | {broken} |\n")


if __name__ == "__main__":
    main(sys.argv[1])
