"""Cut the power during a batch of twenty, and check the content of the disk.

Run as root, since it mounts an ext4 image: `PYTHONPATH=tests python tests/faults/power_cuts.py
[CUTS]`. No test run includes it. The batch is stopped after one of its calls that write, sync, name
or remove. The image is copied, without the page cache, and mounted as after a restart. Acknowledged
items must exist, and the same command must complete the batch with each item exactly once. At every
other cut another process has just synced its own file, which also writes the names of our files.
CUTS (100 for each batch) random calls with a fixed seed are tried; `all` tries every call.
"""

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from support.aftermath import Aftermath
from support.batch_aftermath import kind
from support.batch_items import due, mixed
from support.batch_scenarios import BATCHES
from support.cli import Desk, Outcome
from support.desk_state import DeskState, read_state
from support.fault_figures import Tried, write_batches
from support.fault_sweep import CALLS
from support.forks import KILLED, Forks, open_forks
from support.loop_disk import LoopDisk
from support.scenarios import Scenario, prepare
from support.strace import Fault

from polygent_issuer.keys import file_store

_CUTS = 100


def main(cuts: int | None) -> int:
    """Cut each batch CUTS times, or at every call; return the number of broken promises."""
    file_store.ROUNDS = 1  # type: ignore[misc] # 64 rounds take half a second each
    results: list[Tried] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("forks", "made"):
            (folder / each).mkdir()
        made = Desk(folder / "made").set_up()
        with open_forks(folder / "forks") as forks:
            for get_ready in (due, mixed):
                warm = made.copy_to(folder / get_ready.__name__)
                forks.warm_up(warm, *get_ready(warm))
            results += (cut_batch(batch, made, folder, forks, cuts) for batch in BATCHES)
    write_batches(results)
    return sum(tried.broken.total() for tried in results)


def cut_batch(name: str, made: Desk, folder: Path, forks: Forks, cuts: int | None) -> Tried:
    """Cut one batch at its calls; return the result."""
    tried = Tried(name=name)
    with LoopDisk(folder / name) as disk:
        disk.mount()
        desk = made.copy_to(disk.place / "desk")
        scenario = prepare(BATCHES[name], desk, forks, folder / name / "order")
        before = read_state(desk)
        disk.keep()
        points = calls(scenario, disk, forks)
        for stop in points if cuts is None else random.Random(name).sample(points, k=cuts):  # noqa: S311
            after = cut_once(scenario, disk, forks, before, stop=stop, number=tried.points)
            sys.stderr.writelines(f"{stop}: {problem}\n" for problem in after.problems)
            broken = Counter(map(kind, after.problems))
            tried.add(Tried(name=name, points=1, acknowledged=after.acknowledged, broken=broken))
    sys.stderr.write(f"{name}: {tried.points} cuts\n")
    return tried


def calls(scenario: Scenario, disk: LoopDisk, forks: Forks) -> list[Fault]:
    """Return a stop after each call of the batch."""
    disk.put_back()
    never = [Fault(calls=kind, what="signal=STOP", number=65535) for kind in CALLS]
    outcome, _ = scenario.run(forks, faults=never)
    assert outcome.code == 0, outcome
    disk.unmount()
    return [
        Fault(calls=kind, what="signal=STOP", number=number)
        for kind in CALLS
        if kind not in {fault.calls for fault in scenario.task.always}
        for number in range(1, forks.calls(kind) + 1)
    ]


def cut_once(
    scenario: Scenario, disk: LoopDisk, forks: Forks, before: DeskState, *, stop: Fault, number: int
) -> Aftermath:
    """Cut the power after one call, and check the disk after the restart."""
    output = b""

    def cut() -> None:
        nonlocal output
        output = forks.stdout()
        if number % 2:
            disk.sync_another_file()
        disk.cut()

    disk.put_back()
    try:
        scenario.run_around(forks, stop=stop, meanwhile=cut)
        disk.restart()
        after = scenario.judge(before, Outcome(code=KILLED, out=output, err=""))
        after.go_on(scenario.task.argv, number)
    finally:
        disk.unmount()
    return after


if __name__ == "__main__":
    cuts = sys.argv[1] if len(sys.argv) > 1 else str(_CUTS)
    sys.exit(1 if main(None if cuts == "all" else int(cuts)) else 0)
