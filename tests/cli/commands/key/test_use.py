"""`polygent-issue key use`: a change of the active key, which needs consent."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.keys import kid_of
from support.registries import ACTOR
from support.terminal import terminal

from polygent_issuer.registry import Registry
from polygent_issuer.verifier.jws import parse

ACCEPT = ("--accept", "key-rollout", "--reason", "all servers have it")


# The process has the machine's clock, which may be before that of the journal.
CLOCK = ("--accept", "clock-behind")


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Create a desk with a second key."""
    key = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", key, "--no-backup")
    return desk


def active(desk: Desk) -> list[str]:
    """Return the labels of the active keys: always one."""
    keys = desk.ok("key", "list", "--json").json["keys"]
    return [key["label"] for key in keys if key["active"]]


def test_a_new_key_needs_consent(two: Desk) -> None:
    """It is exit 4 with the finding, the options and the first step; nothing changes."""
    outcome = two.run("key", "use", "second")
    assert outcome.code == 4
    assert "key-rollout: servers need the public key of second" in outcome.err
    assert "--accept key-rollout --reason TEXT" in outcome.err
    assert "key export-public --all --format jwks" in outcome.err
    assert active(two) == ["main"]


def test_consent_needs_a_reason(two: Desk) -> None:
    """Without a terminal consent needs a reason."""
    assert two.run("key", "use", "second", "--accept", "key-rollout").code == 4
    assert active(two) == ["main"]


def test_the_key_becomes_active(two: Desk) -> None:
    """Old and new key are printed, the next license uses it, and it is journalled."""
    outcome = two.ok("key", "use", "second", *ACCEPT)
    assert outcome.text.startswith("active key: main → second\n")
    assert active(two) == ["second"]
    (issued,) = two.ok("sign", "--machine-info", two.machine_info(), "--json").json["licenses"]
    kid = kid_of(two.folder / "second.key")
    assert parse(Path(issued["file"]).read_bytes()).kid == kid
    row = two.ok("journal", "show", "--json").json["rows"][-2]
    assert (row["event"], row["kid"]) == ("key-activated", kid)
    assert (row["accepted"], row["reason"]) == (["key-rollout"], "all servers have it")


def test_json_has_the_earlier_key(two: Desk) -> None:
    """JSON has the key, the earlier kid, and whether it changed."""
    result = two.ok("key", "use", "second", *ACCEPT, "--json").json
    assert (result["key"]["label"], result["key"]["active"]) == ("second", True)
    assert result["before"] == kid_of(two.folder / "main.key")
    assert result["changed"] is True


def test_the_active_key_again_changes_nothing(two: Desk) -> None:
    """It is exit 0 without consent or a journal row."""
    rows = len(two.ok("journal", "show", "--json").json["rows"])
    assert (
        two.ok("key", "use", "main").text == "main is already the active key; nothing was changed\n"
    )
    assert two.ok("key", "use", "main", "--json").json["changed"] is False
    assert len(two.ok("journal", "show", "--json").json["rows"]) == rows


def test_a_missing_private_key_is_warned_of(two: Desk) -> None:
    """A warning states that this operator cannot sign with it."""
    (two.folder / "second.key").unlink()
    outcome = two.ok("key", "use", "second", *ACCEPT)
    place = f"file:{two.folder}/second.key"
    answer = f"warning: the private key of second is not in {place}, and no backup is recorded\n"
    assert answer in outcome.err
    (two.folder / "main.key").rename(two.folder / "moved")
    assert "warning" not in two.ok("key", "use", "second").err


@pytest.mark.parametrize(
    ("columns", "code"), [({}, "key_retired"), ({"compromised": 1}, "key_compromised")]
)
def test_a_retired_key_cannot_become_active(two: Desk, columns: dict[str, int], code: str) -> None:
    """A retired key is exit 6 before any prompt."""
    registry = Registry.open(two.registry)
    with registry, registry.writing(now=two.now, actor=ACTOR) as db:
        db.update("keys", kid_of(two.folder / "second.key"), retired_at=db.at, **columns)
        db.record("key-retired")
    for consent in (ACCEPT, ()):
        outcome = two.run("key", "use", "second", *consent, "--json")
        assert (outcome.code, outcome.json["error"]["code"]) == (6, code)
    assert active(two) == ["main"]


def test_a_terminal_asks_for_consent(two: Desk) -> None:
    """The finding is shown; a no changes nothing, and a yes needs a reason."""
    with terminal(two, "key", "use", "second", *CLOCK) as person:
        person.sees("key-rollout: servers need the public key")
        person.sees("accept this? [y/N]: ")
        person.types("n")
        assert person.ends() == 4
    assert active(two) == ["main"]
    with terminal(two, "key", "use", "second", *CLOCK) as person:
        person.sees("accept this? [y/N]: ")
        person.types("y")
        person.sees("reason for the journal")
        person.types("rolled out")
        assert person.ends() == 0
    assert active(two) == ["second"]
    assert two.ok("journal", "show", "--json").json["rows"][-1]["reason"] == "rolled out"
    assert PASSPHRASE not in person.screen


def test_an_unknown_key_is_refused(two: Desk) -> None:
    """An unknown key is exit 5."""
    assert two.run("key", "use", "third").code == 5


def test_a_clock_that_is_behind_needs_consent(two: Desk) -> None:
    """A clock before the journal's newest row needs consent."""
    two.now -= timedelta(days=2)
    outcome = two.run("key", "use", "second", "--accept", "key-rollout", "--reason", "x")
    assert outcome.code == 4
    assert "clock-behind" in outcome.err
    two.ok("key", "backup", "main", str(two.folder / "again.key"))
    rows = two.ok("journal", "show", "--json").json["rows"]
    assert rows[-1]["event"] == "key-backed-up"
    assert rows[-1]["at"] >= rows[-2]["at"]
