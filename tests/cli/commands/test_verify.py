"""`polygent-issue verify`: the customer's server's words, and what mends each failure."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk, Outcome

from polygent_issuer.verifier import jws

FIRST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
EXAMPLES = Path(__file__).parents[3] / "keys.example"


@pytest.fixture
def issued(desk: Desk) -> dict[str, Any]:
    """A standard license, signed at this desk."""
    [found] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    return dict(found)


def check(outcome: Outcome, code: str) -> dict[str, Any]:
    """The row of one check, of the one file in a JSON answer."""
    [file] = outcome.json["files"]
    return next(dict(row) for row in file["checks"] if row["code"] == code)


def test_an_issued_file_is_accepted(desk: Desk, issued: dict[str, Any]) -> None:
    """Every check has a row; the machine is the registry's; the timeline is told."""
    outcome = desk.ok("verify", issued["file"], "--install")
    assert f"{issued['file']}: accepted" in outcome.text
    for told in ("2027-12-01T00:00:00Z, last full day 2027-11-30", "2026-12-07T09:30:00Z"):
        assert told in outcome.text
    assert "admins are warned on  2027-11-01, 2027-11-17, 2027-11-24, 2027-11-30" in outcome.text
    assert "upload window: --install checks it" not in outcome.text
    text = desk.ok("verify", issued["file"]).text
    assert "  not checked  upload window: --install checks it\n" in text
    as_json = desk.ok("verify", issued["file"], "--json")
    assert as_json.json["files"][0]["fingerprint_from"] == "the registry"
    assert check(as_json, "machine_mismatch")["outcome"] == "passed"
    assert check(as_json, "stale_issue_date")["outcome"] == "not_checked"


@pytest.mark.parametrize(
    ("argv", "code", "mend"),
    [
        (("--at", "2027-12-01"), "expired", "polygent-issue renew acme-gmbh --license {id}"),
        (
            ("--at", "2026-11-30T09:24:59Z"),
            "not_yet_valid",
            "polygent-issue reissue acme-gmbh --license {id}",
        ),
        (
            ("--install", "--at", "2026-12-07T09:30:01Z"),
            "stale_issue_date",
            "polygent-issue reissue acme-gmbh --license {id}",
        ),
        (
            ("--fingerprint", OTHER),
            "machine_mismatch",
            "polygent-issue reissue acme-gmbh --license {id} --machine-info FILE",
        ),
    ],
)
def test_each_refusal_says_what_the_customer_sees_and_what_mends_it(
    desk: Desk, issued: dict[str, Any], argv: tuple[str, ...], code: str, mend: str
) -> None:
    """Exit 11: authentic, but the server would not accept it."""
    mend = mend.format(id=issued["id"][:8])
    outcome = desk.run("verify", issued["file"], *argv)
    assert outcome.code == 11
    assert f"not accepted: {code}" in outcome.text
    assert mend in outcome.text
    assert "the customer sees: " in outcome.text
    row = check(desk.run("verify", issued["file"], *argv, "--json"), code)
    assert row["outcome"] == "failed"
    assert row["mend"] == mend
    assert row["customer_sees"]


@pytest.mark.parametrize(
    "argv", [("--at", "2027-11-30T23:59:59Z"), ("--install", "--at", "2026-12-07T09:30:00Z")]
)
def test_the_last_moment_is_accepted(
    desk: Desk, issued: dict[str, Any], argv: tuple[str, ...]
) -> None:
    """Up to the last second of the term and of the window."""
    desk.ok("verify", issued["file"], *argv)


