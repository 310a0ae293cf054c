"""`polygent-issue key list`: the keys, and where each is."""

from datetime import timedelta

import pytest
from support.cli import Desk
from support.keys import kid_of, seal_quickly
from support.registries import ACTOR

from polygent_issuer.registry import REGISTRY_FILE, Registry


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    seal_quickly(monkeypatch)


def second(desk: Desk) -> str:
    """Make a second key, a day later than now, with a backup; its kid."""
    key, backup = str(desk.folder / "second.key"), str(desk.folder / "second.backup")
    options = ("--store", f"file:{key}", "--backup", backup)
    desk.ok("key", "generate", "second", *options, after=timedelta(days=1))
    return kid_of(desk.folder / "second.key")


def test_each_key_is_a_row(desk: Desk) -> None:
    """Label, state, kid, store, backup, creation; oldest first; no secret, no other column."""
    first, later = kid_of(desk.folder / "main.key"), second(desk)
    lines = [line.split() for line in desk.ok("key", "list").text.splitlines()]
    made, now = "2025-11-30T09:30:00Z", "2026-12-01T09:30:00Z"
    assert lines == [
        ["label", "state", "kid", "store", "backup", "created"],
        ["main", "active", first, f"file:{desk.folder}/main.key", "none", made],
        ["second", "standby", later, f"file:{desk.folder}/second.key", now, now],
    ]


def test_for_programs(desk: Desk) -> None:
    """The same as JSON, times in UTC."""
    later = second(desk)
    keys = desk.ok("key", "list", "--json").json["keys"]
    assert [key["active"] for key in keys] == [True, False]
    assert keys[1] == {
        "kid": later,
        "label": "second",
        "active": False,
        "store": f"file:{desk.folder}/second.key",
        "created_at": "2026-12-01T09:30:00Z",
        "backed_up_at": "2026-12-01T09:30:00Z",
        "retired_at": None,
        "compromised": False,
    }


def test_retired_and_compromised(desk: Desk) -> None:
    """What may not sign any more says so."""
    retired, bad = second(desk), kid_of(desk.folder / "main.key")
    registry = Registry.open(desk.home / REGISTRY_FILE)
    with registry, registry.writing(now=desk.now, actor=ACTOR) as db:
        db.update("keys", retired, retired_at=db.at)
        db.update("keys", bad, active=0, retired_at=db.at, compromised=1)
        db.record("key-retired")
    states = [line.split()[1] for line in desk.ok("key", "list").text.splitlines()]
    assert states == ["state", "compromised", "retired"]


def test_no_key_yet(empty_desk: Desk) -> None:
    """An empty list is no error, and the command that fills it is said."""
    empty_desk.ok("init")
    assert empty_desk.ok("key", "list").text == "no key yet: polygent-issue key generate\n"
    assert empty_desk.ok("key", "list", "--json").json["keys"] == []


def test_no_home(empty_desk: Desk) -> None:
    """Looking makes nothing: exit 7."""
    outcome = empty_desk.run("key", "list", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (7, "home_missing")
    assert not empty_desk.home.exists()
