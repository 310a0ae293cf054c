"""New passphrases that are short: said once, never refused."""

import pytest
from support.passphrases import Given

from polygent_issuer.keys.passphrases import PassphraseStrengthWarning

TOLD = "a short passphrase protects little: 12 characters or more"


@pytest.mark.parametrize(
    ("secret", "told"),
    [("x" * 11, [TOLD]), ("x" * 12, []), ("ü" * 11, [TOLD]), ("ü" * 12, [])],
)
def test_a_short_new_one_is_warned_of(secret: str, told: list[str]) -> None:
    """Fewer than 12 characters, whatever their bytes; it is taken all the same."""
    warnings: list[str] = []
    source = PassphraseStrengthWarning(Given(secret.encode()), warnings.append)
    assert source.get("the new key file", confirm=True) == secret.encode()
    assert warnings == told


def test_it_is_said_once() -> None:
    """A key and its backup under one passphrase are one warning."""
    warnings: list[str] = []
    source = PassphraseStrengthWarning(Given(b"short"), warnings.append)
    source.get("the new key file", confirm=True)
    source.get("the new backup", confirm=True)
    assert warnings == [TOLD]


def test_an_old_one_is_not_judged() -> None:
    """It is as it is; and the purpose reaches whoever asks."""
    given = Given(b"short")
    assert PassphraseStrengthWarning(given, pytest.fail).get("the key file") == b"short"
    assert given.asked == [("the key file", False)]