def test_the_host_is_judged(desk: Desk) -> None:
    """An allowed domain stands for one label; without a host there is no request."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain")
    [issued] = desk.ok(*argv, "*.acme.internal", "--json").json["licenses"]
    file = issued["file"]
    desk.ok("verify", file, "--host", "api.acme.internal:8443")
    outcome = desk.run("verify", file, "--host", "api.v2.acme.internal")
    assert outcome.code == 11
    assert f"reissue globex --license {issued['id'][:8]} --allowed-domain" in outcome.text
    assert check(desk.ok("verify", file, "--json"), "domain_mismatch")["outcome"] == "not_checked"


def test_a_changed_file_is_not_authentic(desk: Desk, issued: dict[str, Any]) -> None:
    """Exit 10; the mending command writes the original again."""
    token = bytearray(Path(issued["file"]).read_bytes())
    token[len(token) // 2] ^= 1
    forged = desk.folder / "forged.lic"
    forged.write_bytes(token)
    outcome = desk.run("verify", str(forged))
    assert outcome.code == 10
    assert "not authentic: " in outcome.text
    assert "polygent-issue license export" in outcome.text


def test_a_file_that_a_mail_program_wrapped(desk: Desk, issued: dict[str, Any]) -> None:
    """Malformed, and the reason is said."""
    text = Path(issued["file"]).read_text()
    wrapped = desk.folder / "wrapped.lic"
    wrapped.write_text("\n".join(text[i : i + 76] for i in range(0, len(text), 76)))
    outcome = desk.run("verify", str(wrapped))
    assert outcome.code == 10
    assert "mail" in outcome.text


def test_a_standard_license_of_nowhere_is_not_checked_for_its_machine(
    empty_desk: Desk,
) -> None:
    """With a public key and no registry the row reads not checked and does not fail."""
    key = str(EXAMPLES / "public.pem")
    outcome = empty_desk.ok("verify", str(EXAMPLES / "example.lic"), "--public-key", key)
    assert "not checked" in outcome.text
    assert "its private half is public" in outcome.err
    assert "Z (assumed)" in outcome.text
    row = check(
        empty_desk.ok("verify", str(EXAMPLES / "example.lic"), "--public-key", key, "--json"),
        "machine_mismatch",
    )
    assert row["outcome"] == "not_checked"


def test_the_example_verifies_with_its_machine_and_its_jwks(empty_desk: Desk) -> None:
    """PEM and JWKS are both public keys."""
    empty_desk.ok(
        *("verify", str(EXAMPLES / "example.lic")),
        *("--public-key", str(EXAMPLES / "jwks.json")),
        *("--machine-info", str(EXAMPLES / "machine-info.json")),
    )


def test_a_public_key_file_from_windows(empty_desk: Desk) -> None:
    """A PEM file or JWK Set with a BOM is read, also next to keys for another purpose."""
    jwks = json.loads((EXAMPLES / "jwks.json").read_bytes())
    jwks["keys"].append({"kty": "RSA", "n": "AQAB", "e": "AQAB"})
    for name, text in {
        "k.json": json.dumps(jwks, indent=1),
        "k.pem": (EXAMPLES / "public.pem").read_text(),
    }.items():
        path = empty_desk.folder / name
        path.write_text(text, encoding="utf-8-sig", newline="\r\n")
        empty_desk.ok("verify", str(EXAMPLES / "example.lic"), "--public-key", str(path))


def test_an_unknown_key(desk: Desk) -> None:
    """The registry never trusts the example key; a server's advice would help a forger."""
    outcome = desk.run("verify", str(EXAMPLES / "example.lic"))
    assert outcome.code == 10
    assert "not authentic: unknown_key" in outcome.text
    assert (
        "do: none of this home's keys signed it: another operator's license, or a forgery"
        in outcome.text
    )
    assert "with: polygent-issue key list\n" in outcome.text
    assert "why: " not in outcome.text


def test_a_public_key_that_is_not_the_signers(desk: Desk, issued: dict[str, Any]) -> None:
    """The file says which one it names; what a forger wrote there is escaped."""
    forged = desk.folder / "forged.lic"
    key = ("--public-key", str(EXAMPLES / "public.pem"))
    token = jws.signing_input("k\\u001b[2J", b"{}")
    forged.write_bytes(jws.assemble(token, b"\1" * 64))
    kid = jws.parse(Path(issued["file"]).read_bytes()).kid
    for file, told_kid in ((issued["file"], f"'{kid}'"), (str(forged), r"'k\x1b[2J'")):
        outcome = desk.run("verify", file, *key)
        assert outcome.code == 10
        told = "do: this public key is not the signer's: name the one of the file's kid "
        assert told + told_kid in outcome.text


