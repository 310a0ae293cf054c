"""`polygent-issue help`: guide topics and the help of commands."""

import io

import pytest
from support.cli import Desk
from support.terminal import terminal

from polygent_issuer.cli.output.markdown_text import draw_markdown
from polygent_issuer.guide import TOPICS, markdown


def test_without_an_argument_it_lists_the_topics(empty_desk: Desk) -> None:
    """Each topic has one line; no home is needed."""
    text = empty_desk.ok("help").text
    for name, about in TOPICS.items():
        assert f"  {name}" in text
        assert about in text
    listed = empty_desk.ok("help", "--json").json["topics"]
    assert [each["name"] for each in listed] == list(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_pipe_gets_the_markdown(topic: str, empty_desk: Desk) -> None:
    """Markdown is written unchanged; JSON has it as a member."""
    name = f"topics/{topic}"
    assert empty_desk.ok("help", name).text == markdown(topic)
    shown = empty_desk.ok("help", name, "--json").json
    assert (shown["topic"], shown["markdown"]) == (topic, markdown(topic))


def test_a_terminal_gets_rendered_markdown(empty_desk: Desk) -> None:
    """Tables and headings are drawn without the marks of Markdown."""
    with terminal(empty_desk, "help", "keys", environ={"TERM": "xterm"}) as person:
        assert person.ends() == 0
    assert "─" in person.screen or "━" in person.screen
    assert "## " not in person.screen
    assert "|---" not in person.screen


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("topic", TOPICS)
def test_no_text_is_cut_off(topic: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendered lines fit into the terminal, and a narrow column folds its words."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    draw_markdown(markdown(topic), stream)
    assert max(map(len, stream.getvalue().splitlines())) <= columns
    assert stream.getvalue().count("…") == markdown(topic).count("…")


def test_words_stay_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column is as wide as its longest word if the terminal has room."""
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    draw_markdown(markdown("format"), stream)
    assert " machine_fingerprint, " in stream.getvalue()
    assert " polygent-machine-info/1;" in stream.getvalue()


@pytest.mark.parametrize("words", [("sign",), ("key", "list"), ("customer",)])
def test_a_command_gets_its_help(words: tuple[str, ...], empty_desk: Desk) -> None:
    """`help COMMAND` prints the same text as `COMMAND --help`."""
    assert empty_desk.ok("help", *words).text == empty_desk.ok(*words, "--help").text


def test_a_command_comes_before_a_topic(empty_desk: Desk) -> None:
    """`sandbox` is the command, and `topics/sandbox` the topic."""
    assert "Usage: polygent-issue sandbox" in empty_desk.ok("help", "sandbox").text
    assert empty_desk.ok("help", "topics/sandbox").text.startswith("# Sandbox\n")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("runbook", "runbooks"),
        ("key lits", "key list"),
        ("topics/kyes", "keys"),
        ("topics/sandbx", "topics/sandbox"),
        ("q\x1b[m", None),
    ],
)
def test_a_near_miss_is_suggested(typed: str, meant: str | None, empty_desk: Desk) -> None:
    """An unknown name is exit 5 with the nearest topic or command, or the list."""
    refused = empty_desk.run("help", *typed.split(" "), "--json")
    error = refused.json["error"]
    assert (refused.code, error["code"]) == (5, "not_found")
    help_ = "polygent-issue help"
    assert error["hint"] == (help_ if meant is None else f"did you mean {help_} {meant}?")
    assert "\x1b" not in error["message"]
