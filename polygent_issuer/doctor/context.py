"""What is examined, opened as far as it goes and changed by nothing.

The registry is opened as it is: no migration, no warning of the outbox. Only SQLite itself may
write to it then: when a writer has crashed in the middle of a transaction, the first reader rolls
that back, as every other command would.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

from polygent_issuer import store_uri
from polygent_issuer.delivery import template
from polygent_issuer.doctor.verdict import NotChecked
from polygent_issuer.errors import IssuerError
from polygent_issuer.files.ownership import require_unexposed
from polygent_issuer.home import folder as home
from polygent_issuer.home import settings as settings_file
from polygent_issuer.home.folder import UnsafeHome
from polygent_issuer.home.settings import Settings
from polygent_issuer.registry import REGISTRY_FILE, KeyRecord, Registry, keys
from polygent_issuer.registry.database_file import require_safe

T = TypeVar("T")

PATIENCE: Final = timedelta(seconds=3)
"""How long a keyring, or whoever holds the registry, may take to answer."""


class Opened(Generic[T]):
    """Something that is opened once, when a check first asks for it.

    Args:
        otherwise: what the checks that ask later are told when it could not be opened.
        opening: opens it.
    """

    def __init__(self, otherwise: str, opening: Callable[[], T]) -> None:
        """Open nothing yet."""
        self._otherwise = otherwise
        self._opening = opening
        self._found: list[T] = []
        self._failure: NotChecked | None = None

    def __call__(self) -> T:
        """What was opened.

        Raises:
            IssuerError: as the opening says, the first time.
            NotChecked: whenever it is asked for after that.
        """
        if self._failure is not None:
            raise self._failure
        if not self._found:
            try:
                self._found.append(self._opening())
            except IssuerError:
                self._failure = NotChecked(self._otherwise)
                raise
            except NotChecked as earlier:
                self._failure = earlier
                raise
        return self._found[0]


class DoctorContext:
    """One examination's subject.

    Attributes:
        now: the instant of the examination, aware.
        environ: the process's environment.
        origin: what says where the home is.
        folder: the folder that is there, whoever else may write to it.
        home: the same, once nobody else may: what a stranger wrote is not read.
        loaded: the settings with their origins.
        registry: open, as it is.
        books: the same, once its tables are those that this version reads.
        known_keys: every pinned key.
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
        """Note what is to be examined; `closing` closes what is opened."""
        self.now = now
        self.environ = environ
        self.patience = patience
        self.origin = _origin(option, environ)
        self._closing = closing
        self.folder = Opened("there is no home", lambda: _existing(home.locate(option, environ)))
        self.home = Opened("the home is not safe to read", lambda: _safe(self.folder()))
        self.loaded = Opened(
            "the settings cannot be read", lambda: settings_file.load(self.home(), environ)
        )
        self.registry = Opened("the registry cannot be opened", self._open_registry)
        self.books = Opened("the registry cannot be read", self._require_tables)
        self.known_keys = Opened("the keys cannot be read", self._read_keys)

    @property
    def registry_path(self) -> Path:
        """The registry's file."""
        return self.home() / REGISTRY_FILE

    @property
    def settings(self) -> Settings:
        """The settings in force; no keyring is waited for longer than an examination may take."""
        loaded = self.loaded().settings
        return replace(loaded, keyring_timeout=min(loaded.keyring_timeout, self.patience))

    def home_files(self) -> tuple[Path, ...]:
        """What lies in a home."""
        return (self.registry_path, settings_file.settings_path(self.home()))

    def home_requirements(self) -> Iterator[Callable[[], None]]:
        """Yield the checks that commands make on the files of a home that decide what is signed."""
        folder = self.folder()
        yield partial(require_safe, folder / REGISTRY_FILE)
        yield partial(require_unexposed, settings_file.settings_path(folder), "settings file")
        yield partial(require_unexposed, template.template_path(folder), "mail template")

    def key_files(self) -> tuple[Path, ...]:
        """The key files that the settings name."""
        places = map(store_uri.parse, self.settings.stores.values())
        files = (place for place in places if isinstance(place, store_uri.FileLocation))
        return tuple(place.path for place in files if not place.folder)

    def folders(self) -> tuple[Path, ...]:
        """Where this tool writes: the home, and the folders that the settings name."""
        named = (self.settings.output, self.settings.key_backup_folder)
        beside = (path.parent for path in self.key_files())
        found = (self.home(), *(folder for folder in named if folder is not None), *beside)
        return tuple(dict.fromkeys(found))

    def _open_registry(self) -> Registry:
        return self._closing.enter_context(
            Registry.open(self.registry_path, busy_timeout=self.patience, as_it_is=True)
        )

    def _require_tables(self) -> Registry:
        registry = self.registry()
        if not registry.is_up_to_date:
            raise NotChecked("the registry's tables are of an older version")
        return registry

    def _read_keys(self) -> tuple[KeyRecord, ...]:
        with self.books().reading(checked=False) as db:
            return keys.every(db)


def _origin(option: Path | None, environ: Mapping[str, str]) -> str:
    if option is not None:
        return "--home"
    return home.VARIABLE if home.VARIABLE in environ else "the default"


def _existing(place: Path) -> Path:
    with suppress(UnsafeHome):  # it is there; its rights are judged by themselves
        home.require(place)
    return place


def _safe(folder: Path) -> Path:
    home.require(folder)
    return folder
