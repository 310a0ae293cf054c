"""Where the cursor of a command line is: in which command, and in which of its parameters."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from polygent_issuer.cli.lazy import Entry, load


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """What is being typed, and what stands before it on the line.

    Attributes:
        path: the words of the command, such as `("customer", "show")`.
        entry: its line of the command table.
        options: its options; a group has the global ones.
        parameter: the option or argument whose value is being typed, if it is one.
        before: what of the word is no part of the value: `--tier=`, or nothing.
        word: the value, or the word, so far.
        may_be_option: whether an option may stand here.
        given: what was typed for each parameter so far, by its `name_of`.
    """

    path: tuple[str, ...]
    entry: Entry
    options: tuple[Any, ...]
    parameter: Any | None
    before: str
    word: str
    may_be_option: bool
    given: dict[str, list[str]]


def name_of(parameter: Any) -> str:  # noqa: ANN401 - Typer's own are private
    """How a parameter is called: an option by its long name, an argument by its metavar."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).strip("[].").upper()
    return next((str(name) for name in parameter.opts if name.startswith("--")), "")


def find(entry: Entry, command: Any, words: Sequence[str]) -> Cursor | None:  # noqa: ANN401 - likewise
    """Where the last of the words is.

    Args:
        entry, command: the whole tool, as it stands in the table and as Typer has it.
        words: those after the tool's name, without quotes; the last one may be empty.

    Returns:
        None where a word before it is no command, so that nothing can be said.
    """
    walk = _Walk(entry=entry, command=command)
    return walk.at(words[-1]) if all(map(walk.passes, words[:-1])) else None


@dataclass(kw_only=True, slots=True)
class _Walk:
    entry: Entry
    command: Any
    path: tuple[str, ...] = ()
    pending: Any | None = None
    ended: bool = False
    arguments: int = 0
    given: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def passes(self, word: str) -> bool:
        """Take one whole word; False for a command that does not exist."""
        if self.pending is not None:
            self._note(self.pending, word)
            self.pending = None
        elif not self.ended and word == "--":
            self.ended = True
        elif not self.ended and word.startswith("-") and word != "-":
            self._take_option(word)
        elif self.entry.entries:
            return self._descend(word)
        else:
            argument = self._argument()
            if argument is not None:
                self._note(argument, word)
            self.arguments += 1
        return True

    def at(self, word: str) -> Cursor:
        """The cursor in a word that is being typed."""
        parameter, before, value = self.pending, "", word
        name, equals, rest = word.partition("=")
        if parameter is None and not self.ended and word.startswith("-"):
            option = self._option(name)
            if equals and option is not None and not option.is_flag:
                parameter, before, value = option, f"{name}=", rest
        elif parameter is None and not self.entry.entries:
            parameter = self._argument()
        return Cursor(
            path=self.path,
            entry=self.entry,
            options=tuple(self._options()),
            parameter=parameter,
            before=before,
            word=value,
            may_be_option=self.pending is None and not self.ended and not before,
            given=self.given,
        )

    def _take_option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        option = self._option(name)
        if option is None:
            return
        if option.is_flag or equals:
            self._note(option, value)
        else:
            self.pending = option

    def _descend(self, name: str) -> bool:
        entry = next((entry for entry in self.entry.entries if entry.name == name), None)
        if entry is None:
            return False
        self.entry, self.command = entry, load(entry, None)
        self.path = (*self.path, name)
        return True

    def _note(self, parameter: Any, value: str) -> None:  # noqa: ANN401 - Typer's own are private
        self.given[name_of(parameter)].append(value)

    def _options(self) -> Iterator[Any]:
        return (one for one in self.command.params if one.param_type_name == "option")

    def _option(self, name: str) -> Any | None:  # noqa: ANN401 - Typer's own are private
        every = (*self._options(),)
        return next((one for one in every if name in (*one.opts, *one.secondary_opts)), None)

    def _argument(self) -> Any | None:  # noqa: ANN401 - Typer's own are private
        """The argument that the next word is for; the last one may take many."""
        every = [one for one in self.command.params if one.param_type_name == "argument"]
        if self.arguments < len(every):
            return every[self.arguments]
        return every[-1] if every and every[-1].nargs == -1 else None
