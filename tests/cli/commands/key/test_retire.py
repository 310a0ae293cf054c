"""`polygent-issue key retire`: retired and compromised keys."""

import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.keys import kid_of
from support.registries import ACTOR
from support.secret_service import secret_service
from support.terminal import terminal

from polygent_issuer.registry import Registry
from polygent_issuer.verifier.jws import parse

EXPORT = "polygent-issue key export-public --all --format jwks --output keys.json"
REISSUE = "polygent-issue reissue --signed-with main"
REASON = ("--reason", "a laptop was stolen")
ROLLOUT = ("--accept", "key-rollout", "--reason", "all servers have it")


@pytest.fixture
def add_key(desk: Desk) -> Callable[[str], None]:
    """Generate another key at the desk."""

    def add(label: str) -> None:
        store = f"file:{desk.folder / label}.key"
        desk.ok("key", "generate", "--store", store, "--no-backup", "--", label)

    return add


def states(desk: Desk) -> dict[str, str]:
    """Return the state of each key by its label."""
    table = desk.ok("key", "list").text.splitlines()[1:]
    listed = len(desk.ok("key", "list", "--json").json["keys"])
    return {line.split()[0]: line.split()[1] for line in table[:listed]}


def sign(desk: Desk) -> tuple[str, Path]:
    """Sign Acme's license; return its ID and file."""
    (issued,) = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    return issued["id"], Path(issued["file"])


def test_the_active_key_is_not_retired(desk: Desk, add_key: Callable[[str], None]) -> None:
    """The hint names the other keys, newest first, or generates one."""
    alone = desk.run("key", "retire", "main", *REASON, "--json")
    assert (alone.code, alone.json["error"]["code"]) == (3, "key_signs")
    assert alone.json["error"]["hint"] == (
        "activate another key first: polygent-issue key generate main-2 --backup FILE, then "
        "polygent-issue key use main-2; if the key may have leaked, retire it at once: "
        "polygent-issue key retire --compromised main"
    )
    for label in ("-old", "it's second"):
        add_key(label)
        desk.now += timedelta(days=1)
    hint = str(desk.run("key", "retire", "main", *REASON, "--json").json["error"]["hint"])
    ways = hint.removeprefix("activate another key first: ").partition(";")[0].split(", or ")
    assert ways == [
        """polygent-issue key use 'it'"'"'s second'""",
        "polygent-issue key use -- -old",
    ]
    for way in ways:
        _, *argv = shlex.split(way)
        desk.ok(*argv[:2], *ROLLOUT, *argv[2:])
    assert states(desk)["-old"] == "active"


def test_a_key_is_retired(desk: Desk, add_key: Callable[[str], None]) -> None:
    """Its licenses stay valid and are renewed with the active key; the journal has the reason."""
    _, file = sign(desk)
    add_key("second")
    desk.ok("key", "use", "second", *ROLLOUT)
    outcome = desk.ok("key", "retire", "main", "--reason", "rotation")
    assert outcome.text.startswith("the key main is retired and no longer signs\n")
    assert "servers must keep its public key until 2027-12-01T00:00:00Z" in outcome.text
    assert outcome.text.endswith(f"\nto reissue them now: {REISSUE}\n")
    assert states(desk) == {"main": "retired", "second": "active"}
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["event"], row["reason"]) == ("key-retired", "rotation")
    assert row["details"] == {"current_licenses": 1, "signed": False}
    assert desk.run("verify", str(file)).code == 0
    assert desk.run("reissue", "acme-gmbh", "--key", "main").code == 6
    assert "signed with main, which is retired" in desk.ok("reissue", "acme-gmbh").text
    rows = desk.ok("journal", "show", "--json").json["rows"]
    again = desk.ok("key", "retire", "main")
    assert again.text.startswith("the key main is already retired; nothing was changed\n")
    assert desk.ok("journal", "show", "--json").json["rows"] == rows
    assert desk.ok("key", "show", "main", "--json").json["key"]["current_licenses"] == 0


def test_a_replaced_file_still_needs_the_key(desk: Desk, add_key: Callable[[str], None]) -> None:
    """A server may drop the key only once it has the new file."""
    add_key("second")
    unused = desk.ok("key", "retire", "second", "--reason", "unused").text
    assert "no license was ever signed with it: servers may remove its public" in unused
    sign(desk)
    add_key("third")
    desk.ok("key", "use", "third", *ROLLOUT)
    desk.ok("reissue", "acme-gmbh")
    answer = desk.ok("key", "retire", "main", "--reason", "rotation").text
    assert ("no current license is signed with it: ") in answer
    desk.now += timedelta(days=400)
    ended = "has expired: servers may remove its public"
    assert ended in desk.ok("key", "retire", "main").text


def test_the_private_key_is_not_deleted(desk: Desk, add_key: Callable[[str], None]) -> None:
    """The text names its store and the command that deletes it."""
    label = "two words"
    add_key(label)
    path = desk.folder / f"{label}.key"
    answer = desk.ok("key", "retire", label, "--reason", "unused").text
    assert f"  private key       file:{path} (present)\n" in answer
    assert f"are not deleted; delete them yourself: rm '{path}'\n" in answer
    assert path.exists()
    path.unlink()
    gone = desk.ok("key", "retire", label).text
    assert f"file:{path} (missing)\n" in gone
    assert "delete them yourself\n" in gone


