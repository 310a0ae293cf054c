"""Faults at one call of a command after the other, and what is judged after each."""

import os
from collections.abc import Iterable, Sequence
from itertools import count

from support.errands import Errand
from support.forks import Forks
from support.strace import LINK, RENAME, UNLINK, Fault

FULL = os.environ.get("POLYGENT_FAULTS") == "full"
KINDS = ("signal=KILL", "error=EIO", "error=ENOSPC", "signal=INT")
# Each kind of call that writes, syncs, names or removes.
CALLS: Sequence[str] = (
    *("pwrite64", "fdatasync", "fsync", LINK, UNLINK, "write", "openat", "fchmod", RENAME),
    *("?ftruncate", "?fchown,?fchownat", "?mkdir,mkdirat"),
)


def sweep(
    errand: Errand, forks: Forks, calls: str, what: str, some: Iterable[int]
) -> tuple[int, list[str]]:
    """Let one call of a kind after the other meet the fault.

    Args:
        errand: whose calls.
        forks: where its command runs.
        calls: the kind, as a `Fault` names it.
        what: what comes upon the call.
        some: the numbers of the calls that are tried, unless all are.

    Returns:
        How many points were tried, and which promises were broken.
    """
    broken: list[str] = []
    points = 0
    for number in count(1) if FULL else some:
        before = errand.begin()
        fault = Fault(calls=calls, what=what, number=number)
        outcome, struck = errand.run(forks, faults=[fault])
        after = errand.judge(before, outcome)
        after.go_on(errand.task.argv, number)
        broken += [f"{fault}: {problem}" for problem in after.problems]
        if not struck:
            assert FULL, f"there is no {fault}"
            assert outcome.code == 0, outcome
            break
        points += 1
    return points, broken
