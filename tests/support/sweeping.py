"""Faults at one call of a command after the other, and what is judged after each."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from support.errands import Errand
from support.forks import Forks
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
    """What a sweep found.

    Attributes:
        points: how many points were tried.
        acknowledged: how many licenses of a batch were acknowledged by then, over all points.
        broken: the broken promises, each after its fault.
    """

    points: int = 0
    acknowledged: int = 0
    broken: list[str] = field(default_factory=list)


def sweep_each(errand: Errand, forks: Forks, what: str, some: Mapping[str, Sequence[int]]) -> Swept:
    """Let the calls of each kind meet the fault, one after the other.

    Args:
        errand: whose calls.
        forks: where its command runs.
        what: what comes upon the calls.
        some: by kind, the numbers of the calls that are tried, unless all are.
    """
    there, swept = {fault.calls for fault in errand.task.always}, Swept()
    for calls in CALLS if FULL else some:
        if calls not in there:
            numbers = chosen(some.get(calls, ()), what)
            before = swept.points
            sweep(errand, forks, calls, what, numbers, swept=swept)
            assert swept.points >= before + len(numbers)
    return swept


def chosen(numbers: Sequence[int], what: str) -> Sequence[int]:
    """All of them for a kill; of several, every other one for each kind of refusal."""
    return numbers if len(numbers) < 2 or what == KINDS[0] else numbers[KINDS.index(what) % 2 :: 2]


def sweep(
    errand: Errand, forks: Forks, calls: str, what: str, some: Iterable[int], *, swept: Swept
) -> None:
    """Let one call of a kind after the other meet the fault.

    Args:
        errand: whose calls.
        forks: where its command runs.
        calls: the kind, as a `Fault` names it.
        what: what comes upon the call.
        some: the numbers of the calls that are tried, unless all are.
        swept: where it is added what was found.
    """
    for number in count(1) if FULL else some:
        before = errand.begin()
        fault = Fault(calls=calls, what=what, number=number)
        outcome, struck = errand.run(forks, faults=[fault])
        after = errand.judge(before, outcome)
        after.go_on(errand.task.argv, number)
        swept.broken += [f"{fault}: {problem}" for problem in after.problems]
        if not struck:
            assert FULL, f"there is no {fault}"
            assert outcome.code == 0, outcome
            break
        swept.points += 1
        swept.acknowledged += after.acknowledged
