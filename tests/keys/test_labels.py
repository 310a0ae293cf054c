"""Labels of keys: free, and fit to be shown."""

from datetime import UTC, datetime

import pytest

from polygent_issuer.errors import InputRefused
from polygent_issuer.keys.rotation import free_label, require_free_label
from polygent_issuer.keys.signer import generate_private_key
from polygent_issuer.registry import KeyRecord
from polygent_issuer.verifier.keys import Key


def key(label: str) -> KeyRecord:
    """A pinned key of this label."""
    public_key = Key.from_public_key(generate_private_key().public_key())
    return KeyRecord(
        kid=public_key.kid,
        label=label,
        public_pem=public_key.to_pem(),
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
        active=False,
        retired_at=None,
        compromised=False,
        backed_up_at=None,
    )


def test_a_free_label_is_the_first_that_is_free() -> None:
    """main, then main-2; a gap is filled."""
    assert free_label(()) == "main"
    assert free_label((key("other"),)) == "main"
    assert free_label((key("main"), key("main-3"))) == "main-2"
    assert free_label((key("main"), key("main-2"))) == "main-3"


def test_a_label_is_of_one_key() -> None:
    """Neither the label nor the kid of another one; an empty one is refused, too."""
    other = key("main")
    require_free_label("second", (other,))
    for label in ("main", other.kid, "", "a\x1bb"):
        with pytest.raises(InputRefused) as raised:
            require_free_label(label, (other,))
        assert raised.value.hint
