"""Words of a line that is still being typed, and what is put into it: judged by bash itself."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.cli.completion.bash_words import plain, split, written

_SPECIAL = st.sampled_from(" $`'\"\\!~#;&|*?{}()<>=:")
_PRINTABLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
NAMES = st.text(st.one_of(_SPECIAL, _PRINTABLE), max_size=20)


def _bash(line: str) -> list[str]:
    """The words that bash makes of a line of quoted words."""
    script = f"set -f +B; printf '%s\\0' {line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize(
    ("line", "words", "quote"),
    [
        ("", [""], ""),
        ("a b", ["a", "b"], ""),
        ("a b ", ["a", "b", ""], ""),
        (r"a b\ c", ["a", "b c"], ""),
        ("a 'b c", ["a", "b c"], "'"),
        ('a "b \\" c', ["a", 'b " c'], '"'),
        ('a "b \\x', ["a", "b \\x"], '"'),
        ("a 'b'\"c\"d", ["a", "bcd"], ""),
        ("a $(touch x)", ["a", "$(touch", "x)"], ""),
        ("a\\", ["a"], ""),
        ("--x='a b' ''", ["--x=a b", ""], ""),
    ],
)
def test_an_unfinished_line(line: str, words: list[str], quote: str) -> None:
    """Quotes end where bash ends them; nothing is expanded."""
    found = split(line)
    assert [word.plain for word in found] == words
    assert found[-1].quote == quote


@given(value=NAMES, quote=st.sampled_from(["", "'", '"']))
def test_what_is_written_is_what_bash_reads(value: str, quote: str) -> None:
    """Any name, unquoted or within either quote, is one word with that value and runs nothing."""
    (word,) = split(quote)
    inserted = written(value, word, "")
    if inserted is None:
        assert quote == '"'
        assert "!" in value
        return
    line = f"{quote}{inserted}{quote}"
    assert _bash(line) == ([value] if line else [""])
    assert split(line)[-1].plain == value


@pytest.mark.parametrize(
    ("typed", "replaced", "value", "inserted"),
    [
        ("--tier=st", "st", "--tier=standard", "standard"),
        ("--machine='a", "a", "--machine=a b", "a b"),
        ('"a', "a", 'a "b" $c', 'a \\"b\\" \\$c'),
        ("file:", "", "file:", ""),
        ("a\\ b", "a\\ b", "a b c", "a\\ b\\ c"),
        ("--tier=x", "x", "--plan=standard", None),
    ],
)
def test_only_the_end_that_readline_replaces(
    typed: str, replaced: str, value: str, inserted: str | None
) -> None:
    """It breaks words at `=`, `:` and quotes; what stands before them stays."""
    assert written(value, split(typed)[-1], replaced) == inserted


@pytest.mark.parametrize(
    ("raw", "value"), [("", ""), (" ", ""), ("a b", "a b"), (r"a\ b", "a b"), ("'a b", "a b")]
)
def test_one_word_alone(raw: str, value: str) -> None:
    """As zsh and fish give it: quoted, or with the quotes taken away."""
    assert plain(raw) == value
