"""Commands for tests of faults, each at a desk that is reset before each run."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.aftermath import Aftermath, ImportAftermath, IssueAftermath, SealAftermath
from support.cli import Desk, Outcome
from support.desk_state import DeskState, read_state
from support.forks import KILLED, NO_LIMITS, NOBODY, Forks, Limits
from support.key_aftermath import BACKUPS, KEYS, NEW_PASSPHRASE, KeyAftermath, PassphraseAftermath
from support.strace import LINK, Fault

NO_LINKS = Fault(calls=LINK, what="error=EPERM")
OTHER_FINGERPRINT = "sha256:" + "cd" * 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A command line at a desk.

    Attributes:
        argv: the command line.
        judged: the checks after it.
        always: faults at every run.
        repeatable: whether each run makes the same IDs and signatures, so that the state after a
            run without a fault is known exactly.
        group: the number of items in a commit of a batch; by default as usual.
    """

    argv: tuple[str, ...]
    judged: type[Aftermath] = IssueAftermath
    always: tuple[Fault, ...] = ()
    repeatable: bool = True
    group: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """A task at a desk.

    Attributes:
        desk: always the same folder, since an outbox contains absolute paths.
        order: the folder with the copy of the desk for the reset.
        task: the command.
        done: the state of the desk after it, if known.
    """

    desk: Desk
    order: Path
    task: Task
    done: DeskState | None

    def begin(self) -> DeskState:
        """Reset the desk; return its state."""
        shutil.rmtree(self.desk.folder)
        shutil.copytree(self.order, self.desk.folder)
        return read_state(self.desk)

    def run(
        self, forks: Forks, *, faults: Sequence[Fault] = (), limits: Limits = NO_LIMITS
    ) -> tuple[Outcome, bool]:
        """Run the task; return its outcome, and whether the first fault occurred."""
        return forks.run(
            self.desk,
            *self.task.argv,
            faults=[*faults, *self.task.always],
            limits=limits,
            first_id=1,
            group=self.task.group,
        )

    def run_around(self, forks: Forks, *, stop: Fault, meanwhile: Callable[[], object]) -> None:
        """Run the task, stopped at one of its calls while `meanwhile` runs."""
        task = self.task
        forks.run_around(
            self.desk,
            *task.argv,
            stop=stop,
            meanwhile=meanwhile,
            always=task.always,
            group=task.group,
        )

    def judge(self, before: DeskState, outcome: Outcome) -> Aftermath:
        """Check the desk after the command."""
        return self.task.judged(
            self.desk, before, outcome, done=self.done, reserved_name=NO_LINKS in self.task.always
        )


Scenarios = Callable[[str], Scenario]
"""Return a scenario by its name, at a desk of its own."""


def prepare(make: Callable[[Desk, Forks], Task], desk: Desk, forks: Forks, order: Path) -> Scenario:
    """Set up a desk for a scenario, and run it once without a fault.

    Args:
        make: one of SCENARIOS or BATCHES.
        desk: a desk with a home and a key.
        forks: the process that runs the command.
        order: a new folder for the copy of the desk.
    """
    task = make(desk, forks)
    machine(desk, "globex", 1)
    machine(desk, "initech", 2)
    shutil.copytree(desk.folder, order)
    done = None
    if task.repeatable:
        outcome, _ = forks.run(desk, *task.argv, first_id=1)
        assert outcome.code == 0, outcome
        done = read_state(desk)
    return Scenario(desk=desk, order=order, task=task, done=done)


def give_to_nobody(desk: Desk) -> None:
    """Give all files of a desk to the user `NOBODY`."""
    for path in (desk.folder, *desk.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def machine(desk: Desk, customer: str, number: int) -> str:
    """Write the document of a customer's machine; return its path."""
    return desk.machine_info(
        f"{customer}.json",
        customer=customer.title(),
        hostname=customer,
        fingerprint=f"sha256:{number:064x}",
    )


def _sign(desk: Desk) -> tuple[str, ...]:
    return ("sign", "--machine-info", desk.machine_info())


def _signed(desk: Desk) -> str:
    """Sign a license for acme-gmbh; return the beginning of its ID."""
    return str(desk.ok(*_sign(desk), "--json").json["licenses"][0]["id"])[:8]


def _first(desk: Desk, _: Forks) -> Task:
    return Task(argv=_sign(desk))


def _without_links(desk: Desk, _: Forks) -> Task:
    return Task(argv=_sign(desk), always=(NO_LINKS,))


def _after_a_crash(desk: Desk, forks: Forks) -> Task:
    fault = Fault(calls=LINK, what="signal=KILL", number=1)
    killed, _ = forks.run(desk, *_sign(desk), faults=[fault])
    assert killed.code == KILLED
    return Task(argv=_sign_another(desk))


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


def _export_many(desk: Desk, _: Forks) -> Task:
    """Export two licenses into another folder."""
    _signed(desk)
    desk.ok(*_sign_another(desk))
    again = desk.folder / "again"
    again.mkdir()
    return Task(argv=("license", "export", "--all", "-o", str(again)), judged=Aftermath)


def _sign_another(desk: Desk) -> tuple[str, ...]:
    return ("sign", "--machine-info", machine(desk, "soylent", 5))


def _seal(desk: Desk, _: Forks) -> Task:
    """Seal a change after the seal of a license."""
    _signed(desk)
    desk.ok("customer", "add", "Soylent")
    return Task(argv=("journal", "seal"), judged=SealAftermath)


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


def _passphrase(desk: Desk, _: Forks) -> Task:
    (desk.folder / BACKUPS).mkdir(mode=0o700)
    desk.ok("key", "backup", "main", str(desk.folder / BACKUPS / "main.key"))
    new = desk.folder / "new"
    new.write_text(NEW_PASSPHRASE)
    new.chmod(0o600)
    argv = ("key", "passphrase", "--new-passphrase-file", str(new))
    return Task(argv=argv, judged=PassphraseAftermath)


def _import(desk: Desk, _: Forks) -> Task:
    """Lose the registry after a backup with the key; the license files remain."""
    backup = shutil.copytree(desk.home, desk.folder / "backup")
    _signed(desk)
    desk.ok(*_sign_another(desk))
    shutil.rmtree(desk.home)
    backup.rename(desk.home)
    return Task(argv=("registry", "import", str(desk.output)), judged=ImportAftermath)


def _import_anew(desk: Desk, _: Forks) -> Task:
    """Lose everything except the license files and the public key."""
    _signed(desk)
    public = str(desk.folder / "public.pem")
    desk.ok("key", "export-public", "--output", public)
    shutil.rmtree(desk.home)
    argv = ("registry", "import", str(desk.output), "--public-key", public)
    return Task(argv=argv, judged=ImportAftermath)


SCENARIOS: dict[str, Callable[[Desk, Forks], Task]] = {
    "sign": _first,
    "sign without hard links": _without_links,
    "sign after a crash": _after_a_crash,
    "renew": _renew,
    "reissue": _reissue,
    "reissue for another machine": _reissue_for_another_machine,
    "license retire": _retire,
    "license export": _export,
    "license export of two": _export_many,
    "journal seal": _seal,
    "registry import": _import,
    "registry import without a home": _import_anew,
    "config set": _config,
    "key generate": _key,
    "key generate with a backup": _key_with_backup,
    "key generate without a home": _first_key,
    "key passphrase": _passphrase,
}
