"""Write the figures of a sweep as README has them: points tried and promises broken, by errand.

    PYTHONPATH=tests python -m support.fault_figures points.xml

The file is pytest's report of `test_every_call.py`, as its docstring says.
"""

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path


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


def main(report: str) -> None:
    """Print a table in Markdown."""
    sys.stdout.write("| command | points | promises broken |\n|---|--:|--:|\n")
    for errand, tried, broken in figures(Path(report)):
        sys.stdout.write(f"| {errand} | {tried:,} | {broken} |\n")


if __name__ == "__main__":
    main(sys.argv[1])
