"""`polygent-issue verify`: the checks of the customer's server, and the fix of each failure."""

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
    [license_] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    return dict(license_)


def check(outcome: Outcome, code: str) -> dict[str, Any]:
    """Return the row of one check of the only file in a JSON output."""
    [file] = outcome.json["files"]
    return next(dict(row) for row in file["checks"] if row["code"] == code)


def test_an_issued_file_is_accepted(desk: Desk, issued: dict[str, Any]) -> None:
    """Every check has a row, the machine is the registry's, and the timeline is printed."""
    outcome = desk.ok("verify", issued["file"], "--install")
    assert f"{issued['file']}: accepted" in outcome.text
    for text in ("2027-12-01T00:00:00Z, last full day 2027-11-30", "2026-12-07T09:30:00Z"):
        assert text in outcome.text
    assert "admins are warned on  2027-11-01, 2027-11-17, 2027-11-24, 2027-11-30" in outcome.text
    assert "upload window: use --install to check it" not in outcome.text
    text = desk.ok("verify", issued["file"]).text
    assert "  not checked  upload window: use --install to check it\n" in text
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
def test_each_refusal_has_what_the_customer_sees_and_the_fix(
    desk: Desk, issued: dict[str, Any], argv: tuple[str, ...], code: str, mend: str
) -> None:
    """A file that is authentic, but that the server would not accept, is exit 11."""
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
    """A license is accepted up to the last second of the term and of the window."""
    desk.ok("verify", issued["file"], *argv)


def test_the_host_is_checked(desk: Desk) -> None:
    """An allowed domain matches one label; without a host it is not checked."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain")
    [issued] = desk.ok(*argv, "*.acme.internal", "--json").json["licenses"]
    file = issued["file"]
    desk.ok("verify", file, "--host", "api.acme.internal:8443")
    outcome = desk.run("verify", file, "--host", "api.v2.acme.internal")
    assert outcome.code == 11
    assert f"reissue globex --license {issued['id'][:8]} --allowed-domain" in outcome.text
    assert check(desk.ok("verify", file, "--json"), "domain_mismatch")["outcome"] == "not_checked"


@pytest.mark.parametrize(
    ("hosts", "text", "options"),
    [
        (
            ["api.new.internal"],
            "the host is covered by api.new.internal or *.new.internal",
            "--allowed-domain '*.new.internal'",
        ),
        (
            ["api.new.internal", "web.new.internal"],
            "all hosts are covered by *.new.internal",
            "--allowed-domain '*.new.internal'",
        ),
        (
            ["api.acme.internal", "api.v2.acme.internal"],
            "no single pattern covers all hosts: * matches exactly one level",
            "--no-allowed-domain",
        ),
        (["10.0.0.1"], "the host is covered by no pattern", "--no-allowed-domain"),
    ],
)
def test_a_mismatch_names_the_pattern_that_covers_all_hosts(
    desk: Desk, hosts: list[str], text: str, options: str
) -> None:
    """The fix has the pattern, in the style of the present one; JSON has all that there are."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain")
    [issued] = desk.ok(*argv, "*.acme.internal", "--json").json["licenses"]
    given = [word for host in hosts for word in ("--host", host)]
    outcome = desk.run("verify", issued["file"], *given)
    assert outcome.code == 11
    assert f"    {text}\n" in outcome.text
    assert f"reissue globex --license {issued['id'][:8]} {options}\n" in outcome.text
    row = check(desk.run("verify", issued["file"], *given, "--json"), "domain_mismatch")
    assert row["hosts"] == hosts
    assert row["patterns"] == [word for word in text.split() if word.endswith(".internal")]
    assert ("only before the first dot" in row["do"]) is (text.startswith("no single pattern"))


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("https://api.acme.internal/", "not a host name: https://api.acme.internal/"),
        ("*.new.internal", "not a host name: *.new.internal"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_text_that_no_browser_sends_is_not_a_host(desk: Desk, host: str, message: str) -> None:
    """It is wrong usage, and not a mismatch whose fix drops the allowed domain."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain")
    [issued] = desk.ok(*argv, "*.acme.internal", "--json").json["licenses"]
    outcome = desk.run("verify", issued["file"], "--host", host)
    assert outcome.code == 2
    assert message in outcome.err


def test_each_of_several_hosts_is_checked(desk: Desk) -> None:
    """One host outside is enough for a refusal, and each of these is named."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain")
    [issued] = desk.ok(*argv, "*.acme.internal", "--json").json["licenses"]
    good = ("--host", "api.acme.internal", "--host", "web.acme.internal:443")
    assert "  ok           for all 2 hosts\n" in desk.ok("verify", issued["file"], *good).text
    outcome = desk.run("verify", issued["file"], *good, "--host", "acme.internal", "--host", "x")
    assert "not in the allowed domain *.acme.internal: 'acme.internal', 'x' (2 of 4 hosts)" in (
        outcome.text
    )
    exact = ("reissue", "globex", "--allowed-domain", "api.acme.internal", "--json")
    [issued] = desk.ok(*exact).json["licenses"]
    outcome = desk.run("verify", issued["file"], "--host", "web.acme.internal")
    assert "--allowed-domain web.acme.internal\n" in outcome.text
    standard = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    assert "the license allows any domain" in desk.ok("verify", standard[0]["file"], *good).text