def test_a_private_key_in_the_keyring_is_named(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text names its entry in the keyring."""
    empty_desk.ok("init")
    with secret_service() as service:
        service.enter(monkeypatch)
        kid = empty_desk.ok("key", "generate", "--no-backup", "--json").json["key"]["kid"]
        answer = empty_desk.ok("key", "retire", "main", "--compromised", *REASON).text
    assert "  private key       keyring: (present)\n" in answer
    own = f"delete them yourself in the keyring manager: entry polygent-issuer, {kid}\n"
    assert own in answer
    assert "2. replace the public keys on every server\n" not in answer
    assert "3. replace the public keys on every server\n" in answer
    empty_desk.ok("config", "set", "store", f"file:{empty_desk.folder}/")
    settings = empty_desk.home / "settings.toml"
    kept = [line for line in settings.read_text().splitlines() if kid not in line]
    settings.write_text("\n".join(kept))
    assert "are not deleted; delete them yourself\n" in empty_desk.ok("key", "retire", "main").text


def test_the_active_key_can_be_compromised(desk: Desk) -> None:
    """It is retired at once; the steps are printed in order, and the reissue of all comes last."""
    _, file = sign(desk)
    outcome = desk.ok("key", "retire", "main", "--compromised", *REASON)
    lines = [line.strip() for line in outcome.text.splitlines()]
    answer = [line for line in lines if "polygent-issue" in line or "4. send" in line]
    make = "polygent-issue key generate main-2 --backup FILE"
    use = "polygent-issue key use main-2"
    assert answer == [
        f"1. activate another key: {make}, then {use}",
        f"3. export the public keys without it: {EXPORT}",
        "4. send each customer the public keys and the new license file together",
        f"next: {REISSUE}",
    ]
    assert "  acme-gmbh, prod-1, until 2027-11-30\n" in outcome.text
    assert "with any date" in outcome.text
    assert "refuses every license signed with this key until a new file is uploaded" in outcome.text
    assert "compromised       since 2026-11-30T09:30:00Z\n" in outcome.text
    assert states(desk) == {"main": "compromised"}
    refused = desk.run("renew", "acme-gmbh", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (6, "no_key")
    assert refused.json["error"]["message"] == "no key is active"
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["event"], row["details"]["signed"]) == ("key-compromised", True)
    assert desk.run("verify", str(file)).code == 10
    assert desk.ok("license", "list", "--status", "current", "--key=main").text.count("\n") == 2


def test_the_only_other_key_is_suggested(desk: Desk, add_key: Callable[[str], None]) -> None:
    """If no key is active, the steps name the only other key."""
    sign(desk)
    add_key("-second")
    result = desk.ok("key", "retire", "main", "--compromised", *REASON, "--json").json
    assert result["to_sign"] == "polygent-issue key use -- -second"
    hint = desk.run("reissue", "acme-gmbh", "--json").json["error"]["hint"]
    assert hint == result["to_sign"]
    desk.ok("key", "use", *ROLLOUT, "--", "-second")
    again = desk.ok("key", "retire", "main", "--compromised", "--json").json
    assert (again["changed"], again["to_sign"]) == (False, None)
    assert again["reissue"]["next"] == REISSUE
    _, *argv = again["reissue"]["argv"]
    assert desk.ok(*argv).text.startswith("reissued acme-gmbh, prod-1: until 2027-11-30\n")
    assert desk.ok("key", "retire", "main", "--json").json["reissue"] is None


def test_json_has_the_command_for_each_license(desk: Desk) -> None:
    """JSON has the key, the active key, and each license with its command."""
    license_id, _ = sign(desk)
    desk.now += timedelta(days=400)
    argv = ("key", "retire", "main", "--compromised", *REASON, "--json")
    result = desk.ok(*argv).json
    assert (result["key"]["compromised"], result["changed"], result["signs"]) == (True, True, None)
    listed = desk.ok(*argv[:-1]).text
    command = f"polygent-issue renew acme-gmbh --license {license_id[:8]}"
    assert f"  acme-gmbh, prod-1, until 2027-11-30: {command}\n" in listed
    (hanging,) = result["licenses"]
    mend = f"polygent-issue renew acme-gmbh --license {license_id[:8]}"
    assert hanging == {
        "id": license_id,
        "customer": "acme-gmbh",
        "machine": "prod-1",
        "expires_at": "2027-12-01T00:00:00Z",
        "mend": mend,
        "argv": [*desk.argv, *mend.split()[1:]],
    }
    assert desk.ok(*argv).json["changed"] is False


def test_a_retired_key_can_be_compromised(desk: Desk, add_key: Callable[[str], None]) -> None:
    """A compromised key keeps this state."""
    add_key("second")
    desk.ok("key", "retire", "second", "--reason", "unused")
    since = desk.ok("key", "show", "second", "--json").json["key"]["retired_at"]
    desk.now += timedelta(days=1)
    desk.ok("key", "retire", "second", "--compromised", *REASON)
    shown = desk.ok("key", "show", "second", "--json").json["key"]
    assert (shown["retired_at"], shown["compromised"]) == (since, True)
    answer = desk.ok("key", "retire", "second").text
    assert answer.startswith("the key second is already compromised; nothing was changed\n")
    assert desk.ok("journal", "verify").code == 0


def test_many_licenses_are_counted(desk: Desk) -> None:
    """Twenty licenses are listed, the others counted; JSON has all."""
    for number in range(22):
        document = desk.machine_info(
            customer=f"Customer {number:02}a", fingerprint=f"{number + 1:064x}"
        )
        flags = ("--accept", "similar-customer", "--reason", "another")
        desk.ok("sign", "--machine-info", document, *flags)
    outcome = desk.ok("key", "retire", "main", "--compromised", *REASON)
    assert outcome.text.count("a, prod-1, until 2027-11-30\n") == 20
    listing = "and 2 more: polygent-issue license list --status current --key=main\n"
    assert outcome.text.endswith(f"{listing}next: {REISSUE}\n")
    assert len(desk.ok("key", "retire", "main", "--json").json["licenses"]) == 22


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (
            ("main", "--compromised"),
            3,
            "a reason is required to retire a key",
        ),
        (("main", "--compromised", "--reason", "\x1b[31m"), 3, r"\x1b[31m"),
        (("third", *REASON), 5, "key third"),
    ],
)
def test_wrong_input_changes_nothing(
    desk: Desk, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Nothing is changed, and control characters are escaped."""
    outcome = desk.run("key", "retire", *argv)
    assert outcome.code == code
    assert message in outcome.err
    assert "\x1b" not in outcome.err
    assert states(desk) == {"main": "active"}


def test_a_terminal_asks_for_confirmation(desk: Desk) -> None:
    """The consequences are shown first, and a no changes nothing."""
    # The command has the machine's clock.
    desk.now += timedelta(days=3650)
    sign(desk)
    with terminal(desk, "key", "retire", "main", "--compromised") as person:
        person.sees("a server accepts such licenses until you remove this key from it")
        person.sees("clock-behind: ")
        person.sees("accept this? [y/N]: ")
        person.types("y")
        person.sees("reason for the journal: ")
        person.types("stolen")
        person.sees("permanently mark the key main as compromised? [y/N]: ")
        person.types("n")
        assert person.ends() == 130
    assert "cancelled; nothing was changed" in person.screen
    assert states(desk) == {"main": "active"}


def test_the_consequences_are_printed_once(desk: Desk) -> None:
    """They are above the prompt; after it only the new state is printed."""
    accepted = ("--accept", "clock-behind")
    with terminal(desk, "key", "retire", "main", "--compromised", *REASON, *accepted) as person:
        person.sees("permanently mark the key main as compromised? [y/N]: ")
        person.types("y")
        assert person.ends() == 0
    assert person.screen.count("with any date") == 1
    assert "the key main is compromised and no longer signs" in person.screen


def test_yes_skips_preview_and_confirmation(desk: Desk) -> None:
    """With --yes neither preview nor prompt is shown."""
    # The command has the machine's clock, which is before the desk's.
    accepted = ("--accept", "clock-behind", "--yes")
    argv = ("key", "retire", "main", "--compromised", *REASON, *accepted)
    with terminal(desk, *argv) as person:
        assert person.ends() == 0
    assert "[y/N]" not in person.screen
    assert person.screen.count("with any date") == 1
    assert states(desk) == {"main": "compromised"}


def test_a_change_during_the_prompt_stops_it(desk: Desk, add_key: Callable[[str], None]) -> None:
    """If the preview is outdated, it is exit 7 with the command to look again."""
    add_key("-spare")
    desk.now += timedelta(days=3650)
    desk.ok("customer", "add", "Acme")
    accepted = ("--accept", "clock-behind")
    with terminal(desk, "key", "retire", *REASON, *accepted, "--", "-spare") as person:
        person.sees("permanently retire the key -spare? [y/N]: ")
        desk.ok("key", "use", *ROLLOUT, "--", "-spare")
        person.types("y")
        assert person.ends() == 7
    assert f"check the key: {desk.command('key', 'show', '--', '-spare')}" in person.screen
    assert states(desk)["-spare"] == "active"


ACCEPT = ("--accept", "key-rollout", "--reason", "all servers have it")


# The process has the machine's clock, which may be before that of the journal.
CLOCK = ("--accept", "clock-behind")


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


def test_a_clock_that_is_behind_needs_consent_to_use(two: Desk) -> None:
    """A clock before the journal's newest row needs consent."""
    two.now -= timedelta(days=2)
    outcome = two.run("key", "use", "second", "--accept", "key-rollout", "--reason", "x")
    assert outcome.code == 4
    assert "clock-behind" in outcome.err
    two.ok("key", "backup", "main", str(two.folder / "again.key"))
    rows = two.ok("journal", "show", "--json").json["rows"]
    assert rows[-1]["event"] == "key-backed-up"
    assert rows[-1]["at"] >= rows[-2]["at"]
