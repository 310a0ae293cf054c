"""Killed or refused at any call, `sign` keeps its promise, and so do `renew` and recovery.

For each kind of call that writes, syncs, names or removes, the first such call of the command meets
the fault, then the second, and so on until the command ends without meeting it. After each the
whole promise is judged (`support.aftermath`), and the operator goes on working.

By default a part of the points is tried, always the same. All of them, some minutes:

    POLYGENT_FAULTS=full pytest tests/faults/test_sign_faults.py

With `--junitxml=points.xml -o junit_family=xunit1` the file says how many `points` each test tried.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from support.aftermath import Aftermath, held
from support.cli import Desk
from support.forks import KILLED, Forks
from support.strace import LINK, RENAME, UNLINK, Fault

pytestmark = pytest.mark.faults

FULL = os.environ.get("POLYGENT_FAULTS") == "full"
NO_LINKS = Fault(calls=LINK, what="error=EPERM")
KINDS = ("signal=KILL", "error=EIO", "error=ENOSPC")

# Each kind of call, the least number of them in one `sign`, and every how manieth is tried when
# not all are. SQLite's many writes are alike: what counts of them is between two syncs.
CALLS = {
    "pwrite64": (60, 13),
    "fdatasync": (8, 1),
    "fsync": (2, 1),
    LINK: (1, 1),
    UNLINK: (3, 1),
    "write": (10, 5),
    "openat": (12, 5),
    "fchmod": (1, 1),
    "?fchown,?fchownat": (0, 2),
    "?ftruncate": (0, 1),
    RENAME: (0, 1),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """A command line at a desk, which is put back in order before each run of it.

    Attributes:
        desk: where it runs; always the same folder, since an outbox holds absolute paths.
        order: the folder that the desk is put back from.
        argv: the command line.
        always: faults that are there all the time.
    """

    desk: Desk
    order: Path
    argv: tuple[str, ...]
    always: tuple[Fault, ...] = ()

    def put_back(self) -> None:
        """Undo whatever happened at the desk."""
        shutil.rmtree(self.desk.folder)
        shutil.copytree(self.order, self.desk.folder)


Errands = Callable[[str], Errand]


@pytest.fixture
def errands(desk: Desk, forks: Forks, tmp_path: Path) -> Errands:
    """The errands by name."""

    def errand(name: str) -> Errand:
        argv, always = _prepare(name, desk, forks)
        _others(desk)
        order = tmp_path / "order"
        shutil.copytree(desk.folder, order)
        return Errand(desk=desk, order=order, argv=argv, always=always)

    return errand


def _prepare(name: str, desk: Desk, forks: Forks) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
    sign = ("sign", "--machine-info", desk.machine_info())
    if name == "sign":
        return sign, ()
    if name == "sign without hard links":
        return sign, (NO_LINKS,)
    if name == "renew":
        desk.ok(*sign)
        return ("renew", "acme-gmbh", "--accept", "not-due", "--reason", "asked for"), ()
    assert name == "sign after a crash"
    killed, _ = forks.run(desk, *sign, faults=[Fault(calls=LINK, what="signal=KILL", number=1)])
    assert killed.code == KILLED
    return ("sign", "--machine-info", _machine(desk, "soylent", 5)), ()


def _others(desk: Desk) -> None:
    _machine(desk, "globex", 1)
    _machine(desk, "initech", 2)


def _machine(desk: Desk, customer: str, number: int) -> str:
    return desk.machine_info(
        f"{customer}.json",
        customer=customer.title(),
        hostname=customer,
        fingerprint=f"sha256:{number:064x}",
    )


def numbers(calls: str, what: str) -> Iterator[int]:
    """Which calls of a kind meet the fault; not all unless asked, but others for each fault."""
    stride = 1 if FULL else CALLS[calls][1]
    offset = KINDS.index(what)
    if not FULL and what != KINDS[0] and CALLS[calls][0] > 2:
        stride *= 2
    return count(1 + offset % stride, stride)


def sweep(errand: Errand, forks: Forks, calls: str, what: str) -> tuple[int, list[str]]:
    """Let one call of a kind after the other meet the fault: points tried, promises broken."""
    broken: list[str] = []
    points = 0
    for number in numbers(calls, what):
        errand.put_back()
        before = held(errand.desk)
        fault = Fault(calls=calls, what=what, number=number)
        outcome, struck = forks.run(errand.desk, *errand.argv, faults=[fault, *errand.always])
        no_links = NO_LINKS in errand.always
        after = Aftermath(errand.desk, before, outcome, held_name=no_links)
        go_on(after, errand, number)
        broken += [f"{fault}: {problem}" for problem in after.problems]
        if not struck:
            assert outcome.code == 0, outcome
            break
        points += 1
    return points, broken


def go_on(after: Aftermath, errand: Errand, number: int) -> None:
    """What an operator may do next, in turns."""
    if not after.new:
        after.repeat(*errand.argv)
    elif number % 3 == 0:
        after.export()
    if errand.argv[0] == "renew" and len(after.after.current) != 1:
        after.problems.append(f"{len(after.after.current)} current licenses of one machine")
    other = "globex" if number % 2 else "initech"
    after.settle("sign", "--machine-info", str(errand.desk.folder / f"{other}.json"))


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("calls", CALLS)
def test_sign_at_every_call(
    errands: Errands,
    forks: Forks,
    calls: str,
    what: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Nothing happened, or the license is kept and its file delivered or named; never more."""
    points, broken = sweep(errands("sign"), forks, calls, what)
    record_property("points", points)
    assert broken == []
    least = CALLS[calls][0]
    assert points >= (least if FULL else min(least, 1))


SOME = ("fdatasync", "fsync", UNLINK, RENAME)


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("calls", CALLS if FULL else SOME)
@pytest.mark.parametrize("name", ["sign without hard links", "renew", "sign after a crash"])
def test_other_errands_at_every_call(
    errands: Errands,
    forks: Forks,
    name: str,
    calls: str,
    what: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Likewise a renewal, a file system that has no links, and the command after a crash."""
    errand = errands(name)
    if calls in {fault.calls for fault in errand.always}:
        return
    points, broken = sweep(errand, forks, calls, what)
    record_property("points", points)
    assert broken == []