def test_a_changed_file_is_not_authentic(desk: Desk, issued: dict[str, Any]) -> None:
    """A changed file is exit 10, and the command of the fix writes the original again."""
    token = bytearray(Path(issued["file"]).read_bytes())
    token[len(token) // 2] ^= 1
    forged = desk.folder / "forged.lic"
    forged.write_bytes(token)
    outcome = desk.run("verify", str(forged))
    assert outcome.code == 10
    assert "not authentic: " in outcome.text
    assert "polygent-issue license export" in outcome.text


def test_a_file_that_a_mail_program_wrapped(desk: Desk, issued: dict[str, Any]) -> None:
    """The file is malformed, and the reason is printed."""
    text = Path(issued["file"]).read_text()
    wrapped = desk.folder / "wrapped.lic"
    wrapped.write_text("\n".join(text[i : i + 76] for i in range(0, len(text), 76)))
    outcome = desk.run("verify", str(wrapped))
    assert outcome.code == 10
    assert "mail" in outcome.text


def test_a_standard_license_of_nowhere_is_not_checked_for_its_machine(
    empty_desk: Desk,
) -> None:
    """With a public key and no registry the machine is not checked, and the row does not fail."""
    key = str(EXAMPLES / "public.pem")
    outcome = empty_desk.ok("verify", str(EXAMPLES / "example.lic"), "--public-key", key)
    assert "not checked" in outcome.text
    assert "its private key is published" in outcome.err
    assert "Z (assumed)" in outcome.text
    row = check(
        empty_desk.ok("verify", str(EXAMPLES / "example.lic"), "--public-key", key, "--json"),
        "machine_mismatch",
    )
    assert row["outcome"] == "not_checked"


def test_the_example_verifies_with_its_machine_and_its_jwks(empty_desk: Desk) -> None:
    """A JWK Set and the machine-info document of the example verify it."""
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
    """The registry never trusts the example key, and the advice for a server is left out."""
    outcome = desk.run("verify", str(EXAMPLES / "example.lic"))
    assert outcome.code == 10
    assert "not authentic: unknown_key" in outcome.text
    assert (
        "do: the file was not signed with a key of this home: "
        "another operator issued it, or it is forged" in outcome.text
    )
    assert "with: polygent-issue key list\n" in outcome.text
    assert "why: " not in outcome.text


def test_a_public_key_that_is_not_the_signers(desk: Desk, issued: dict[str, Any]) -> None:
    """The output names the kid in the file, escaped, since a forger may have written it."""
    forged = desk.folder / "forged.lic"
    key = ("--public-key", str(EXAMPLES / "public.pem"))
    token = jws.signing_input("k\\u001b[2J", b"{}")
    forged.write_bytes(jws.assemble(token, b"\1" * 64))
    kid = jws.parse(Path(issued["file"]).read_bytes()).kid
    for file, quoted_kid in ((issued["file"], f"'{kid}'"), (str(forged), r"'k\x1b[2J'")):
        outcome = desk.run("verify", file, *key)
        assert outcome.code == 10
        advice = "do: the file was signed with another key: verify it with the public key "
        assert advice + quoted_kid in outcome.text


def test_the_example_key_is_loud_in_the_verdict(empty_desk: Desk) -> None:
    """The verdict names the example key even with --quiet, and in JSON."""
    argv = ("verify", str(EXAMPLES / "example.lic"), "--public-key", str(EXAMPLES / "public.pem"))
    message = "signed with the EXAMPLE key, whose private key is published: it proves nothing"
    quiet = empty_desk.ok(*argv, "--quiet")
    assert quiet.err == ""
    assert quiet.text.splitlines()[1] == f"  {message}"
    assert empty_desk.ok(*argv, "--json").json["files"][0]["example_key"] is True


def test_an_issued_file_does_not_have_the_example_key(desk: Desk, issued: dict[str, Any]) -> None:
    """A forgery that names the example key is not signed with it."""
    outcome = desk.ok("verify", issued["file"], "--json")
    assert outcome.json["files"][0]["example_key"] is False
    assert "EXAMPLE" not in desk.ok("verify", issued["file"]).text
    unknown = desk.run("verify", str(EXAMPLES / "example.lic"), "--json")
    assert unknown.json["files"][0]["example_key"] is False


def test_a_window_from_the_settings_is_not_assumed(desk: Desk, issued: dict[str, Any]) -> None:
    """The deadline is marked as assumed until the setting has the upload window."""
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
def test_another_kind_of_file_is_named(empty_desk: Desk, data: bytes, kind: str) -> None:
    """`verify` and `inspect` name the kind of a file by its first bytes."""
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
    assert (nothing.code, "error: no license given" in nothing.err) == (2, True)
    twice = desk.run("verify", "x.lic", "--customer", "Acme GmbH")
    assert (twice.code, "are mutually exclusive" in twice.err) == (2, True)


def test_the_id_of_a_license_is_printed_once(desk: Desk, issued: dict[str, Any]) -> None:
    """Without a file the first line has the ID; with one, a row has it."""
    assert desk.ok("verify", "--customer", "acme-gmbh").text.count(issued["id"]) == 1
    assert desk.ok("verify", "--license", issued["id"]).text.count(issued["id"]) == 1
    rows = desk.ok("verify", issued["file"]).text.splitlines()
    assert f"license {issued['id']}" in [" ".join(row.split()) for row in rows]


def test_a_replaced_file_names_its_successor(desk: Desk, issued: dict[str, Any]) -> None:
    """A replaced license still works where it is installed, and the registry has its successor."""
    [new] = desk.ok("reissue", "acme-gmbh", "--json").json["licenses"]
    assert f"replaced by {new['id'][:8]}" in desk.ok("verify", issued["file"]).text


def test_of_a_replaced_license_the_last_successor_is_named(
    desk: Desk, issued: dict[str, Any]
) -> None:
    """The last license of a chain is named, so that no replaced file is sent."""
    desk.ok("reissue", "acme-gmbh")
    [last] = desk.ok("reissue", "acme-gmbh", "--json").json["licenses"]
    text = desk.run("verify", issued["file"], "--at", "2028-01-01").text
    assert f"this license was replaced by {last['id'][:8]}" in text
    assert f"with: polygent-issue license show {last['id'][:8]}\n" in text


def test_of_a_retired_license_nothing_is_renewed(desk: Desk, issued: dict[str, Any]) -> None:
    """The fix of a retired license shows the customer's licenses."""
    desk.ok("license", "retire", issued["id"], "--reason", "gone", "--yes")
    text = desk.run("verify", issued["file"], "--at", "2028-01-01").text
    assert "with: polygent-issue customer show acme-gmbh\n" in text


def test_the_machine_of_the_registry_is_named_as_such(desk: Desk, issued: dict[str, Any]) -> None:
    """A comparison with the registry's own machine proves nothing about the customer's."""
    note = "no machine given; compared with the machine in the registry"
    assert note in desk.ok("verify", issued["file"]).text
    assert note not in desk.ok("verify", issued["file"], "--fingerprint", FIRST).text


def test_the_clock_is_not_checked(desk: Desk, issued: dict[str, Any]) -> None:
    """FORMAT §5, row 10, needs a guard, which only a server has."""
    row = check(desk.ok("verify", issued["file"], "--json"), "clock_tampered")
    assert row["outcome"] == "not_checked"


def test_a_large_file_is_malformed(desk: Desk, issued: dict[str, Any]) -> None:
    """A large file is verified like any other, and does not affect other files."""
    large = desk.folder / "large.lic"
    large.write_bytes(b"a" * 200_000)
    outcome = desk.run("verify", issued["file"], str(large))
    assert outcome.code == 10
    assert f"{large}: not authentic: malformed" in outcome.text
    assert f"{issued['file']}: accepted" in outcome.text
    assert desk.run("inspect", str(large)).code == 10


def test_stdin_is_read_once(desk: Desk) -> None:
    """Stdin cannot be two files."""
    assert desk.run("verify", "-", "-").code == 2
    assert desk.run("verify", "-", "--machine-info", "-").code == 2


def test_a_file_that_cannot_be_read(desk: Desk) -> None:
    """An unreadable file alone is an error."""
    alone = desk.run("verify", str(desk.folder / "none.lic"), "--json")
    assert (alone.code, alone.json["error"]["code"]) == (3, "unreadable_input")


def test_stdin(desk: Desk, issued: dict[str, Any]) -> None:
    """`-` is a license file from stdin."""
    desk.ok("verify", "-", stdin=Path(issued["file"]).read_bytes())


def test_without_a_home_the_hint_names_both_ways(empty_desk: Desk) -> None:
    """Without a home the hint names a public key and `init`."""
    outcome = empty_desk.run("verify", str(EXAMPLES / "example.lic"))
    assert outcome.code == 7
    assert "polygent-issue init" in outcome.err


def test_the_machine_is_the_current_one_of_the_registry(desk: Desk, issued: dict[str, Any]) -> None:
    """After a machine change the old file fails as it does on the customer's server."""
    desk.now += timedelta(hours=1)
    desk.ok("reissue", "acme-gmbh", "--machine-info", desk.machine_info("n", fingerprint=OTHER))
    outcome = desk.run("verify", issued["file"])
    assert outcome.code == 11
    assert "not accepted: machine_mismatch" in outcome.text
    desk.ok("verify", issued["file"], "--fingerprint", FIRST.upper().replace("SHA", "sha"))
