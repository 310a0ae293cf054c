"""`polygent-issue key retire`: a key signs no more, and what hangs on it is led elsewhere."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Desk
from support.keys import seal_quickly
from support.terminal import terminal

EXPORT = "polygent-issue key export-public --all --format jwks --output keys.json"
REISSUE = "polygent-issue reissue acme-gmbh --license"
REASON = ("--reason", "a laptop was stolen")
ROLLOUT = ("--accept", "key-rollout", "--reason", "all servers have it")


@pytest.fixture
def add_key(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes another key at the desk."""
    seal_quickly(monkeypatch)

    def add(label: str) -> None:
        store = f"file:{desk.folder / label}.key"
        desk.ok("key", "generate", "--store", store, "--no-backup", "--", label)

    return add


def states(desk: Desk) -> dict[str, str]:
    """What each key is good for, by its label."""
    table = desk.ok("key", "list").text.splitlines()[1:]
    return {line.split()[0]: line.split()[1] for line in table}


def sign(desk: Desk) -> tuple[str, Path]:
    """Sign Acme's license; its ID and file."""
    (issued,) = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    return issued["id"], Path(issued["file"])


def test_the_one_that_signs(desk: Desk, add_key: Callable[[str], None]) -> None:
    """Refused with what to do first: another key, once there is one; nothing changes."""
    alone = desk.run("key", "retire", "main", *REASON)
    assert alone.code == 3
    assert "make another one first: polygent-issue key generate" in alone.err
    name = "it's second"
    add_key(name)
    refused = desk.run("key", "retire", "main", *REASON)
    assert refused.code == 3
    assert (
        """let another one sign first: `polygent-issue key use 'it'"'"'s second'`""" in refused.err
    )
    assert "if others may hold it: --compromised" in refused.err
    assert states(desk)["main"] == "active"


def test_a_key_is_retired(desk: Desk, add_key: Callable[[str], None]) -> None:
    """Its licenses keep working and are renewed with the other; the journal says why."""
    license_id, file = sign(desk)
    add_key("second")
    desk.ok("key", "use", "second", *ROLLOUT)
    outcome = desk.ok("key", "retire", "main", "--reason", "rotation")
    assert outcome.text.startswith("the key main is retired: it signs no more\n")
    assert "servers keep its public half until 2027-12-01T00:00:00Z" in outcome.text
    assert f"polygent-issue reissue acme-gmbh --license {license_id[:8]}\n" in outcome.text
    assert f"file:{desk.folder}/main.key: it stays there" in outcome.text
    assert states(desk) == {"main": "retired", "second": "active"}
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["event"], row["reason"]) == ("key-retired", "rotation")
    assert row["details"] == {"current_licenses": 1, "signed": False}
    assert desk.run("verify", str(file)).code == 0
    assert desk.run("reissue", "acme-gmbh", "--key", "main").code == 6
    assert "signed with main" not in desk.ok("reissue", "acme-gmbh").text
    again = desk.ok("key", "retire", "main")
    assert again.text.startswith("the key main is retired already\n")
    assert "no current license is signed with it: servers may drop its public half" in again.text
    assert desk.ok("key", "show", "main", "--json").json["key"]["current_licenses"] == 0


def test_a_leaked_key_that_signs(desk: Desk) -> None:
    """At once, though nothing signs then; what follows is told in the order to do it in."""
    license_id, file = sign(desk)
    outcome = desk.ok("key", "retire", "main", "--compromised", *REASON)
    lines = [line.strip() for line in outcome.text.splitlines()]
    told = [line for line in lines if "polygent-issue" in line or "both at once" in line]
    assert told == [
        "let another key sign: polygent-issue key generate, then key use",
        f"make the set of keys without it: {EXPORT}",
        "send each customer both at once: the set for the server, its new file",
        f"acme-gmbh  prod-1   2027-11-30     {REISSUE} {license_id[:8]}",
    ]
    assert states(desk) == {"main": "compromised"}
    refused = desk.run("renew", "acme-gmbh")
    assert refused.code == 6
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["event"], row["details"]["signed"]) == ("key-compromised", True)
    verdict = desk.run("verify", str(file))
    assert verdict.code == 10
    assert "it names the key main, which is marked as compromised" in verdict.text
    assert "with: polygent-issue license list --status current --key=main\n" in verdict.text
    assert desk.ok("license", "list", "--status", "current", "--key=main").text.count("\n") == 2
    inspected = desk.ok("inspect", str(file))
    assert "NOT CHECKED: the signature: it names the key main, which is marked" in inspected.text


