"""Command lines that meet faults, each at a desk that is put back before each run of it."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.aftermath import Aftermath, ImportAftermath, IssueAftermath
from support.cli import Desk, Outcome
from support.forks import KILLED, NO_LIMITS, NOBODY, Forks, Limits
from support.held import Held, held
from support.key_aftermath import BACKUPS, KEYS, KeyAftermath
from support.strace import LINK, Fault

NO_LINKS = Fault(calls=LINK, what="error=EPERM")
OTHER_FINGERPRINT = "sha256:" + "cd" * 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is to be done at a desk.

    Attributes:
        argv: the command line.
        judged: by which promise.
        always: faults that are there all the time.
        repeatable: whether the same ids and signatures come of the same command, so that what it
            leaves when nothing happens to it is known to the last byte.
        group: how many items of a batch have one commit; as many as usual when not given.
    """

    argv: tuple[str, ...]
    judged: type[Aftermath] = IssueAftermath
    always: tuple[Fault, ...] = ()
    repeatable: bool = True
    group: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """A task at a desk.

    Attributes:
        desk: where it runs; always the same folder, since an outbox holds absolute paths.
        order: the folder that the desk is put back from.
        task: what is done.
        done: what the desk holds afterwards, if that is known.
    """

    desk: Desk
    order: Path
    task: Task
    done: Held | None

    def begin(self) -> Held:
        """Undo whatever happened at the desk; what it holds then."""
        shutil.rmtree(self.desk.folder)
        shutil.copytree(self.order, self.desk.folder)
        return held(self.desk)

    def run(
        self, forks: Forks, *, faults: Sequence[Fault] = (), limits: Limits = NO_LIMITS
    ) -> tuple[Outcome, bool]:
        """Do the task; how it ended, and whether the first of the faults came upon it."""
        return forks.run(
            self.desk,
            *self.task.argv,
            faults=[*faults, *self.task.always],
            limits=limits,
            first_id=1,
            group=self.task.group,
        )

    def run_around(self, forks: Forks, *, stop: Fault, meanwhile: Callable[[], object]) -> None:
        """Do the task, stopped at one of its calls while something else happens."""
        task = self.task
        forks.run_around(
            self.desk,
            *task.argv,
            stop=stop,
            meanwhile=meanwhile,
            always=task.always,
            group=task.group,
        )

    def judge(self, before: Held, outcome: Outcome) -> Aftermath:
        """What is there now, measured by the promise."""
        return self.task.judged(
            self.desk, before, outcome, done=self.done, held_name=NO_LINKS in self.task.always
        )


Errands = Callable[[str], Errand]
"""An errand by its name, at a desk of the test's own."""


def prepare(make: Callable[[Desk, Forks], Task], desk: Desk, forks: Forks, order: Path) -> Errand:
    """Set the desk up for an errand, and see what comes of it without a fault.

    Args:
        make: one of ERRANDS, or of BATCHES.
        desk: with a home and a key.
        forks: where the command will run.
        order: a folder that is not there yet, for the desk as it is put back.
    """
    task = make(desk, forks)
    machine(desk, "globex", 1)
    machine(desk, "initech", 2)
    shutil.copytree(desk.folder, order)
    done = None
    if task.repeatable:
        outcome, _ = forks.run(desk, *task.argv, first_id=1)
        assert outcome.code == 0, outcome
        done = held(desk)
    return Errand(desk=desk, order=order, task=task, done=done)


