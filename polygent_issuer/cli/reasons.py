"""Why something is done that cannot be undone: given, or asked for; kept in the journal."""

from polygent_issuer.cli import prompts
from polygent_issuer.cli.consent import sound_reason
from polygent_issuer.cli.context import Invocation
from polygent_issuer.errors import InputRefused, MissingInput


def required_reason(invocation: Invocation, given: str | None, what: str) -> str:
    """The reason that was given, else what a person at the terminal says.

    Args:
        invocation: of the command.
        given: what `--reason` said, if anything.
        what: is done, for the refusal off a terminal: `a license is retired`.

    Raises:
        MissingInput: (`missing_input`) when there is none and nobody to ask.
        InputRefused: (`input_refused`) when it could steer a terminal.
    """
    reason = sound_reason(given)
    if reason is not None:
        return reason
    if not invocation.interactive:
        raise MissingInput(
            f"no reason was given, and the journal keeps why {what}", hint="add --reason TEXT"
        )
    return prompts.text("why, for the journal", check=_named).strip()


def _named(text: str) -> None:
    if sound_reason(text) is None:
        raise InputRefused("the reason is empty", hint="say why, for the journal")
