"""Two operators, each with a home, who share the registry in a database and one signing key."""

import os
import signal
from pathlib import Path
from unittest import mock

from polygent_issuer.batch import bundle
from polygent_issuer.files.publication import Prepared
from support.cli import PASSPHRASE, Desk
from support.postgres import Cluster


def team(folder: Path, postgres: Cluster, *options: str) -> tuple[Desk, Desk]:
    """Create the homes of Ada, who creates the registry with some options, and of Ben."""
    uri, store = postgres.uri(postgres.create()), f"file:{folder}/main.key"
    desks = Desk(folder / "ada"), Desk(folder / "ben")
    for desk, operator, more in zip(desks, ("Ada", "Ben"), (options, ()), strict=True):
        desk.output.mkdir(parents=True)
        desk.passphrase_file.write_text(PASSPHRASE + "\n")
        desk.passphrase_file.chmod(0o600)
        names = ("--operator", operator, "--output", str(desk.output), "--store", store)
        desk.ok("init", "--registry", uri, *names, *more)
    desks[0].ok("key", "generate", "main", "--store", store, "--no-backup")
    return desks


def killed_before_delivery(desk: Desk, *argv: str) -> None:
    """Run a command in another process, which is killed after the COMMIT, at the first file."""

    def kill(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        with (
            mock.patch.object(Prepared, "publish", kill),
            mock.patch.object(bundle, "write_archive", kill),
        ):
            desk.run(*argv)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
