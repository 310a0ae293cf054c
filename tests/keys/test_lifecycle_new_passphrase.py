"""New passphrases: a short one needs consent."""

from collections.abc import Sequence

import pytest
from support.passphrases import Given, new

from polygent_issuer.findings import Consent, ConsentNeeded, Finding, FindingCode
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.lifecycle import NewPassphrase
from polygent_issuer.keys.passphrases import TerminalPassphrase

AGREED = Consent(accepted=frozenset([FindingCode.WEAK_PASSPHRASE]), reason="a demo")


@pytest.mark.parametrize("secret", ["x" * 12, "ü" * 12])
def test_twelve_characters_are_ample(secret: str) -> None:
    """Characters count, not bytes; nothing is accepted, so the journal has no code."""
    source = new(Given(secret.encode()))
    assert source.get("the new key file", confirm=True) == secret.encode()
    assert source.agreed == {"accepted": (), "reason": None}


@pytest.mark.parametrize("secret", ["x" * 11, "ü" * 11])
def test_a_short_new_passphrase_needs_consent(secret: str) -> None:
    """Without consent it is refused; with consent the journal gets code and reason."""
    with pytest.raises(ConsentNeeded, match="weak-passphrase: the new passphrase has fewer"):
        new(Given(secret.encode())).get("the new key file", confirm=True)
    source = new(Given(secret.encode()), AGREED)
    assert source.get("the new key file", confirm=True) == secret.encode()
    assert source.agreed == {"accepted": (FindingCode.WEAK_PASSPHRASE,), "reason": "a demo"}


def test_a_shared_passphrase_is_asked_for_once() -> None:
    """A key and its backup with one passphrase have one prompt and one consent."""
    given = Given(b"short")
    source = new(given, AGREED, shared=True)
    assert source.get("the backup", confirm=True) == source.get("the file", confirm=True)
    assert given.asked == [("the new key file and its backup", True)]


def test_an_existing_passphrase_may_be_short() -> None:
    """An existing one needs no consent; its purpose is in the prompt."""
    given = Given(b"short")
    assert new(given).get("the key file") == b"short"
    assert given.asked == [("the key file", False)]


def test_a_declined_passphrase_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who does not accept a short one types another, and loses nothing."""
    typed = iter([b"short", b"short", b"long enough now", b"long enough now"])
    monkeypatch.setattr(passphrases, "ask_at_terminal", lambda _prompt: next(typed))
    declined: list[Finding] = []

    def decline(findings: Sequence[Finding], _consent: Consent) -> Consent:
        declined.extend(findings)
        raise ConsentNeeded(tuple(findings))

    source = NewPassphrase(TerminalPassphrase(), decline, Consent(), shared=False)
    assert source.get("the new key file", confirm=True) == b"long enough now"
    assert [finding.code for finding in declined] == [FindingCode.WEAK_PASSPHRASE]
    assert source.agreed["accepted"] == ()
