"""What keys are called: a name of their own, for people."""

from collections.abc import Iterable
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import escape
from polygent_issuer.verifier.identifiers import display_name_problem

_FIRST: Final = "main"


def free_label(known: Iterable[KeyRecord], wish: str = "") -> str:
    """A label that none of these keys has: the wish, if it can be one; else main, then main-2."""
    taken = {name for key in known for name in (key.label, key.kid)}
    if wish not in taken and display_name_problem(wish) is None:
        return wish
    number, label = 1, _FIRST
    while label in taken:
        number += 1
        label = f"{_FIRST}-{number}"
    return label


def require_free(label: str, known: Iterable[KeyRecord]) -> str:
    """The label; what the registry would refuse after the key is made is refused early.

    Raises:
        InputRefused: (`input_refused`) for a label that cannot be shown, or is another key's.
    """
    problem = display_name_problem(label)
    if problem is not None:
        raise InputRefused(f"the label cannot be used: {problem}", hint="choose another")
    if any(label in (other.label, other.kid) for other in known):
        raise InputRefused(
            f"the label {escape(label)} is that of a key that is there already",
            hint=Hint("choose another label; what is there: ", run("key", "show", label)),
        )
    return label


def typed(label: str) -> tuple[str, ...]:
    """A label as the last words of a command; after `--` a hyphen begins no option."""
    return ("--", label) if label.startswith("-") else (label,)
