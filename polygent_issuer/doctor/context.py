"""The home that doctor examines, opened as far as possible, and the verdict of a check.

The registry is opened as it is, without a migration and without a warning about the outbox. Only
SQLite itself may write to it: after a crash in the middle of a transaction, the first reader rolls
that transaction back, in doctor as in every other command.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import Final, TypeVar

from polygent_issuer import store_uri
from polygent_issuer.delivery import template
from polygent_issuer.errors import ExitCode, HomeMissing, IssuerError
from polygent_issuer.files.reading import require_unexposed
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home import settings, team_settings
from polygent_issuer.home.settings import Loaded, Settings
from polygent_issuer.registry import REGISTRY_FILE, KeyRecord, Registry, keys
from polygent_issuer.registry.database import require_safe
from polygent_issuer.registry.errors import Place
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.registry.postgres.server import ServerFacts


class State(StrEnum):
    """The state of a row. `not_checked` is not a failure; the message gives the reason."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A row of the report; a check of several items has several rows.

    Attributes:
        state: the result.
        message: the reason in one line; lower case, no full stop, no secret.
        fix: the command that fixes the problem, or an instruction if no command can.
        exit_code: of the commands that this problem stops.
        name: of the check.
        kid: of the private key that was checked; empty for anything else.
    """

    state: State
    message: str
    fix: str | None = None
    exit_code: ExitCode = ExitCode.DONE
    name: str = ""
    kid: str = ""


class NotChecked(Exception):
    """Another problem prevents a check; the text names it."""


def ok(message: str) -> Verdict:
    """Report success."""
    return Verdict(state=State.OK, message=message)


def warn(message: str, fix: str) -> Verdict:
    """Report a problem that does not stop a command yet."""
    return Verdict(state=State.WARN, message=message, fix=fix)


def fail(message: str, fix: str | None, exit_code: ExitCode) -> Verdict:
    """Report a problem that stops some command with this exit code."""
    return Verdict(state=State.FAIL, message=message, fix=fix, exit_code=exit_code)


def refused(error: IssuerError) -> Verdict:
    """Report an error of this tool as a failure."""
    return fail(error.message, error.hint, error.exit_code)


def not_checked(reason: str) -> Verdict:
    """Report that a check was not possible."""
    return Verdict(state=State.NOT_CHECKED, message=f"not checked: {reason}")


Verdicts = Verdict | tuple[Verdict, ...]
T = TypeVar("T")

PATIENCE: Final = timedelta(seconds=3)
"""The time limit for a keyring to answer and for a registry lock to end."""


def _opened(
    failure: str, *, missing: str | None = None
) -> Callable[[Callable[["DoctorContext"], T]], "cached_property[T]"]:
    """Make a cached property that raises its error once, and then `NotChecked` with `failure`.

    After `HomeMissing` its text is `missing`.
    """

    def decorate(open_it: Callable[["DoctorContext"], T]) -> "cached_property[T]":
        def get(context: "DoctorContext") -> T:
            if open_it in context.failures:
                raise context.failures[open_it]
            try:
                return open_it(context)
            except IssuerError as error:
                is_missing = isinstance(error, HomeMissing)
                context.failures[open_it] = NotChecked(
                    missing if missing and is_missing else failure
                )
                raise
            except NotChecked as earlier:
                context.failures[open_it] = earlier
                raise

        get.__doc__ = open_it.__doc__
        return cached_property(get)

    return decorate


class DoctorContext:
    """The home, settings, registry and environment of one examination, opened when needed.

    Attributes:
        now: the time of the examination, timezone-aware.
        environ: the environment variables of the process.
        origin: the source of the home's path: `--home`, the variable, or `the default`.
        failures: the reason for each part that could not be opened.
    """

    def __init__(
        self,
        option: Path | None,
        environ: Mapping[str, str],
        *,
        now: datetime,
        closing: ExitStack,
    ) -> None:
        """Store the arguments; nothing is opened yet. `closing` closes everything at the end."""
        self.now = now
        self.environ = environ
        otherwise = home_folder.VARIABLE if home_folder.VARIABLE in environ else "the default"
        self.origin = otherwise if option is None else "--home"
        self.failures: dict[object, NotChecked] = {}
        self._lacks_team = False
        self._place = partial(home_folder.locate, option, environ)
        self._closing = closing

    @_opened("the home cannot be opened", missing="the home does not exist")
    def folder(self) -> Path:
        """The home's folder, even if other users may write to it."""
        place = self._place()
        with suppress(home_folder.UnsafeHome):  # another check reports its permissions
            home_folder.require(place)
        return place

    @_opened("the home is not safe to read")
    def home(self) -> Path:
        """The home's folder, if no other user may write to it."""
        home_folder.require(self.folder)
        return self.folder

    @_opened("the settings cannot be read")
    def loaded(self) -> Loaded:
        """The settings with their origins."""
        return settings.load(self.home, self.environ, self._team())

    def _team(self) -> settings.Team | None:
        """The settings in the registry; another check reports one that cannot be read."""
        with (
            suppress(IssuerError, OSError),
            Registry.open(self.registry_place, busy_timeout=PATIENCE, migrate=False) as opened,
        ):
            if opened.is_up_to_date:
                return team_settings.read(opened)
        self._lacks_team = self.is_on_server
        return None

    @property
    def shared(self) -> Loaded:
        """The settings, if those of a team's registry are among them."""
        loaded = self.loaded
        if self._lacks_team:
            raise NotChecked("the registry cannot be read")
        return loaded

    @_opened("the registry cannot be opened")
    def registry(self) -> Registry:
        """The registry, opened without a migration."""
        return self._closing.enter_context(
            Registry.open(self.registry_place, busy_timeout=PATIENCE, migrate=False)
        )

    @_opened("the registry cannot be read")
    def current_registry(self) -> Registry:
        """The registry, if its tables have the current version."""
        if not self.registry.is_up_to_date:
            raise NotChecked("the tables of the registry have an older version")
        return self.registry

    @_opened("the keys cannot be read")
    def known_keys(self) -> tuple[KeyRecord, ...]:
        """Every pinned key."""
        with self.current_registry.reading(checked=False) as db:
            return keys.every(db)

    @property
    def may_sign(self) -> bool:
        """False for an auditor of a team's registry, who needs no private key."""
        registry = self.current_registry
        return registry.allows(Role.ISSUER) or registry.allows(Role.KEY_ADMIN)

    @property
    def may_change_keys(self) -> bool:
        """False for a user of a team's registry who lacks the role key-admin."""
        return self.current_registry.allows(Role.KEY_ADMIN)

    @_opened("the server cannot be asked")
    def server(self) -> ServerFacts:
        """Facts about the server of a team's registry."""
        facts = self.registry.connection.facts()
        if facts is None:
            raise NotChecked("the registry is a file")
        return facts

    @property
    def is_on_server(self) -> bool:
        """True if the settings name the database of a team's registry."""
        try:
            return isinstance(self.registry_place, str)
        except (NotChecked, IssuerError):
            return False

    @property
    def registry_place(self) -> Place:
        """The registry's file, or the URI of its database."""
        return settings.registry_place(self.home)

    @property
    def settings(self) -> Settings:
        """The current settings; the timeout of a keyring is at most `PATIENCE`."""
        loaded = self.loaded.settings
        return replace(loaded, keyring_timeout=min(loaded.keyring_timeout, PATIENCE))

    @property
    def home_files(self) -> tuple[Path, ...]:
        """The files of a home."""
        files = (self.registry_place, settings.settings_path(self.home))
        return tuple(file for file in files if isinstance(file, Path))

    @property
    def home_requirements(self) -> Iterator[Callable[[], None]]:
        """The safety checks of commands on the files of the home that affect signing."""
        folder = self.folder
        yield partial(require_safe, folder / REGISTRY_FILE)
        yield partial(require_unexposed, settings.settings_path(folder), "settings file")
        yield partial(require_unexposed, template.template_path(folder), "mail template")

    @property
    def key_files(self) -> tuple[Path, ...]:
        """The key files that the settings name."""
        places = map(store_uri.parse, self.settings.stores.values())
        files = (place for place in places if isinstance(place, store_uri.FileLocation))
        return tuple(place.path for place in files if not place.folder)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that this tool writes to: the home and the folders in the settings."""
        optional = (self.settings.output, self.settings.key_backup_folder)
        of_keys = (path.parent for path in self.key_files)
        folders = (self.home, *(folder for folder in optional if folder is not None), *of_keys)
        return tuple(dict.fromkeys(folders))