def test_for_programs(desk: Desk) -> None:
    """The key, which one signs now, and each license with the command that mends it."""
    license_id, _ = sign(desk)
    desk.now += timedelta(days=400)
    argv = ("key", "retire", "main", "--compromised", *REASON, "--json")
    result = desk.ok(*argv).json
    assert (result["key"]["compromised"], result["changed"], result["signs"]) == (True, True, None)
    (hanging,) = result["licenses"]
    mend = f"polygent-issue renew acme-gmbh --license {license_id[:8]}"
    assert hanging == {
        "id": license_id,
        "customer": "acme-gmbh",
        "machine": "prod-1",
        "expires_at": "2027-12-01T00:00:00Z",
        "mend": mend,
    }
    assert desk.ok(*argv).json["changed"] is False


def test_retired_first_and_leaked_later(desk: Desk, add_key: Callable[[str], None]) -> None:
    """A retired key may still leak; what was compromised is never less than that again."""
    add_key("second")
    desk.ok("key", "retire", "second", "--reason", "unused")
    since = desk.ok("key", "show", "second", "--json").json["key"]["retired_at"]
    desk.now += timedelta(days=1)
    desk.ok("key", "retire", "second", "--compromised", *REASON)
    shown = desk.ok("key", "show", "second", "--json").json["key"]
    assert (shown["retired_at"], shown["compromised"]) == (since, True)
    told = desk.ok("key", "retire", "second").text
    assert told.startswith("the key second is compromised already\n")
    assert desk.ok("journal", "verify").code == 0


def test_many_licenses_are_counted(desk: Desk) -> None:
    """Twenty are named, the rest is counted, with the command that lists all; JSON has all."""
    for number in range(22):
        document = desk.machine_info(
            customer=f"Customer {number:02}a", fingerprint=f"{number:064x}"
        )
        flags = ("--accept", "similar-customer", "--reason", "another")
        desk.ok("sign", "--machine-info", document, *flags)
    outcome = desk.ok("key", "retire", "main", "--compromised", *REASON)
    assert outcome.text.count("polygent-issue reissue customer-") == 20
    listing = "and 2 more: polygent-issue license list --status current --key=main\n"
    assert outcome.text.endswith(listing)
    assert len(desk.ok("key", "retire", "main", "--json").json["licenses"]) == 22


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("main", "--compromised"), 3, "a key is retired for a reason, and none was given"),
        (("main", "--compromised", "--reason", "\x1b[31m"), 3, r"\x1b[31m"),
        (("third", *REASON), 5, "there is no key third"),
    ],
)
def test_mistakes(desk: Desk, argv: tuple[str, ...], code: int, says: str) -> None:
    """Nothing changes, and nothing that steers a terminal is shown."""
    outcome = desk.run("key", "retire", *argv)
    assert outcome.code == code
    assert says in outcome.err
    assert "\x1b" not in outcome.err
    assert states(desk) == {"main": "active"}


def test_a_clock_that_is_behind(desk: Desk) -> None:
    """As with every decision: asked about first, and kept in the journal."""
    desk.ok("customer", "add", "Acme")
    desk.now -= timedelta(days=30)
    argv = ("key", "retire", "main", "--compromised", *REASON)
    assert desk.run(*argv).code == 4
    desk.ok(*argv, "--accept", "clock-behind")
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert row["accepted"] == ["clock-behind"]


def test_on_a_terminal(desk: Desk) -> None:
    """What follows is shown and asked; a no changes nothing."""
    # The command has the machine's clock.
    desk.now += timedelta(days=3650)
    sign(desk)
    with terminal(desk, "key", "retire", "main", "--compromised") as person:
        person.sees("clock-behind: ")
        person.sees("accept this? [y/N]: ")
        person.types("y")
        person.sees("why, for the journal: ")
        person.types("stolen")
        person.sees("a server believes them until it drops this key")
        person.sees("let main sign no more, for good? [y/N]: ")
        person.types("n")
        assert person.ends() == 130
    assert "nothing was changed, as you said" in person.screen
    assert states(desk) == {"main": "active"}
