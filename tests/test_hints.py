"""Hints: one text for people, whose commands and options stay data."""

import ast
import copy
import json
import pickle
import re
import shlex
from pathlib import Path

import pytest
from support.sources import nodes, tree

import polygent_issuer
from polygent_issuer.cli.commands import COMMANDS
from polygent_issuer.text import Hint, Option, option, run


def test_a_hint_is_its_text() -> None:
    """A hint equals its text and is written to JSON as its text."""
    hint = Hint("look: ", run("key", "show", "my key"), "; or add ", option("--term", "1y"))
    assert hint == "look: polygent-issue key show 'my key'; or add --term 1y"
    assert json.dumps([hint]) == json.dumps([str(hint)])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("renew", "acme", "--license", "1f3a"), "renew acme --license 1f3a"),
        (("key", "use", "--", "-x"), "key use -- -x"),
        (("key", "list", "--key=my key"), "key list --key='my key'"),
        (("x", "file:~/keys/"), "x file:~/keys/"),
        (("x", "~"), "x '~'"),
        (("x", "--$(touch evil)=x"), "x '--$(touch evil)=x'"),
        (("x", "--;evil;=x"), "x '--;evil;=x'"),
        (("x", "a;b"), "x 'a;b'"),
        (("x", "\x1b[31m"), "x '\\x1b[31m'"),
        (("x", ""), "x ''"),
    ],
)
def test_words_are_quoted_when_they_are_shown(words: tuple[str, ...], text: str) -> None:
    """A copied command runs only itself; `argv` has its words without quotes."""
    hint = run(*words)
    assert hint == f"polygent-issue {text}"
    assert hint.argv == ("polygent-issue", *words)
    assert shlex.split(hint)[0] == "polygent-issue"


def test_only_a_hint_with_one_command_has_argv() -> None:
    """A hint without a command, or with several, has no `argv`."""
    assert Hint("do ", run("init"), " first").argv == ("polygent-issue", "init")
    assert Hint(run("init"), "; or ", run("doctor")).argv is None
    assert option("--term").argv is None


def test_hints_join() -> None:
    """The commands of a hint stay data when it is part of another hint."""
    hint = Hint("first ", Hint("see ", run("doctor")))
    assert hint.argv == ("polygent-issue", "doctor")


def test_the_home_is_named_in_every_command() -> None:
    """`at_home` adds `--home` to each command and leaves the text alone."""
    hint = Hint(run("init"), "; or polygent-issue as a word: ", run("doctor")).at_home("/a b")
    assert hint == (
        "polygent-issue --home '/a b' init; or polygent-issue as a word: "
        "polygent-issue --home '/a b' doctor"
    )


def test_options_can_be_written_differently() -> None:
    """`with_options` changes the options outside of commands."""

    def upper(one: Option) -> str:
        return f"{one.name.upper()}={one.value}"

    hint = Hint("add ", option("--term", "1y"), "; or ", run("renew", "x", "--term", "1y"))
    assert hint.with_options(upper) == "add --TERM=1y; or polygent-issue renew x --term 1y"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_hints_are_pickled_whole(protocol: int) -> None:
    """A hint keeps its commands when a worker process sends its error."""
    hint = Hint("see ", run("doctor"))
    loaded = pickle.loads(pickle.dumps(hint, protocol))  # noqa: S301 - our own bytes
    for same in (loaded, copy.deepcopy(hint)):
        assert (same, same.parts) == (hint, hint.parts)


PACKAGE = Path(polygent_issuer.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
COMMAND = re.compile(rf"polygent-issue (?:{'|'.join(each.name for each in COMMANDS.entries)})\b")
IN_FILES = {"batch/export.py", "home/settings_editing.py", "registry/postgres/roles.py"}
"""Modules with the text of a file, whose comments name commands for the reader of the file."""


def docstrings(module: ast.Module) -> set[ast.expr]:
    """Return the texts that are a statement: docstrings, and the help of commands."""
    return {node.value for node in nodes(module) if isinstance(node, ast.Expr)}


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - IN_FILES))
def test_each_command_in_a_text_is_made_by_run(name: str) -> None:
    """No text has a command in it, so that `at_home` can add the home to each."""
    texts = {
        node.value: node.lineno
        for node in set(nodes(tree(SOURCES[name]))) - docstrings(tree(SOURCES[name]))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not [f"{name}:{line}" for text, line in texts.items() if COMMAND.search(text)]


def test_no_hint_is_formatted_into_a_text() -> None:
    """A call that returns a hint is not in an f-string, which makes a plain text of it."""
    functions = [
        node
        for path in SOURCES.values()
        for node in nodes(tree(path))
        if isinstance(node, ast.FunctionDef) and node.returns is not None
    ]
    makers = {each.name for each in functions if ast.unparse(each.returns or each) == "Hint"}
    assert {"run", "option", "join", "reissue_command"} <= makers
    formatted = [
        f"{name}:{node.lineno}"
        for name, path in SOURCES.items()
        for node in nodes(tree(path))
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Call)
        if ast.unparse(node.value.func) in makers
    ]
    assert not formatted


def test_our_code_cannot_format_a_hint_with_a_command_in_tests() -> None:
    """Whatever test prints such a text fails, although the hint came through a variable."""
    ours = {"__name__": "polygent_issuer.x", "term": option("--term", "1y"), "look": run("doctor")}
    assert eval("f'add {term}'", ours) == "add --term 1y"  # noqa: S307 - our own text
    with pytest.raises(AssertionError):
        eval("f'see {look}'", ours)  # noqa: S307 - as above
