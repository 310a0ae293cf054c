"""A home as doctor looks at it, opened as far as it goes; and the verdict of a check.

The registry is opened as it is: no migration, no warning of the outbox. Only SQLite itself may
write to it then: when a writer has crashed in the middle of a transaction, the first reader rolls
that back, as every other command would.
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
from polygent_issuer.errors import ExitCode, IssuerError
from polygent_issuer.files.reading import require_unexposed
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home import settings
from polygent_issuer.home.settings import Loaded, Settings
from polygent_issuer.registry import REGISTRY_FILE, KeyRecord, Registry, keys
from polygent_issuer.registry.connection import require_safe


class State(StrEnum):
    """The state of one thing; what could not be checked fails nothing, its message says why."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A row of the report; a check of several things has several.

    Attributes:
        state: of the thing.
        message: the reason, in one line; lower case, no full stop, no secret.
        fix: the command that puts it right, or words where no command can.
        exit_code: of a command that needs this.
        name: of the check.
    """

    state: State
    message: str
    fix: str | None = None
    exit_code: ExitCode = ExitCode.DONE
    name: str = ""


class NotChecked(Exception):
    """Another problem prevents a check; the text says which."""


def ok(message: str) -> Verdict:
    """Report that all is well."""
    return Verdict(state=State.OK, message=message)


def warn(message: str, fix: str) -> Verdict:
    """Report a problem that stops no command yet."""
    return Verdict(state=State.WARN, message=message, fix=fix)


def fail(message: str, fix: str | None, exit_code: ExitCode) -> Verdict:
    """Report a problem that ends some command with this exit code."""
    return Verdict(state=State.FAIL, message=message, fix=fix, exit_code=exit_code)


def refused(error: IssuerError) -> Verdict:
    """Report an error of ours as a failure."""
    return fail(error.message, error.hint, error.exit_code)


def not_checked(reason: str) -> Verdict:
    """Report that a check was not possible."""
    return Verdict(state=State.NOT_CHECKED, message=f"not checked: {reason}")


T = TypeVar("T")

PATIENCE: Final = timedelta(seconds=3)
"""How long a keyring, or whoever locks the registry, may take to answer."""


def _opened(
    failure: str,
) -> Callable[[Callable[["DoctorContext"], T]], "cached_property[T]"]:
    """Make a cached property that raises its error once; later `NotChecked` with `failure`."""

    def decorate(open_it: Callable[["DoctorContext"], T]) -> "cached_property[T]":
        def get(context: "DoctorContext") -> T:
            if open_it in context.failures:
                raise context.failures[open_it]
            try:
                return open_it(context)
            except IssuerError:
                context.failures[open_it] = NotChecked(failure)
                raise
            except NotChecked as earlier:
                context.failures[open_it] = earlier
                raise

        get.__doc__ = open_it.__doc__
        return cached_property(get)

    return decorate


class DoctorContext:
    """What one examination looks at.

    Attributes:
        now: the instant of the examination, aware.
        environ: the process's environment.
        patience: how long a keyring, or whoever locks the registry, may take to answer.
        origin: `--home`, the variable or the default, whichever names the home.
        failures: of what could not be opened.
    """

    def __init__(
        self,
        option: Path | None,
        environ: Mapping[str, str],
        *,
        now: datetime,
        closing: ExitStack,
        patience: timedelta = PATIENCE,
    ) -> None:
        """Open nothing yet; `closing` closes what is opened."""
        self.now = now
        self.environ = environ
        self.patience = patience
        otherwise = home_folder.VARIABLE if home_folder.VARIABLE in environ else "the default"
        self.origin = otherwise if option is None else "--home"
        self.failures: dict[object, NotChecked] = {}
        self._place = partial(home_folder.locate, option, environ)
        self._closing = closing

    @_opened("there is no home")
    def folder(self) -> Path:
        """The home's folder, whoever else may write to it."""
        place = self._place()
        with suppress(home_folder.UnsafeHome):  # it is there; its rights are another check
            home_folder.require(place)
        return place

    @_opened("the home is not safe to read")
    def home(self) -> Path:
        """The same, if nobody else may write to it."""
        home_folder.require(self.folder)
        return self.folder

    @_opened("the settings cannot be read")
    def loaded(self) -> Loaded:
        """The settings with their origins."""
        return settings.load(self.home, self.environ)

    @_opened("the registry cannot be opened")
    def registry(self) -> Registry:
        """The registry, open as it is."""
        return self._closing.enter_context(
            Registry.open(self.registry_path, busy_timeout=self.patience, as_it_is=True)
        )

    @_opened("the registry cannot be read")
    def current_registry(self) -> Registry:
        """The same, if its tables are those of this version."""
        if not self.registry.is_up_to_date:
            raise NotChecked("the registry's tables are of an older version")
        return self.registry

    @_opened("the keys cannot be read")
    def known_keys(self) -> tuple[KeyRecord, ...]:
        """Every pinned key."""
        with self.current_registry.reading(checked=False) as db:
            return keys.every(db)

    @property
    def registry_path(self) -> Path:
        """The registry's file."""
        return self.home / REGISTRY_FILE

    @property
    def settings(self) -> Settings:
        """The settings in force, with no more patience for a keyring than an examination has."""
        loaded = self.loaded.settings
        return replace(loaded, keyring_timeout=min(loaded.keyring_timeout, self.patience))

    @property
    def home_files(self) -> tuple[Path, ...]:
        """The files of a home."""
        return (self.registry_path, settings.settings_path(self.home))

    @property
    def home_requirements(self) -> Iterator[Callable[[], None]]:
        """The checks that commands make on the files of a home that decide what is signed."""
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
        """The folders that this tool writes to: the home, and those that the settings name."""
        optional = (self.settings.output, self.settings.key_backup_folder)
        of_keys = (path.parent for path in self.key_files)
        folders = (self.home, *(folder for folder in optional if folder is not None), *of_keys)
        return tuple(dict.fromkeys(folders))
