"""The runbooks for the first key, the second key and a leaked key."""

import shlex
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Desk, Outcome
from support.keys import opened
from support.runbooks import blocks, lines

from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.verifier import KeySet, License, LicenseError, Limits, Tier, Verifier, jws

# In the guide, 1f3a9c2e is any license.
PREPARE, CHANGE, LATER = map(lines, blocks("A change of key"))
LEAKED, (REISSUE,), (RENEWED_SET,) = map(lines, blocks("A leaked key"))
NEW_KEY, SWITCH = map(lines, blocks("A lost key without a backup"))

FINGERPRINT = "sha256:" + "ab" * 32


@pytest.fixture
def acme(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with keys in files, and Acme's first license."""
    monkeypatch.chdir(desk.folder)
    desk.ok("config", "set", "store", f"file:{desk.folder}/keys/")
    sign(desk, "Acme", "ab" * 32)
    return desk


def sign(desk: Desk, customer: str, fingerprint: str) -> tuple[str, bytes]:
    """Sign a license; return its ID and its file."""
    document = desk.machine_info(customer=customer, fingerprint=f"sha256:{fingerprint}")
    (issued,) = desk.ok("sign", "--machine-info", document, "--json").json["licenses"]
    return issued["id"], Path(issued["file"]).read_bytes()


def walk(desk: Desk, *typed: str, license_id: str = "", options: Iterable[str] = ()) -> Outcome:
    """Run commands of the guide; return the output of the last one."""
    for line in typed:
        program, *argv = shlex.split(line.replace("1f3a9c2e", license_id[:8]))
        assert program == "polygent-issue"
        outcome = desk.ok(*argv, *options)
    return outcome


def current(desk: Desk) -> dict[str, bytes]:
    """Return the files of all current licenses by ID."""
    listed = desk.ok("license", "list", "--status", "current", "--json").json["licenses"]
    return {
        each["id"]: desk.ok("license", "export", each["id"], "-o", "-", "--quiet").out
        for each in listed
    }


def verdict(keys: KeySet, file: bytes, desk: Desk, fingerprint: str = FINGERPRINT) -> str:
    """Return `accepted`, or the code with which a server with these keys refuses a file."""
    try:
        Verifier(keys).verify(file, now=desk.now, fingerprint=fingerprint)
    except LicenseError as refused:
        return str(refused.code)
    return "accepted"


def forge(desk: Desk) -> bytes:
    """Sign a license with a stolen key, dated a year before the theft."""
    thief = SoftwareSigner(opened(desk.folder / "main.key"))
    forged = License(
        iss="Polygent Ltd",
        sub="mallory",
        jti="deadbeef-0000-4000-8000-000000000000",
        iat=int((desk.now - timedelta(days=365)).timestamp()),
        exp=int((desk.now + timedelta(days=3650)).timestamp()),
        customer="Mallory",
        tier=Tier.ENTERPRISE,
        features=(),
        limits=Limits(users=1_000_000, session_hosts=1_000_000, deploy_hosts=1_000_000),
    )
    signing_input = jws.signing_input(thief.kid, forged.to_payload())
    return jws.assemble(signing_input, thief.sign(signing_input))


def test_from_the_first_key_to_the_second(acme: Desk) -> None:
    """Old files stay valid, new ones are signed with the new key, and servers accept both."""
    (old_file,) = current(acme).values()
    old_server = KeySet.from_pem(acme.ok("key", "export-public", "main").out)

    # Servers get both public keys while the first key stays active.
    walk(acme, *PREPARE)
    server = KeySet.from_jwks((acme.folder / "keys.json").read_bytes())
    assert len(server) == 2
    assert verdict(server, old_file, acme) == "accepted"
    (by_second,) = acme.ok(
        *("sign", "--customer", "Globex", "--tier", "enterprise", "--plan", "enterprise-annual"),
        *("--key", "second", "--json"),
    ).json["licenses"]
    assert verdict(server, Path(by_second["file"]).read_bytes(), acme) == "accepted"

    # The activation needs consent.
    refused = acme.run("key", "use", "second", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (4, "consent_needed")
    retired = walk(acme, *CHANGE)
    assert "active key        second\n" in retired.text
    events = acme.ok("journal", "show", "--json").json["rows"][-2:]
    assert [(row["event"], row["accepted"], row["reason"]) for row in events] == [
        ("key-activated", ["key-rollout"], "every server has keys.json"),
        ("key-retired", [], "change of key"),
    ]
    assert acme.ok("verify", "--customer", "acme").code == 0
    assert verdict(server, old_file, acme) == "accepted"

    # A year later the renewal is signed with the second key.
    acme.now += timedelta(days=300)
    shown = walk(acme, LATER[0])
    assert "was signed with main, which is retired; it stays valid until" in shown.text
    assert "key            second (" in shown.text
    assert walk(acme, LATER[1]).text == "no licenses match\n"
    new_file = next(
        file for file in current(acme).values() if verdict(server, file, acme) == "accepted"
    )
    assert verdict(old_server, new_file, acme) == "unknown_key"

    # The result of a server that did not get the new key.
    (acme.folder / "new.lic").write_bytes(new_file)
    (acme.folder / "old.pem").write_bytes(acme.ok("key", "export-public", "main").out)
    seen = acme.run("verify", "new.lic", "--public-key", "old.pem")
    assert seen.code == 10
    assert "not authentic: unknown_key" in seen.text
    assert "a server without that key refuses the file" in seen.text


def test_a_lost_key_without_a_backup(acme: Desk) -> None:
    """Nothing can be signed until a new key is active; old files stay valid until they expire."""
    (old_file,) = current(acme).values()
    (acme.folder / "main.key").unlink()
    refused = acme.run("renew", "acme", "--accept", "not-due", "--reason", "a test", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (6, "no_such_key")
    assert "acme" in walk(acme, *NEW_KEY).text, "the earliest expiry is in the list"
    server = KeySet.from_jwks((acme.folder / "keys.json").read_bytes())
    acme.now += timedelta(days=300)
    walk(acme, *SWITCH)
    (new_file,) = current(acme).values()
    assert [verdict(server, file, acme) for file in (old_file, new_file)] == ["accepted"] * 2


def test_servers_keep_a_retired_key_while_its_files_are_valid(acme: Desk) -> None:
    """`key show` has the date from which servers do not need the key."""
    walk(acme, *PREPARE, *CHANGE)
    acme.ok("key", "export-public", "--all", "-o", "set.json")
    assert len(KeySet.from_jwks((acme.folder / "set.json").read_bytes())) == 2
    hanging = walk(acme, LATER[2]).text
    assert "polygent-issue license list --status current --key=main\n" in hanging
    acme.now += timedelta(days=300)
    walk(acme, LATER[0])
    replaced = walk(acme, LATER[2]).text
    assert "may remove its public key now, every other server from " in replaced
    assert "2027-12-01T00:00:00Z on\n" in replaced
    acme.now += timedelta(days=365)
    assert (
        "every license signed with it has expired: servers may remove" in walk(acme, LATER[2]).text
    )
    assert len(KeySet.from_jwks(acme.ok("key", "export-public", "--all").out)) == 2


def test_a_leaked_key_is_replaced(acme: Desk) -> None:
    """Servers accept forged files until the key is removed; then only new files are valid."""
    _, globex = sign(acme, "Globex", "cd" * 32)
    files = {"ab" * 32: next(f for f in current(acme).values() if f != globex), "cd" * 32: globex}
    forged = forge(acme)
    before = KeySet.from_jwks(acme.ok("key", "export-public", "--all").out)
    assert verdict(before, forged, acme) == "accepted"

    walk(acme, LEAKED[0])
    stopped = acme.run("reissue", "acme", "--json")
    assert (stopped.code, stopped.json["error"]["code"]) == (6, "no_key")
    assert stopped.json["error"]["hint"].startswith("polygent-issue key generate main-2 --backup")
    walk(acme, *LEAKED[1:])

    # `key retire` prints the command for all licenses.
    assert acme.ok("key", "retire", "main").text.endswith(
        f"next: {REISSUE.partition(' --eml')[0]}\n"
    )
    (acme.folder / "drafts").mkdir()
    assert "reissued 2\n" in walk(acme, REISSUE).text
    assert len(list((acme.folder / "drafts").iterdir())) == 2
    (replaced, *_) = acme.ok("license", "list", "--key", "main", "--json").json["licenses"]
    assert replaced["status"] == "replaced"
    assert acme.ok("key", "retire", "main", "--json").json["licenses"] == []

    outcome = walk(acme, RENEWED_SET)
    assert "compromised keys left out: main" in outcome.err
    after = KeySet.from_jwks((acme.folder / "keys.json").read_bytes())
    assert verdict(after, forged, acme) == "unknown_key"
    renewed = {jws.parse(file).payload: file for file in current(acme).values()}
    for fingerprint, file in files.items():
        machine = f"sha256:{fingerprint}"
        assert verdict(before, file, acme, machine) == "accepted"
        assert verdict(after, file, acme, machine) == "unknown_key"
        verdicts = [verdict(after, new, acme, machine) for new in renewed.values()]
        assert sorted(verdicts) == ["accepted", "machine_mismatch"]
        # A server with only the old keys refuses new files.
        assert {verdict(before, new, acme, machine) for new in renewed.values()} == {"unknown_key"}


def test_a_forged_file_differs_from_an_issued_one(acme: Desk) -> None:
    """The bytes decide: an issued file is reissued, and any other is a forgery."""
    ((license_id, ours),) = current(acme).items()
    (acme.folder / "ours.lic").write_bytes(b"\xef\xbb\xbf" + ours.rstrip() + b"\r\n")
    (acme.folder / "forged.lic").write_bytes(forge(acme))
    walk(acme, LEAKED[0])
    outcome = acme.run("verify", "ours.lic", "forged.lic", "--json")
    assert outcome.code == 10
    first, second, _ = outcome.json_lines
    for file in (first, second):
        assert (file["failure"], file["claims"]) == ("unknown_key", None)
        assert file["compromised_key"]["label"] == "main"
        assert file["compromised_key"]["since"] == "2026-11-30T09:30:00Z"
        row = next(row for row in file["checks"] if row["outcome"] == "failed")
        reason = (
            "the file names the key main, which is marked as compromised since 2026-11-30T09:30:00Z"
        )
        assert row["message"].startswith(reason)
    failed = [
        next(row for row in file["checks"] if row["outcome"] == "failed")
        for file in (first, second)
    ]
    assert (first["status"], second["status"]) == ("current", None)
    assert failed[0]["mend"] == f"polygent-issue reissue acme --license {license_id[:8]}"
    assert "this file was issued by this registry" in failed[0]["do"]
    assert failed[1]["mend"] == "polygent-issue license list --status current --key=main"
    assert "treat it as forged" in failed[1]["do"]

    inspected = acme.ok("inspect", "forged.lic")
    assert "names the key main, which is marked as compromised" in inspected.text
    as_json = acme.ok("inspect", "forged.lic", "--json").json
    assert (as_json["authentic"], as_json["compromised_key"]["label"]) == (False, "main")

    # After the reissue the customer needs the new file.
    (acme.folder / "drafts").mkdir()
    walk(acme, *LEAKED[2:4], REISSUE)
    (new_id,) = current(acme)
    text = acme.run("verify", "ours.lic").text
    assert f"this license was replaced by {new_id[:8]}" in text
    acme.ok("license", "retire", new_id, "--reason", "left")
    assert "polygent-issue license show " + new_id[:8] in acme.run("verify", "ours.lic").text


def test_an_old_file_is_not_sent(acme: Desk) -> None:
    """The commands that send a file name the command that issues the right one."""
    (license_id,) = current(acme)
    walk(acme, LEAKED[0])
    mend = (
        f"license {license_id[:8]} was signed with main, which is compromised: servers must refuse "
        f"it; for a new license: polygent-issue reissue acme --license {license_id[:8]}\n"
    )
    assert mend in acme.ok("license", "export", license_id, "-o", "again.lic").err
    assert mend in acme.ok("license", "sent", license_id).err
