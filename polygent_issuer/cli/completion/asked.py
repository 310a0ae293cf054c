"""A value that is being typed, and the home that may know it: only looked at."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from polygent_issuer.cli.completion.cursor import Cursor

if TYPE_CHECKING:
    from polygent_issuer.registry import Customer, Reading
    from polygent_issuer.settings import Loaded

_PATIENCE: Final = timedelta(milliseconds=200)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A value that is being typed, and whose home may know it."""

    cursor: Cursor
    environ: Mapping[str, str]

    @property
    def word(self) -> str:
        """What is there of the value."""
        return self.cursor.word

    def first(self, name: str) -> str | None:
        """What was typed first for a parameter, if it was typed."""
        return next(iter(self.cursor.given.get(name, ())), None)

    @property
    def home(self) -> Path:
        """The home, which must exist and be safe, as for any command.

        Raises:
            HomeProblem: (`home_missing`, `unsafe_home`) when it is not there or not ours.
        """
        from polygent_issuer.home import locate, require

        named = self.cursor.given.get("--home")
        path = locate(Path(named[-1]) if named else None, self.environ)
        require(path)
        return path

    @property
    def loaded(self) -> "Loaded":
        """The settings, with a text of each.

        Raises:
            IssuerError: when there is no home, or its settings are wrong.
        """
        from polygent_issuer.settings import load

        return load(self.home, self.environ)

    @contextmanager
    def reading(self) -> Iterator["Reading"]:
        """A snapshot of the registry; it is never written to, and never waited for long.

        Raises:
            IssuerError: when there is no home, or its registry cannot be read now.
        """
        from polygent_issuer.registry import REGISTRY_FILE, Registry

        path = self.home / REGISTRY_FILE
        with Registry.peek(path, busy_timeout=_PATIENCE) as registry, registry.reading() as db:
            yield db

    def customer(self, db: "Reading") -> "Customer | None":
        """The customer whom the line names, if the registry knows one."""
        from polygent_issuer.errors import Ambiguous, NotFound
        from polygent_issuer.registry import customers

        typed = self.first("CUSTOMER") or self.first("--customer")
        try:
            return None if typed is None else customers.find(db, typed)
        except (NotFound, Ambiguous):
            return None
