"""Hints: one text for people, whose commands and options stay data."""

import ast
import copy
import json
import pickle
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import polygent_issuer
from polygent_issuer.hints import Hint, Option, option, run


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


def texts(node: ast.expr) -> Iterator[str]:
    """Yield each literal text of an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def hints_in(call: ast.Call) -> Iterator[ast.expr]:
    """Yield the expressions of a call that are a hint or a part of one."""
    yield from (each.value for each in call.keywords if each.arg == "hint")
    if ast.unparse(call.func) == "Hint":
        yield call


def test_no_hint_has_a_command_in_its_text() -> None:
    """Every command in a hint is made by `run`, so that `at_home` can add the home to it."""
    for path in Path(polygent_issuer.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for hint in hints_in(node) if isinstance(node, ast.Call) else ():
                assert not any("polygent-issue " in text for text in texts(hint)), path
