r"""A batch that is killed or fails at any call keeps its acknowledged items and continues later.

A batch has twenty items; after each fault the same command is run again
(`support.batch_aftermath`). By default a fixed part of the points is tried. All of them take about
half an hour: `POLYGENT_FAULTS=full pytest -m slow tests/faults/test_batches.py
--junitxml=batches.xml -o junit_family=xunit1`, then `PYTHONPATH=tests python -m
support.fault_figures batches.xml`.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.batch_aftermath import acknowledged, kind
from support.batch_items import ITEMS, due
from support.batch_scenarios import BATCHES
from support.cli import Desk
from support.desk_state import read_state
from support.fault_figures import Tried
from support.fault_sweep import KINDS, sweep_each
from support.forks import NOBODY, Forks, Limits
from support.scenarios import Scenarios, give_to_nobody
from support.strace import LINK, RENAME, UNLINK
from support.users import give

pytestmark = pytest.mark.slow

# Batches of three groups, of one group, without links, and into an archive. The calls are before
# and after each COMMIT, while names are linked, and at the final clean-up.
SOME: dict[str, dict[str, Sequence[int]]] = {
    "renew many": {
        "pwrite64": (3, 40, 90),
        "fdatasync": range(1, 7),
        "fsync": (1,),
        "syncfs": (1,),
        LINK: (1, 11, 20),
        UNLINK: (1, 2, 12, 21),
        "write": (1, 14, 21, 30),
        "openat": (30, 40, 50),
    },
    "reissue many": {"fdatasync": (1, 4), LINK: (1, 11), UNLINK: (2,)},
    "renew many into an archive": {
        "fdatasync": (1, 3, 5, 7),
        "fsync": (1, 2, 3),
        LINK: (1,),
        UNLINK: (3,),
        "write": (49,),
    },
    "apply": {
        "fdatasync": range(1, 16, 2),
        "syncfs": (1, 2, 3),
        LINK: (1, 9, 20),
        UNLINK: (1, 9, 18),
        "write": (9, 18, 30),
    },
    "apply without hard links": {RENAME: (1, 10), "syncfs": (1,), "fsync": (1,)},
}


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("name", BATCHES)
def test_a_fault_at_any_call_loses_no_acknowledged_license(
    scenarios: Scenarios,
    forks: Forks,
    name: str,
    what: str,
    *,
    record_property: Callable[[str, object], None],
) -> None:
    """Acknowledged items exist, and a second run completes each item exactly once."""
    swept = sweep_each(scenarios(name), forks, what, SOME[name])
    broken = Counter(map(kind, swept.broken))
    tried = Tried(name=name, points=swept.points, acknowledged=swept.acknowledged, broken=broken)
    for key, value in tried.properties().items():
        record_property(key, value)
    assert not swept.broken, "\n".join(swept.broken)


def test_a_folder_that_cannot_be_read_is_synced_by_file(open_desk: Desk, forks: Forks) -> None:
    """If the folder cannot be synced, each file is."""
    argv = due(open_desk)
    give_to_nobody(open_desk)
    open_desk.output.chmod(0o300)
    outcome, _ = forks.run(open_desk, *argv, limits=Limits(user=NOBODY))
    open_desk.output.chmod(0o700)
    give(open_desk.folder, user=os.geteuid())
    assert outcome.code == 0, outcome
    done = {Path(each["file"]).read_bytes() for each in acknowledged(outcome.out)}
    assert len(done) == ITEMS
    assert done <= set(read_state(open_desk).files.values())
