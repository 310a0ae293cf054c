"""`polygent-issue help`: guide topics and the help of commands."""

from functools import partial
from typing import TextIO

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.blocks import Fields, Line
from polygent_issuer.cli.output.result import OwnFormat, Report, Result, is_plain
from polygent_issuer.errors import ExitCode, NotFound
from polygent_issuer.guide import TOPICS, markdown
from polygent_issuer.text import Hint, escape, nearest, run

FORCED = "topics/"
"""Prefix that selects a topic even if a command has the same name."""


def help_(
    invocation: Invocation,
    words: list[str] | None = argument(
        "TOPIC|COMMAND", "Show this guide topic or command.", candidates.topics, default=None
    ),
) -> Result | int:
    """Show a guide topic or the help of a command.

    Without an argument the topics are listed. If a command and a topic have the same name, NAME is
    the command and topics/NAME the topic.
    """
    name = " ".join(words or ())
    if not name:
        about = [{"name": name, "about": about} for name, about in TOPICS.items()]
        return Report(
            {"topics": about},
            [
                Line("topics:", "title"),
                Fields(tuple(TOPICS.items())),
                Line(Hint("to read one: ", run("help", "TOPIC"))),
                Line(Hint("the options of a command: ", run("help", "COMMAND"))),
                Line(Hint("a topic with the name of a command: ", run("help", "topics/sandbox"))),
            ],
        )
    topic = name.removeprefix(FORCED)
    if topic == name and name in _commands():
        from polygent_issuer.cli.main import run as run_command

        return run_command([*name.split(), "--help"], environ=invocation.environ)
    if topic not in TOPICS:
        names = [*TOPICS, *_commands()]
        if topic != name:
            names = [name if name not in _commands() else FORCED + name for name in TOPICS]
        near = nearest(topic, names)
        hint = Hint("did you mean ", run("help", *near.split()), "?") if near else run("help")
        raise NotFound(f"no topic or command {escape(name)}", hint=hint)
    text = markdown(topic)
    if invocation.as_json:
        return Report({"topic": topic, "markdown": text}, ())
    return OwnFormat(partial(_write_topic, text))


def _write_topic(text: str, stream: TextIO) -> ExitCode:
    if is_plain(stream):
        stream.write(text)
    else:
        from polygent_issuer.cli.output.markdown_text import draw_markdown

        draw_markdown(text, stream)
    return ExitCode.DONE


def _commands() -> dict[str, str]:
    """Return the summary of each command and group by its full name."""
    from polygent_issuer.cli.commands import COMMANDS

    return {
        " ".join((*group, entry.name)): entry.help
        for group, entries in [
            ((), COMMANDS.entries),
            *(((entry.name,), entry.entries) for entry in COMMANDS.entries),
        ]
        for entry in entries
    }
