"""Hints of a row name its fields."""

import pytest

from polygent_issuer.batch.row_fields import in_fields

RENEW = "polygent-issue renew acme --machine prod-1 --term 1y"


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (None, None),
        ("look again", "look again"),
        ("add --machine-info FILE, or --plan trial", "add machine_info FILE, or plan trial"),
        ("leave out --label", "leave out machine"),
        (f"add --term 1y; or, to mean it: {RENEW}", f"add term 1y; or, to mean it: {RENEW}"),
        (f"{RENEW}; or choose another --label", f"{RENEW}; or choose another machine"),
        (
            "add --remove-feature sso, or --tier enterprise",
            "add features without sso, or tier enterprise",
        ),
        ("add --accept long-term --reason TEXT", "add --accept long-term --reason TEXT"),
    ],
)
def test_fields_in_place_of_options(hint: str | None, told: str | None) -> None:
    """A whole command, and what only the command line can say, stay as they are."""
    assert in_fields(hint) == told