def give_away(desk: Desk) -> None:
    """Let everything at a desk belong to the user NOBODY."""
    for path in (desk.folder, *desk.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def machine(desk: Desk, customer: str, number: int) -> str:
    """Write the document of a customer's machine; its path."""
    return desk.machine_info(
        f"{customer}.json",
        customer=customer.title(),
        hostname=customer,
        fingerprint=f"sha256:{number:064x}",
    )


def _sign(desk: Desk) -> tuple[str, ...]:
    return ("sign", "--machine-info", desk.machine_info())


def _signed(desk: Desk) -> str:
    """Have a license of acme-gmbh; the beginning of its ID."""
    return str(desk.ok(*_sign(desk), "--json").json["licenses"][0]["id"])[:8]


def _first(desk: Desk, _: Forks) -> Task:
    return Task(argv=_sign(desk))


def _without_links(desk: Desk, _: Forks) -> Task:
    return Task(argv=_sign(desk), always=(NO_LINKS,))


def _after_a_crash(desk: Desk, forks: Forks) -> Task:
    fault = Fault(calls=LINK, what="signal=KILL", number=1)
    killed, _ = forks.run(desk, *_sign(desk), faults=[fault])
    assert killed.code == KILLED
    return Task(argv=("sign", "--machine-info", machine(desk, "soylent", 5)))


def _renew(desk: Desk, _: Forks) -> Task:
    _signed(desk)
    return Task(argv=("renew", "acme-gmbh", "--accept", "not-due", "--reason", "asked for"))


def _reissue(desk: Desk, _: Forks) -> Task:
    _signed(desk)
    return Task(argv=("reissue", "acme-gmbh"))


def _reissue_for_another_machine(desk: Desk, _: Forks) -> Task:
    _signed(desk)
    document = desk.machine_info("new.json", fingerprint=OTHER_FINGERPRINT, hostname="prod-2")
    return Task(argv=("reissue", "acme-gmbh", "--machine-info", document))


def _retire(desk: Desk, _: Forks) -> Task:
    argv = ("license", "retire", _signed(desk), "--reason", "the contract has ended")
    return Task(argv=argv, judged=Aftermath)


def _export(desk: Desk, _: Forks) -> Task:
    argv = ("license", "export", _signed(desk), "--output", str(desk.output / "again.lic"))
    return Task(argv=argv, judged=Aftermath)


def _config(_: Desk, __: Forks) -> Task:
    return Task(argv=("config", "set", "upload_window", "36h"), judged=Aftermath)


def _key(desk: Desk, _: Forks) -> Task:
    return _new_key(desk, "--no-backup")


def _key_with_backup(desk: Desk, _: Forks) -> Task:
    return _new_key(desk, "--backup", str(desk.folder / BACKUPS / "second.key"))


def _first_key(desk: Desk, _: Forks) -> Task:
    shutil.rmtree(desk.home)
    return _new_key(desk, "--no-backup")


def _new_key(desk: Desk, *backup: str) -> Task:
    for folder in (KEYS, BACKUPS):
        (desk.folder / folder).mkdir(mode=0o700)
    store = f"file:{desk.folder / KEYS / 'second.key'}"
    argv = ("key", "generate", "second", "--store", store, *backup)
    return Task(argv=argv, judged=KeyAftermath, repeatable=False)


def _import(desk: Desk, _: Forks) -> Task:
    """The registry is lost; its backup knows the key, and the license files are there."""
    kept = shutil.copytree(desk.home, desk.folder / "kept")
    _signed(desk)
    desk.ok("sign", "--machine-info", machine(desk, "soylent", 5))
    shutil.rmtree(desk.home)
    kept.rename(desk.home)
    return Task(argv=("registry", "import", str(desk.output)), judged=ImportAftermath)


def _import_anew(desk: Desk, _: Forks) -> Task:
    """Nothing is left but the license files and the public key that the servers have."""
    _signed(desk)
    public = str(desk.folder / "public.pem")
    desk.ok("key", "export-public", "--output", public)
    shutil.rmtree(desk.home)
    argv = ("registry", "import", str(desk.output), "--public-key", public)
    return Task(argv=argv, judged=ImportAftermath)


ERRANDS: dict[str, Callable[[Desk, Forks], Task]] = {
    "sign": _first,
    "sign without hard links": _without_links,
    "sign after a crash": _after_a_crash,
    "renew": _renew,
    "reissue": _reissue,
    "reissue for another machine": _reissue_for_another_machine,
    "license retire": _retire,
    "license export": _export,
    "registry import": _import,
    "registry import without a home": _import_anew,
    "config set": _config,
    "key generate": _key,
    "key generate with a backup": _key_with_backup,
    "key generate without a home": _first_key,
}
