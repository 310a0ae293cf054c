"""Sweeps: a fault at each system call of a command in turn, with checks after each."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from support.forks import Forks
from support.scenarios import Scenario
from support.strace import LINK, RENAME, UNLINK, Fault

FULL = os.environ.get("POLYGENT_FAULTS") == "full"
KINDS = ("signal=KILL", "error=EIO", "error=ENOSPC", "signal=INT")
# Each kind of call that writes, syncs, names or removes.
CALLS: Sequence[str] = (
    *("pwrite64", "fdatasync", "fsync", LINK, UNLINK, "write", "openat", "fchmod", RENAME),
    *("?ftruncate", "?fchown,?fchownat", "?mkdir,mkdirat", "syncfs"),
)


@dataclass(kw_only=True, slots=True)
class Swept:
    """The result of a sweep.

    Attributes:
        points: the number of points.
        acknowledged: the number of licenses that a batch had acknowledged, over all points.
        broken: the failed checks, each after its fault.
    """

    points: int = 0
    acknowledged: int = 0
    broken: list[str] = field(default_factory=list)


def sweep_each(
    scenario: Scenario, forks: Forks, what: str, some: Mapping[str, Sequence[int]]
) -> Swept:
    """Inject the fault at the calls of each kind, one run for each call.

    Args:
        scenario: the command.
        forks: the process that runs it.
        what: the fault.
        some: the numbers of the calls to try, by kind, unless all are tried.
    """
    always, swept = {fault.calls for fault in scenario.task.always}, Swept()
    for calls in CALLS if FULL else some:
        if calls not in always:
            numbers = chosen(some.get(calls, ()), what)
            before = swept.points
            sweep(scenario, forks, calls, what, numbers, swept=swept)
            assert swept.points >= before + len(numbers)
    return swept


def chosen(numbers: Sequence[int], what: str) -> Sequence[int]:
    """Return all numbers for a kill; else, of several, every other one."""
    return numbers if len(numbers) < 2 or what == KINDS[0] else numbers[KINDS.index(what) % 2 :: 2]


def sweep(
    scenario: Scenario, forks: Forks, calls: str, what: str, some: Iterable[int], *, swept: Swept
) -> None:
    """Inject the fault at each call of a kind, one run for each call.

    Args:
        scenario: the command.
        forks: the process that runs it.
        calls: the kind of calls, as in `Fault`.
        what: the fault.
        some: the numbers of the calls to try, unless all are tried.
        swept: the result to which this sweep is added.
    """
    for number in count(1) if FULL else some:
        before = scenario.begin()
        fault = Fault(calls=calls, what=what, number=number)
        outcome, struck = scenario.run(forks, faults=[fault])
        after = scenario.judge(before, outcome)
        after.go_on(scenario.task.argv, number)
        swept.broken += [f"{fault}: {problem}" for problem in after.problems]
        if not struck:
            assert FULL, f"no call for {fault}"
            assert outcome.code == 0, outcome
            break
        swept.points += 1
        swept.acknowledged += after.acknowledged
