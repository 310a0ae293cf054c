"""`polygent-issue key use`: a change of key is a roll-out, and needs consent."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.keys import kid_of
from support.registries import ACTOR
from support.terminal import terminal

from polygent_issuer.registry import REGISTRY_FILE, Registry
from polygent_issuer.verifier.jws import parse

ACCEPT = ("--accept", "key-rollout", "--reason", "all servers have it")


# The process has the machine's clock, which may be before that of the journal.
CLOCK = ("--accept", "clock-behind")


@pytest.fixture
def two(desk: Desk) -> Desk:
    """A desk with a second key."""
    key = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", key, "--no-backup")
    return desk


def active(desk: Desk) -> list[str]:
    """The labels of the keys that sign: always one."""
    keys = desk.ok("key", "list", "--json").json["keys"]
    return [key["label"] for key in keys if key["active"]]


def test_it_needs_consent(two: Desk) -> None:
    """Exit 4: the finding, the flags that accept it, and what to do first; nothing changes."""
    outcome = two.run("key", "use", "second")
    assert outcome.code == 4
    assert "key-rollout: servers need the public key of second" in outcome.err
    assert "--accept key-rollout --reason TEXT" in outcome.err
    assert "key export-public --all --format jwks" in outcome.err
    assert active(two) == ["main"]


def test_a_reason_is_needed_too(two: Desk) -> None:
    """Off a terminal who accepts says why."""
    assert two.run("key", "use", "second", "--accept", "key-rollout").code == 4
    assert active(two) == ["main"]


def test_it_signs_from_now_on(two: Desk) -> None:
    """Old → new is said, the next license is signed with it, and the journal says why."""
    outcome = two.ok("key", "use", "second", *ACCEPT)
    assert outcome.text.startswith("active key: main → second\n")
    assert active(two) == ["second"]
    (issued,) = two.ok("sign", "--machine-info", two.machine_info(), "--json").json["licenses"]
    kid = kid_of(two.folder / "second.key")
    assert parse(Path(issued["file"]).read_bytes()).kid == kid
    row = two.ok("journal", "show", "--json").json["rows"][-2]
    assert (row["event"], row["kid"]) == ("key-activated", kid)
    assert (row["accepted"], row["reason"]) == (["key-rollout"], "all servers have it")


def test_for_programs(two: Desk) -> None:
    """The key, the kid before it, and that it is a change."""
    result = two.ok("key", "use", "second", *ACCEPT, "--json").json
    assert (result["key"]["label"], result["key"]["active"]) == ("second", True)
    assert result["before"] == kid_of(two.folder / "main.key")
    assert result["changed"] is True


def test_the_active_one_again(two: Desk) -> None:
    """Nothing to do: exit 0, no consent, no journal row."""
    rows = len(two.ok("journal", "show", "--json").json["rows"])
    assert (
        two.ok("key", "use", "main").text == "main is already the active key; nothing was changed\n"
    )
    assert two.ok("key", "use", "main", "--json").json["changed"] is False
    assert len(two.ok("journal", "show", "--json").json["rows"]) == rows


def test_a_private_half_that_is_elsewhere(two: Desk) -> None:
    """A warning: this operator could not sign with it."""
    (two.folder / "second.key").unlink()
    outcome = two.ok("key", "use", "second", *ACCEPT)
    place = f"file:{two.folder}/second.key"
    told = f"warning: the private key of second is not in {place}, and no backup was noted\n"
    assert told in outcome.err
    (two.folder / "main.key").rename(two.folder / "moved")
    assert "warning" not in two.ok("key", "use", "second").err


@pytest.mark.parametrize(
    ("columns", "code"), [({}, "key_retired"), ({"compromised": 1}, "key_compromised")]
)
def test_a_retired_key(two: Desk, columns: dict[str, int], code: str) -> None:
    """Exit 6: what may not sign cannot become the one that does; nobody is asked to consent."""
    registry = Registry.open(two.home / REGISTRY_FILE)
    with registry, registry.writing(now=two.now, actor=ACTOR) as db:
        db.update("keys", kid_of(two.folder / "second.key"), retired_at=db.at, **columns)
        db.record("key-retired")
    for consent in (ACCEPT, ()):
        outcome = two.run("key", "use", "second", *consent, "--json")
        assert (outcome.code, outcome.json["error"]["code"]) == (6, code)
    assert active(two) == ["main"]


def test_at_a_terminal(two: Desk) -> None:
    """The finding is shown and asked about; no leaves it as it is, yes with a reason changes it."""
    with terminal(two, "key", "use", "second", *CLOCK) as person:
        person.sees("key-rollout: servers need the public key")
        person.sees("accept this? [y/N]: ")
        person.types("n")
        assert person.ends() == 4
    assert active(two) == ["main"]
    with terminal(two, "key", "use", "second", *CLOCK) as person:
        person.sees("accept this? [y/N]: ")
        person.types("y")
        person.sees("reason, for the journal")
        person.types("rolled out")
        assert person.ends() == 0
    assert active(two) == ["second"]
    assert two.ok("journal", "show", "--json").json["rows"][-1]["reason"] == "rolled out"
    assert PASSPHRASE not in person.screen


def test_no_such_key(two: Desk) -> None:
    """Exit 5."""
    assert two.run("key", "use", "third").code == 5


def test_a_clock_that_is_behind_is_asked_about(two: Desk) -> None:
    """As by every command that takes consent; what others write later is not behind it."""
    two.now -= timedelta(days=2)
    outcome = two.run("key", "use", "second", "--accept", "key-rollout", "--reason", "x")
    assert outcome.code == 4
    assert "clock-behind" in outcome.err
    two.ok("key", "backup", "main", str(two.folder / "again.key"))
    rows = two.ok("journal", "show", "--json").json["rows"]
    assert rows[-1]["event"] == "key-backed-up"
    assert rows[-1]["at"] >= rows[-2]["at"]
