r"""A command that is killed or fails at any call keeps its promise, and so do later commands.

For each kind of call that writes, syncs, names or removes, the fault happens at the first such
call, then at the second, and so on until the command ends without it. After each fault the whole
promise is checked (`support.aftermath`, `support.key_aftermath`), and the operator continues. By
default a fixed part of the points is tried. All of them take some minutes: `POLYGENT_FAULTS=full
pytest -m slow tests/faults/test_every_call.py --junitxml=points.xml -o junit_family=xunit1`. Then
`PYTHONPATH=tests python -m support.fault_figures points.xml` prints the number of points and of
broken promises.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.aftermath import IssueAftermath
from support.cli import Desk, Outcome
from support.desk_state import read_state
from support.fault_sweep import KINDS, sweep_each
from support.forks import ANY_TIME, Forks
from support.scenarios import SCENARIOS, Scenarios, machine
from support.strace import LINK, RENAME, UNLINK, Fault, has_struck, options

pytestmark = pytest.mark.slow

MKDIR = "?mkdir,mkdirat"
# The calls that are tried by default. For SQLite's many writes and for opened files only their
# place between two syncs matters; the last ones come after the commit.
SOME: dict[str, dict[str, Sequence[int]]] = {
    "sign": {
        "pwrite64": range(2, 124, 12),
        "fdatasync": range(1, 14),
        "fsync": (1, 2),
        LINK: (1,),
        UNLINK: (1, 2, 3, 4),
        "write": (1, 2, 5),
        "openat": (8, 9, 12, 14, 16),
        "fchmod": (1,),
    },
    "sign without hard links": {"fsync": (1, 2, 3), RENAME: (1,), UNLINK: (2,)},
    "sign after a crash": {"fdatasync": (4,), "fsync": (1, 2, 3), LINK: (1, 2), UNLINK: (1, 2)},
    "renew": {"pwrite64": (20, 60), "fdatasync": (4, 5, 6), LINK: (1,)},
    "reissue": {"fdatasync": (4, 5, 6), LINK: (1,)},
    "reissue for another machine": {
        "pwrite64": (30, 90),
        "fdatasync": (3, 5, 6),
        LINK: (1,),
        UNLINK: (1, 2),
    },
    "license retire": {
        "pwrite64": (2, 15, 29),
        "fdatasync": range(1, 6),
        UNLINK: (1,),
        "write": (1,),
        "openat": (5, 6, 7),
    },
    "license export": {"fdatasync": (1, 3, 5), "fsync": (1, 2), LINK: (1,), UNLINK: (1, 2)},
    "license export of two": {
        "fdatasync": (1, 3, 5),
        "fsync": (1,),
        "syncfs": (1,),
        LINK: (1, 2),
        UNLINK: (1, 2, 3),
    },
    "journal seal": {
        "pwrite64": (2, 8),
        "fdatasync": (1, 2, 3),
        UNLINK: (1,),
        "write": (1,),
        "openat": (5, 6),
    },
    "registry import": {
        "pwrite64": (2, 20, 40),
        "fdatasync": range(1, 6),
        UNLINK: (1,),
        "write": (1,),
        "openat": (8, 9, 10),
    },
    "registry import without a home": {
        MKDIR: (1, 2),
        "fdatasync": (1, 3, 5, 7, 10),
        "fsync": (1, 2),
        LINK: (1,),
    },
    "config set": {"fsync": (1, 2), RENAME: (1,), "write": (1, 2)},
    "key generate": {
        "fdatasync": (2, 4, 5),
        "fsync": (1, 2, 3, 4),
        LINK: (1,),
        UNLINK: (1, 2),
        RENAME: (1,),
        "write": (1, 2, 3),
        "openat": (6, 10, 14, 18),
    },
    "key generate with a backup": {
        "fdatasync": (2, 5),
        "fsync": range(1, 7),
        LINK: (1, 2),
        UNLINK: (1, 2, 3),
        RENAME: (1,),
        "write": (2, 3),
    },
    "key generate without a home": {
        MKDIR: (1,),
        "pwrite64": (2, 40),
        "fdatasync": (1, 3, 5, 7, 10),
        "fsync": (1, 2, 3, 4),
        LINK: (1, 2),
        RENAME: (1,),
    },
    "key passphrase": {
        "pwrite64": (2, 12),
        "fdatasync": range(1, 6),
        "fsync": range(1, 5),
        RENAME: (1, 2),
        UNLINK: (1,),
        "write": (1, 2, 3),
    },
}


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_at_any_call_has_no_effect_or_the_whole_effect(
    scenarios: Scenarios,
    forks: Forks,
    name: str,
    what: str,
    *,
    record_property: Callable[[str, object], None],
) -> None:
    """A command has no effect or its whole effect, and the next command reports the state."""
    swept = sweep_each(scenarios(name), forks, what, SOME[name])
    for key, value in (("scenario", name), ("points", swept.points), ("broken", len(swept.broken))):
        record_property(key, value)
    assert not swept.broken, "\n".join(swept.broken)


@pytest.mark.parametrize(
    "fault", [Fault(calls=LINK, what=KINDS[0]), Fault(calls="fsync", what=KINDS[1])]
)
def test_a_whole_process(desk: Desk, tmp_path: Path, fault: Fault) -> None:
    """The installed command keeps the promise from its start, not only a fork."""
    machine(desk, "globex", 1)
    argv = ("sign", "--machine-info", desk.machine_info(), *ANY_TIME)
    before = read_state(desk)
    strace = options([fault], tmp_path / "strace.log")
    command = [sys.executable, "-m", "polygent_issuer", "--home", str(desk.home), *argv]
    done = subprocess.run(
        [*strace, *command], check=False, capture_output=True, env=desk._environ()
    )
    assert has_struck(fault, tmp_path / "strace.log"), done
    desk.now = max(desk.now, datetime.now(UTC))
    outcome = Outcome(done.returncode, done.stdout, done.stderr.decode())
    after = IssueAftermath(desk, before, outcome)
    if not after.new:
        after.repeat(*argv)
    after.settle("sign", "--machine-info", str(desk.folder / "globex.json"), *ANY_TIME)
    assert after.problems == []
