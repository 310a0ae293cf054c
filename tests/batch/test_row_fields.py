"""Hints of a row name its fields."""

import pytest

from polygent_issuer.batch.rows import in_fields
from polygent_issuer.hints import Hint, option, run

RENEW = run("renew", "acme", "--machine", "prod-1", "--term", "1y")


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (None, None),
        ("look again", "look again"),
        (
            Hint("add ", option("--machine-info", "FILE"), ", or ", option("--plan", "trial")),
            "add machine_info FILE, or plan trial",
        ),
        (Hint("leave out ", option("--label")), "leave out machine"),
        (
            Hint("add ", option("--term", "1y"), "; or, to mean it: ", RENEW),
            f"add term 1y; or, to mean it: {RENEW}",
        ),
        (
            Hint(RENEW, "; or choose another ", option("--label")),
            f"{RENEW}; or choose another machine",
        ),
        (
            Hint("add ", option("--remove-feature", "sso"), ", or ", option("--tier", "standard")),
            "add features without sso, or tier standard",
        ),
        ("add --accept long-term --reason TEXT", "add --accept long-term --reason TEXT"),
        (option("--no-allowed-domain"), "--no-allowed-domain"),
    ],
)
def test_fields_in_place_of_options(hint: str | None, told: str | None) -> None:
    """A whole command, and what only the command line can say, stay as they are."""
    assert in_fields(hint) == told


def test_the_command_of_a_row_stays_data() -> None:
    """A program can still run it."""
    hint = in_fields(Hint("add ", option("--term", "1y"), "; or, to mean it: ", RENEW))
    assert isinstance(hint, Hint)
    assert hint.argv == RENEW.argv
