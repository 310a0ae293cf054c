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
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from support.aftermath import Aftermath, held
from support.cli import Desk, Outcome
from support.forks import ANY_TIME, KILLED, Forks
from support.strace import LINK, RENAME, UNLINK, Fault, has_struck, options

pytestmark = pytest.mark.faults

FULL = os.environ.get("POLYGENT_FAULTS") == "full"
NO_LINKS = Fault(calls=LINK, what="error=EPERM")
KINDS = ("signal=KILL", "error=EIO", "error=ENOSPC")

# Each kind of call, and which of them are tried by default. Of SQLite's many writes and of the
# opened files it matters between which two syncs they are; the last ones come after the commit.
CALLS: dict[str, Sequence[int]] = {
    "pwrite64": range(2, 100, 12),
    "fdatasync": range(1, 11),
    "fsync": (1, 2),
    LINK: (1,),
    UNLINK: (1, 2, 3),
    "write": (1, 2, 5),
    "openat": (8, 9, 12, 14, 16),
    "fchmod": (1,),
}
MORE_CALLS = ("?fchown,?fchownat", "?ftruncate", RENAME)
# Of the other errands: what they do otherwise.
OTHERS: dict[str, dict[str, Sequence[int]]] = {
    "renew": {"fdatasync": (4, 5, 6), LINK: (1,)},
    "sign without hard links": {"fsync": (1, 2, 3), RENAME: (1,), UNLINK: (2,)},
    "sign after a crash": {"fsync": (1, 2, 3), LINK: (1, 2), UNLINK: (1, 2), "fdatasync": (4,)},
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


def sweep(
    errand: Errand, forks: Forks, calls: str, what: str, some: Iterable[int]
) -> tuple[int, list[str]]:
    """Let one call of a kind after the other meet the fault: points tried, promises broken."""
    broken: list[str] = []
    points = 0
    for number in count(1) if FULL else some:
        errand.put_back()
        before = held(errand.desk)
        fault = Fault(calls=calls, what=what, number=number)
        outcome, struck = forks.run(errand.desk, *errand.argv, faults=[fault, *errand.always])
        no_links = NO_LINKS in errand.always
        after = Aftermath(errand.desk, before, outcome, held_name=no_links)
        go_on(after, errand, number)
        broken += [f"{fault}: {problem}" for problem in after.problems]
        if not struck:
            assert FULL, f"there is no {fault}"
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
@pytest.mark.parametrize("calls", (*CALLS, *MORE_CALLS) if FULL else CALLS)
def test_sign_at_every_call(
    errands: Errands,
    forks: Forks,
    calls: str,
    what: str,
    *,
    record_property: Callable[[str, object], None],
) -> None:
    """Nothing happened, or the license is kept and its file delivered or named; never more."""
    some = CALLS.get(calls, ())
    if what != KINDS[0] and len(some) > 1:
        some = some[KINDS.index(what) - 1 :: 2]
    points, broken = sweep(errands("sign"), forks, calls, what, some)
    record_property("points", points)
    assert broken == []
    assert points >= len(some)


@pytest.mark.parametrize("what", KINDS if FULL else KINDS[:1])
@pytest.mark.parametrize(
    ("name", "calls"),
    [
        (name, calls)
        for name in OTHERS
        for calls in ((*CALLS, *MORE_CALLS) if FULL else OTHERS[name])
    ],
)
def test_other_errands_at_every_call(
    errands: Errands,
    forks: Forks,
    name: str,
    calls: str,
    what: str,
    *,
    record_property: Callable[[str, object], None],
) -> None:
    """Likewise a renewal, a file system that has no links, and the command after a crash."""
    errand = errands(name)
    if calls in {fault.calls for fault in errand.always}:
        return
    points, broken = sweep(errand, forks, calls, what, OTHERS[name].get(calls, ()))
    record_property("points", points)
    assert broken == []


@pytest.mark.parametrize(
    "fault", [Fault(calls=LINK, what=KINDS[0]), Fault(calls="fsync", what=KINDS[1])]
)
def test_a_whole_process(desk: Desk, tmp_path: Path, fault: Fault) -> None:
    """The installed command from its very start, not a fork: the same promise."""
    _others(desk)
    argv = ("sign", "--machine-info", desk.machine_info(), *ANY_TIME)
    before = held(desk)
    strace = options([fault], tmp_path / "strace.log")
    command = [sys.executable, "-m", "polygent_issuer", "--home", str(desk.home), *argv]
    done = subprocess.run(
        [*strace, *command], check=False, capture_output=True, env=desk._environ()
    )
    assert has_struck(fault, tmp_path / "strace.log"), done
    desk.now = max(desk.now, datetime.now(UTC))
    after = Aftermath(desk, before, Outcome(done.returncode, done.stdout, done.stderr.decode()))
    if not after.new:
        after.repeat(*argv)
    after.settle("sign", "--machine-info", str(desk.folder / "globex.json"), *ANY_TIME)
    assert after.problems == []


def test_the_judgement_sees_what_is_broken(errands: Errands) -> None:
    """A sweep that finds nothing says nothing: each broken promise is found where it is made."""
    errand = errands("sign")
    desk = errand.desk
    before = held(desk)
    done = desk.run(*errand.argv)
    assert Aftermath(desk, before, done).problems == []
    [file] = desk.output.glob("*.lic")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert any("half a file" in problem for problem in Aftermath(desk, before, done).problems)
    file.unlink()
    problems = Aftermath(desk, before, done).problems
    assert "exit 0, and no license was delivered" in problems
    assert any("neither delivered nor named" in problem for problem in problems)
    file.write_bytes(whole)
    (desk.output / ".polygent-x.tmp").write_bytes(b"")
    after = Aftermath(desk, before, Outcome(code=1, out=b"", err="error: x\nTraceback"))
    after.settle("sign", "--machine-info", str(desk.folder / "globex.json"))
    assert [problem.partition(":")[0] for problem in after.problems] == [
        "traceback",
        "a bug",
        "left in the output folder",
    ]
    twice = Aftermath(desk, before, done)
    assert "2 licenses of one command" in twice.problems
