"""`polygent-issue key list`: signing keys and their stores."""

from datetime import timedelta

from support.cli import Desk
from support.keys import kid_of


def second(desk: Desk) -> str:
    """Generate a second key, a day later and with a backup; return its kid."""
    key, backup = str(desk.folder / "second.key"), str(desk.folder / "second.backup")
    options = ("--store", f"file:{key}", "--backup", backup)
    desk.ok("key", "generate", "second", *options, after=timedelta(days=1))
    return kid_of(desk.folder / "second.key")


def test_each_key_is_a_row(desk: Desk) -> None:
    """Each row has label, state, kid, store, backup, time and licenses; no secret."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    first, later = kid_of(desk.folder / "main.key"), second(desk)
    lines = [line.split() for line in desk.ok("key", "list").text.splitlines()]
    made, now = "2025-11-30", "2026-12-01"
    assert lines == [
        ["label", "state", "kid", "current", "licenses", "backup", "created", "store"],
        ["main", "active", first[:8], "1", "none", made, f"file:{desk.folder}/main.key"],
        ["second", "standby", later[:8], "0", now, now, f"file:{desk.folder}/second.key"],
    ]


def test_json_has_the_same(desk: Desk) -> None:
    """JSON has the same data, with times in UTC."""
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
        "current_licenses": 0,
        "compromised_since": None,
    }


def test_retired_and_compromised_keys_have_their_date(desk: Desk) -> None:
    """The date is printed, with the command that lists their licenses."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    retired = second(desk)
    desk.ok("key", "retire", "second", "--reason", "unused")
    desk.ok("key", "retire", "main", "--reason", "leaked", "--compromised", after=timedelta(days=1))
    lines = desk.ok("key", "list").text.splitlines()
    assert [line.split()[1:4] for line in lines[1:3]] == [
        ["compromised", "since", "2026-12-02"],
        ["retired", "since", "2026-12-01"],
    ]
    assert lines[3:] == [
        (
            "to list licenses signed with main (compromised): "
            "polygent-issue license list --status current --key=main"
        ),
    ]
    keys = {key["label"]: key for key in desk.ok("key", "list", "--json").json["keys"]}
    assert keys["main"]["compromised_since"] == "2026-12-02T09:30:00Z"
    assert (keys["second"]["kid"], keys["second"]["compromised_since"]) == (retired, None)
    assert keys["main"]["current_licenses"] == 1


def test_an_empty_list_names_the_next_command(empty_desk: Desk) -> None:
    """An empty list is exit 0 with the command that generates a key."""
    empty_desk.ok("init")
    assert (
        empty_desk.ok("key", "list").text
        == "no keys yet; to generate one: polygent-issue key generate\n"
    )
    assert empty_desk.ok("key", "list", "--json").json["keys"] == []


def test_a_missing_home_is_not_created(empty_desk: Desk) -> None:
    """A missing home is exit 7, and none is created."""
    outcome = empty_desk.run("key", "list", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (7, "home_missing")
    assert not empty_desk.home.exists()
