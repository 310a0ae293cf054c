"""Wrong usage as Typer tells of it, in our words: lower case, no full stop, with a hint."""

import re

import typer

from polygent_issuer.errors import UsageProblem
from polygent_issuer.text import nearest

# How Typer ends a message with what was probably meant.
_NEAR = re.compile(r"(.+?)\.? \(?(?:Did you mean(?: one of:)?|Possible options:) (.+?)[?)]*")
# How it says that a value is none of a few.
_CHOICE = re.compile(r"'([^']*)' is not one of (.+)")


def usage(error: typer.TyperException) -> UsageProblem:
    """Say it again, with what was probably meant."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "polygent-issue"
    message, hint = " ".join(error.format_message().split()).rstrip("."), f"{command} --help"
    message = message.replace(". Choose from: ", ": ")
    if near := _NEAR.fullmatch(message):
        message, known = near[1], _words(near[2])
        meant = nearest(_words(message)[-1], known) or " or ".join(known)
        hint = f"did you mean {meant}? or {hint}"
    elif choice := _CHOICE.search(message):
        nearby = nearest(choice[1], _words(choice[2]))
        hint = f"did you mean {nearby}? or {hint}" if nearby else hint
    return UsageProblem(message[:1].lower() + message[1:], hint=hint)


def _words(text: str) -> list[str]:
    """The words that Typer lists, or the last of a sentence, without its quotes."""
    return [word.strip("':,") for word in text.split()]