def test_the_example_key_is_loud_in_the_verdict(empty_desk: Desk) -> None:
    """Also where warnings are left out, and for programs; never of another key."""
    argv = ("verify", str(EXAMPLES / "example.lic"), "--public-key", str(EXAMPLES / "public.pem"))
    told = "signed with the EXAMPLE key, whose private half is public: it proves nothing"
    quiet = empty_desk.ok(*argv, "--quiet")
    assert quiet.err == ""
    assert quiet.text.splitlines()[1] == f"  {told}"
    assert empty_desk.ok(*argv, "--json").json["files"][0]["example_key"] is True


def test_an_issued_file_is_of_no_example_key(desk: Desk, issued: dict[str, Any]) -> None:
    """A forgery that names it is no more than a forgery either."""
    outcome = desk.ok("verify", issued["file"], "--json")
    assert outcome.json["files"][0]["example_key"] is False
    assert "EXAMPLE" not in desk.ok("verify", issued["file"]).text
    unknown = desk.run("verify", str(EXAMPLES / "example.lic"), "--json")
    assert unknown.json["files"][0]["example_key"] is False


def test_a_window_that_was_told_is_not_assumed(desk: Desk, issued: dict[str, Any]) -> None:
    """The deadline says on what it rests."""
    assert "upload before         2026-12-07T09:30:00Z (assumed)\n" in (
        desk.ok("verify", issued["file"]).text
    )
    timeline = desk.ok("verify", issued["file"], "--json").json["files"][0]["timeline"]
    assert timeline["upload_window_assumed"] is True
    desk.ok("config", "set", "upload_window", "2d")
    assert "upload before         2026-12-02T09:30:00Z\n" in (
        desk.ok("verify", issued["file"]).text
    )
    timeline = desk.ok("verify", issued["file"], "--json").json["files"][0]["timeline"]
    assert timeline["upload_window_assumed"] is False


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"format": "polygent-machine-info/1"}', "a machine-info document"),
        (b"\xef\xbb\xbf\r\n [1]", "a JSON document"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "a private key"),
        (b"-----BEGIN PUBLIC KEY-----\n", "a public key"),
        (b"-----BEGIN CERTIFICATE-----\nPUBLIC KEY", "a PEM file"),
        (b"<!DOCTYPE html><p>", "an HTML page"),
        (b"<HTML>", "an HTML page"),
    ],
)
def test_what_is_obviously_something_else_is_named(
    empty_desk: Desk, data: bytes, kind: str
) -> None:
    """By its first bytes, in `verify` and `inspect`."""
    other = empty_desk.folder / "x"
    other.write_bytes(data)
    key = ("--public-key", str(EXAMPLES / "public.pem"))
    outcome = empty_desk.run("verify", str(other), *key)
    assert outcome.code == 10
    assert f"why: this is {kind}, not a license: " in outcome.text
    assert f"  this is {kind}, not a license: " in empty_desk.run("inspect", str(other)).text


def test_by_license_and_by_customer(desk: Desk, issued: dict[str, Any]) -> None:
    """The stored bytes are verified without a file."""
    Path(issued["file"]).unlink()
    desk.ok("verify", "--license", issued["id"][:8])
    desk.ok("verify", "--customer", "Acme GmbH")
    assert desk.run("verify", "--customer", "nobody").code == 5
    nothing = desk.run("verify")
    assert (nothing.code, "error: nothing says which" in nothing.err) == (2, True)
    twice = desk.run("verify", "x.lic", "--customer", "Acme GmbH")
    assert (twice.code, "error: more than one thing says which" in twice.err) == (2, True)


