"""One invocation: its instant, its options, and what it opens on demand."""

import os
import sys
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from polygent_issuer.cli.output.result import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from polygent_issuer.home.settings import Loaded, Settings
    from polygent_issuer.registry import Actor, Customer, Reading, Registry
    from polygent_issuer.registry.change import Decided


_Decision = TypeVar("_Decision")


class Invocation:
    """What every command is handed first; home, registry and actor are opened when asked for.

    Attributes:
        now: the one instant of the whole operation; aware, UTC.
        options: the global options, given before or after the command.
        in_lines: under `--json` lines were written already, so that an error is one, too.
        problem: what the operating system refused a command, or the Ctrl-C that ended it; stdout
            is written after it.
    """

    def __init__(
        self, *, now: datetime | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """Begin with nothing open."""
        self.now = now or datetime.now(UTC)
        self.environ = os.environ if environ is None else environ
        self.options: dict[str, Any] = {}
        self.in_lines = False
        self.problem: OSError | KeyboardInterrupt | None = None
        self.closing = ExitStack()

    @property
    def as_json(self) -> bool:
        """Whether stdout carries JSON and nothing else."""
        return bool(self.options.get("json"))

    @property
    def quiet(self) -> bool:
        """Whether notes and warnings are left out."""
        return bool(self.options.get("quiet"))

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: a terminal on both sides and no `--no-input`."""
        streams = (sys.stdin, sys.stderr)
        terminals = all(stream is not None and stream.isatty() for stream in streams)
        return terminals and not self.options.get("no_input")

    def new_id(self) -> str:
        """Return a license ID that was never used: a random UUID."""
        return str(uuid.uuid4())

    @cached_property
    def home_path(self) -> Path:
        """Where the home is or would be; not checked."""
        from polygent_issuer.home.folder import locate

        return locate(self.options.get("home"), self.environ)

    @cached_property
    def home(self) -> Path:
        """The home, which must exist and be safe.

        Raises:
            HomeProblem: (`home_missing`, `unsafe_home`) when it is not there or not ours.
        """
        from polygent_issuer.home.folder import require

        for warning in require(self.home_path):
            self.warn(warning)
        return self.home_path

    @cached_property
    def loaded(self) -> "Loaded":
        """The settings with the origin of each."""
        from polygent_issuer.home.settings import load

        return load(self.home, self.environ)

    @property
    def settings(self) -> "Settings":
        """The settings in force."""
        return self.loaded.settings

    @cached_property
    def actor(self) -> "Actor":
        """Who acts, for the journal."""
        return actor(self.settings.operator)

    @cached_property
    def registry(self) -> "Registry":
        """The registry of the home, closed when the command ends; names undelivered licenses."""
        from polygent_issuer.registry import REGISTRY_FILE, Registry, outbox
        from polygent_issuer.registry.errors import RegistryDamaged

        registry = self.closing.enter_context(Registry.open(self.home / REGISTRY_FILE))
        try:
            with registry.reading(checked=False) as db:
                pending = outbox.pending(db)
            if pending:
                from polygent_issuer.issuing.outbox_delivery import undelivered

                for warning in undelivered(registry):
                    self.warn(warning)
        except RegistryDamaged as damage:  # backup and journal go on; others meet it themselves
            self.warn(damage.message)
        return registry

    def customer(self, name: str, *, checked: bool = True) -> "Customer":
        """Find a customer by slug or name; on a terminal also by an unambiguous beginning.

        Off a terminal a beginning is refused: a script must not mean somebody else tomorrow.
        `checked` is as for `Registry.reading`.

        Raises:
            NotFound, Ambiguous: (`not_found`, `ambiguous`) with the nearest names.
        """
        from polygent_issuer.errors import NotFound
        from polygent_issuer.registry import customers

        with self.registry.reading(checked=checked) as db:
            try:
                return customers.find(db, name)
            except NotFound:
                if not self.interactive:
                    raise
                return customers.find_by_beginning(db, name)

    def decide(self, decide: "Callable[[Reading], _Decision]") -> "Decided[_Decision]":
        """Decide on a snapshot of the registry, for `change.carry_out`."""
        from polygent_issuer.registry import change

        return change.decide(self.registry, decide, now=self.now, actor=self.actor)

    def warn(self, message: str) -> None:
        """Tell the operator something on stderr, unless `--quiet`."""
        if not self.quiet:
            note("warning", message)

    def tell(self, message: str) -> None:
        """Say what is going on, on stderr, unless `--quiet` or `--json`."""
        if not self.quiet and not self.as_json:
            note("note", message, style="dim")


def actor(operator: str | None) -> "Actor":
    """Return who acts, for the journal: the setting `operator`, else the system's user."""
    import socket

    from polygent_issuer.registry import Actor

    uid = os.getuid() if hasattr(os, "getuid") else None
    user = _user(uid)
    return Actor(operator=operator or user, os_user=user, uid=uid, host=socket.gethostname())


def _user(uid: int | None) -> str:
    try:
        if uid is None:
            import getpass

            return getpass.getuser()
        import pwd

        return pwd.getpwuid(uid).pw_name  # the account of the uid; LOGNAME can be set to anything
    except (OSError, ImportError, KeyError):  # no variable names the user; ImportError before 3.13
        return "unknown" if uid is None else f"uid {uid}"
