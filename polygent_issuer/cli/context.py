"""One invocation of a command: its time, its options, and what it opens on demand."""

import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from polygent_issuer.cli.output.result import note
from polygent_issuer.errors import IssuerError
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from polygent_issuer.home.settings import Loaded, Settings, Team
    from polygent_issuer.issuing.signing import SignedSeal
    from polygent_issuer.keys.passphrases import Passphrase
    from polygent_issuer.keys.signer import Signer
    from polygent_issuer.registry import Actor, Customer, KeyRecord, Reading, Registry
    from polygent_issuer.registry.change import Decided
    from polygent_issuer.registry.errors import Place, RegistryDamaged


_Decision = TypeVar("_Decision")


class Invocation:
    """First argument of every command; opens home, registry and actor on first use.

    Attributes:
        now: the one instant of the whole operation; aware, UTC.
        argv: the words of the command line, without the program's name.
        options: the global options, given before or after the command.
        role: the role that the command needs in a team's registry; empty if it needs none.
        in_lines: whether JSON lines were already written, so that an error is a line, too.
        problem: the OSError or Ctrl-C that ended the command. An OSError other than this one
            comes from writing to stdout.
    """

    def __init__(
        self,
        *,
        argv: Sequence[str] = (),
        now: datetime | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Store the command line, the time and the environment; open nothing."""
        self.argv = tuple(argv)
        self.now = now or datetime.now(UTC)
        self.environ = os.environ if environ is None else environ
        self.options: dict[str, Any] = {}
        self.role = ""
        self.in_lines = False
        self.problem: OSError | KeyboardInterrupt | None = None
        self.closing = ExitStack()
        self._team_rows: Mapping[str, str] | None = None
        self._damage: RegistryDamaged | None = None

    @property
    def as_json(self) -> bool:
        """True if stdout carries only JSON (`--json`)."""
        return bool(self.options.get("json"))

    @property
    def quiet(self) -> bool:
        """True if notes and warnings are suppressed (`--quiet`)."""
        return bool(self.options.get("quiet"))

    @property
    def interactive(self) -> bool:
        """True if prompts are possible: stdin and stderr are terminals, and no `--no-input`."""
        streams = (sys.stdin, sys.stderr)
        terminals = all(stream is not None and stream.isatty() for stream in streams)
        return terminals and not self.options.get("no_input")

    def new_id(self) -> str:
        """Return a new license ID: a random UUID."""
        return str(uuid.uuid4())

    @cached_property
    def home_path(self) -> Path:
        """Path of the home, which may not exist; not checked."""
        from polygent_issuer.home.folder import locate

        return locate(self.options.get("home"), self.environ)

    @cached_property
    def home(self) -> Path:
        """Path of the home, which exists and is safe.

        Raises:
            HomeProblem: (`home_missing`, `unsafe_home`) it is missing, or others can change it.
        """
        from polygent_issuer.home.folder import require

        for warning in require(self.home_path):
            self.warn(warning)
        return self.home_path

    @cached_property
    def own_settings(self) -> "Loaded":
        """The settings of the home, for what does not need the registry."""
        from polygent_issuer.home.settings import load

        return load(self.home, self.environ)

    @cached_property
    def loaded(self) -> "Loaded":
        """The settings, with the source of each; those in the registry win."""
        from polygent_issuer.home.settings import load

        if self.team is None:
            return self.own_settings
        return load(self.home, self.environ, self.team)

    @cached_property
    def team(self) -> "Team | None":
        """The settings in the registry; None if it has none, or is missing.

        Raises:
            RegistryDamaged: (`registry_damaged`) when one was changed by an edit.
        """
        from polygent_issuer.registry.errors import RegistryMissing

        try:
            registry = self.registry
        except RegistryMissing:
            return None
        if self._team_rows is None and self._damage is not None:
            raise self._damage  # not read once more: a command may have its own snapshot open
        if not self._team_rows:  # as in most homes, which then import no editing of settings
            return None
        from polygent_issuer.home import team_settings

        return team_settings.team_of(self._team_rows, registry.place)

    @property
    def settings(self) -> "Settings":
        """The effective settings."""
        return self.loaded.settings

    @cached_property
    def actor(self) -> "Actor":
        """The actor that the journal records, with the id of the home."""
        from polygent_issuer.home import folder

        home = folder.ensure_id(self.home, os.urandom(16).hex())
        return replace(actor(self.own_settings.settings.operator), home=home)

    @property
    def registry_place(self) -> "Place":
        """The registry's file, or the URI of its database."""
        from polygent_issuer.home.folder import may_name_database
        from polygent_issuer.registry import REGISTRY_FILE

        if not may_name_database(self.home):  # as in most homes, which then load no settings
            return self.home / REGISTRY_FILE
        from polygent_issuer.home.settings import registry_place

        return registry_place(self.home)

    @cached_property
    def registry(self) -> "Registry":
        """The registry of the home, closed when the command ends; warns of undelivered licenses."""
        from polygent_issuer.registry import Registry
        from polygent_issuer.registry.errors import RegistryDamaged
        from polygent_issuer.registry.reading import SETTINGS_QUERY

        registry = self.closing.enter_context(Registry.open(self.registry_place))
        if self.role:  # before anything is asked, signed or written
            registry.require_role(self.role)
        try:
            with registry.reading(checked=False, ahead=(SETTINGS_QUERY,)) as db:
                self._team_rows = db.team_settings()
                all_delivered = db.outbox_is_empty()
            if not all_delivered:
                self._warn_of_undelivered(registry)
        except RegistryDamaged as damage:  # backup and journal still work; others fail on their own
            self._damage = damage
            self.warn(damage.message)
        return registry

    def _warn_of_undelivered(self, registry: "Registry") -> None:
        from polygent_issuer.home import folder
        from polygent_issuer.registry import change

        home = folder.id_of(self.home)
        with registry.reading(checked=False) as db:
            pending = change.pending_of(db, home)
        if pending:  # else the rows are those of other homes
            from polygent_issuer.issuing.outbox_delivery import undelivered_warnings

            for warning in undelivered_warnings(registry, home):
                self.warn(warning)

    def customer(self, name: str, *, checked: bool = True, whole: bool = False) -> "Customer":
        """Find a customer by slug, alias or name; on a terminal also by an unambiguous beginning.

        What a beginning found is shown, also with `--quiet`. A script must give the name: a
        beginning could find another customer tomorrow. `checked` is passed to `Registry.reading`.
        `whole` also reads all rows of the customer, for the next decision.

        Raises:
            NotFound, Ambiguous: (`not_found`, `ambiguous`) with the candidates.
        """
        from polygent_issuer.errors import NotFound
        from polygent_issuer.registry import customers
        from polygent_issuer.registry.row_check import customer_queries

        ahead = customer_queries(name) if whole else ()
        with self.registry.reading(checked=checked, ahead=ahead) as db:
            if whole:
                db.row_check.read_customer(name)
            try:
                return customers.find(db, name)
            except NotFound:
                if not self.interactive:
                    raise
                customer = customers.find_by_beginning(db, name)
        note("note", f"{name} is {customer.name} ({customer.slug})", style="dim")
        return customer

    def decide(self, decide: "Callable[[Reading], _Decision]") -> "Decided[_Decision]":
        """Decide on a snapshot of the registry, for `change.carry_out`."""
        from polygent_issuer.registry import change

        return change.decide(self.registry, decide, now=self.now, actor=self.actor)

    def signers_of(
        self,
        keys: "Iterable[KeyRecord]",
        passphrase: "Passphrase",
        unlocked: "Mapping[str, Signer]" = MappingProxyType({}),
    ) -> "dict[str, Signer]":
        """Return the signer of each key, by kid; it may prompt for those that are not unlocked."""
        from polygent_issuer.keys.stores import signer_for

        signers = dict(unlocked)
        for kid, key in {key.kid: key for key in keys if key.kid not in unlocked}.items():
            signers[kid] = signer_for(self.settings, key, passphrase=passphrase, warn=self.warn)
            self.closing.callback(signers[kid].close)
        return signers

    def seal(
        self,
        kid: str,
        signer: "Callable[[], Signer]",
        judge: "Callable[[Reading], None]" = lambda _: None,
    ) -> "SignedSeal | None":
        """Seal the journal as `seal_journal` does; warn of an earlier seal that is missing."""
        from polygent_issuer.issuing.signing import seal_journal

        sealed = seal_journal(
            self.registry, kid, signer, now=self.now, actor=self.actor, judge=judge
        )
        if sealed is not None and sealed.is_late:  # also with --quiet: the new seal hides it
            from polygent_issuer.keys.stores import place_of
            from polygent_issuer.store_uri import stays, where

            innocent = "an earlier version of this tool wrote the journal"
            if stays(place := place_of(self.settings, kid)):
                only = f"with a key in {where(place)} only journal seal makes one"
                innocent = f"this is its first seal ({only})"
            text = (
                f"the key {kid} signed licenses before, but the journal had no seal of it: either "
                f"{innocent}, or somebody removed the seal; to check: "
            )
            note("warning", Hint(text, run("journal", "verify")))
        return sealed

    def seal_at_end(self, signers: "Mapping[str, Signer]") -> None:
        """Seal the journal after the output, if a key that signed is in this process.

        Another key may need a person's touch, so only `journal seal` uses it.
        """
        from polygent_issuer.keys.signer import SoftwareSigner

        in_process = (each for each in signers.values() if isinstance(each, SoftwareSigner))
        signer = next(in_process, None)
        if signer is not None:
            self.closing.callback(self._try_to_seal, signer)

    def _try_to_seal(self, signer: "Signer") -> None:
        try:
            self.seal(signer.kid, lambda: signer)
        except IssuerError as error:  # the command itself is done
            hint = "" if error.hint is None else Hint("; ", error.hint)
            self.warn(Hint(f"the journal was not sealed: {error.message}", hint))
        except KeyboardInterrupt:
            self.warn("the journal was not sealed: interrupted; the next seal covers its rows")

    def record_copy(
        self, decided: "Decided[Any]", event: str, details: "Mapping[str, object]"
    ) -> None:
        """Record a copy of the registry in the journal; warn that an auditor cannot do that."""
        from polygent_issuer.registry import change
        from polygent_issuer.registry.postgres.roles import Role

        if self.registry.allows(Role.ISSUER):
            change.carry_out(decided.unasked(), lambda db: db.record(event, details=details))
        else:
            self.warn(
                "your role may not write to the registry, so its journal does not record this copy"
            )

    def warn_of_default_issuer(self) -> None:
        """Warn if the setting `issuer` is not set, with the name in its place."""
        if self.loaded.entries["issuer"].where == "default":
            text = f"licenses will name {self.settings.issuer} as their issuer; to change it: "
            self.warn(Hint(text, run("config", "set", "issuer", "NAME")))

    def warn(self, message: str) -> None:
        """Print a warning on stderr, unless `--quiet`."""
        if not self.quiet:
            note("warning", message)

    def note(self, message: str) -> None:
        """Print a note on stderr, unless `--quiet` or `--json`."""
        if not self.quiet and not self.as_json:
            note("note", message, style="dim")


def actor(operator: str | None) -> "Actor":
    """Return the actor for the journal: the setting `operator`, else the OS user."""
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

        return pwd.getpwuid(uid).pw_name  # not LOGNAME, which can be set to anything
    except (OSError, ImportError, KeyError):  # the user has no name; ImportError before 3.13
        return "unknown" if uid is None else f"uid {uid}"