def test_a_replaced_file_says_so(desk: Desk, issued: dict[str, Any]) -> None:
    """It still works where it is installed, and the registry knows its successor."""
    [new] = desk.ok("reissue", "acme-gmbh", "--json").json["licenses"]
    assert f"replaced by {new['id'][:8]}" in desk.ok("verify", issued["file"]).text


def test_of_a_replaced_license_the_last_successor_is_named(
    desk: Desk, issued: dict[str, Any]
) -> None:
    """However long the chain; nobody shall mail a file that is superseded itself."""
    desk.ok("reissue", "acme-gmbh")
    [last] = desk.ok("reissue", "acme-gmbh", "--json").json["licenses"]
    text = desk.run("verify", issued["file"], "--at", "2028-01-01").text
    assert f"its successor is {last['id'][:8]}" in text
    assert f"with: polygent-issue license show {last['id'][:8]}\n" in text


def test_of_a_retired_license_nothing_is_renewed(desk: Desk, issued: dict[str, Any]) -> None:
    """The hint shows what the customer has instead."""
    desk.ok("license", "retire", issued["id"], "--reason", "gone", "--yes")
    text = desk.run("verify", issued["file"], "--at", "2028-01-01").text
    assert "with: polygent-issue customer show acme-gmbh\n" in text


def test_the_registrys_own_machine_is_said_to_be_that(desk: Desk, issued: dict[str, Any]) -> None:
    """Compared with itself, it proves nothing about the customer's machine."""
    told = "the one that the registry holds was taken"
    assert told in desk.ok("verify", issued["file"]).text
    assert told not in desk.ok("verify", issued["file"], "--fingerprint", FIRST).text


def test_a_clock_that_nobody_looked_at_is_not_checked(desk: Desk, issued: dict[str, Any]) -> None:
    """FORMAT §5, row 10: there is no guard here."""
    row = check(desk.ok("verify", issued["file"], "--json"), "clock_tampered")
    assert row["outcome"] == "not_checked"


def test_a_large_file_is_malformed(desk: Desk, issued: dict[str, Any]) -> None:
    """Judged like any other, beside others; not refused unread."""
    large = desk.folder / "large.lic"
    large.write_bytes(b"a" * 200_000)
    outcome = desk.run("verify", issued["file"], str(large))
    assert outcome.code == 10
    assert f"{large}: not authentic: malformed" in outcome.text
    assert f"{issued['file']}: accepted" in outcome.text
    assert desk.run("inspect", str(large)).code == 10


def test_stdin_is_read_once(desk: Desk) -> None:
    """Two names for it would judge an empty file."""
    assert desk.run("verify", "-", "-").code == 2
    assert desk.run("verify", "-", "--machine-info", "-").code == 2


def test_a_file_that_cannot_be_read(desk: Desk) -> None:
    """Alone it is an error as elsewhere."""
    alone = desk.run("verify", str(desk.folder / "none.lic"), "--json")
    assert (alone.code, alone.json["error"]["code"]) == (3, "unreadable_input")


def test_stdin(desk: Desk, issued: dict[str, Any]) -> None:
    """`-` is a license file."""
    desk.ok("verify", "-", stdin=Path(issued["file"]).read_bytes())


def test_without_a_home_the_hint_names_both_ways(empty_desk: Desk) -> None:
    """A public key, or a home."""
    outcome = empty_desk.run("verify", str(EXAMPLES / "example.lic"))
    assert outcome.code == 7
    assert "polygent-issue init" in outcome.err


def test_the_machine_as_the_registry_holds_it_today(desk: Desk, issued: dict[str, Any]) -> None:
    """After a machine change the old file fails as it does at the customer's."""
    desk.now += timedelta(hours=1)
    desk.ok("reissue", "acme-gmbh", "--machine-info", desk.machine_info("n", fingerprint=OTHER))
    outcome = desk.run("verify", issued["file"])
    assert outcome.code == 11
    assert "not accepted: machine_mismatch" in outcome.text
    desk.ok("verify", issued["file"], "--fingerprint", FIRST.upper().replace("SHA", "sha"))
