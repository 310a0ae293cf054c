"""`polygent-issue sign`, without a terminal."""

import json
import os
import shlex
import subprocess
import sys
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import Desk

from polygent_issuer.verifier import KeySet, Verifier

FIRST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def key_set(desk: Desk) -> KeySet:
    """The public keys as a server would be given them."""
    return KeySet.from_jwks(desk.ok("key", "export-public", "--format", "jwks", "-o", "-").out)


def test_a_document_alone_gives_a_license_of_the_default_plan(desk: Desk) -> None:
    """The document's customer and the default plan are taken; the server accepts the file."""
    outcome = desk.ok("sign", "--machine-info", desk.machine_info())
    [file] = desk.output.iterdir()
    held = Verifier(key_set(desk)).verify(
        file.read_bytes(), now=desk.now, fingerprint=FIRST, freshness_window=timedelta(days=7)
    )
    assert file.name == f"acme-gmbh-prod-1-2027-11-30-{held.jti[:8]}.lic"
    assert (held.customer, held.sub, held.iss) == ("Acme GmbH", "acme-gmbh", "Polygent Ltd")
    assert held.expires_at.isoformat() == "2027-12-01T00:00:00+00:00"
    for told in (held.jti, "2027-12-01T00:00:00Z, last full day 2027-11-30", str(file)):
        assert told in outcome.text
    assert "upload before  2026-12-07T09:30:00Z (assumed" in outcome.text


def test_the_window_is_assumed_until_it_is_told(desk: Desk) -> None:
    """`config set upload_window` ends the word "assumed"."""
    desk.ok("config", "set", "upload_window", "3d")
    outcome = desk.ok("sign", "--machine-info", desk.machine_info())
    assert "upload before  2026-12-03T09:30:00Z\n" in outcome.text
    assert "(assumed" not in outcome.text


def test_json_says_the_same(desk: Desk) -> None:
    """Stdout carries one object, and nothing of it is missing for a program."""
    [issued] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    assert Path(issued["file"]).read_bytes().endswith(b"\n")
    assert issued["last_full_day"] == "2027-11-30"
    assert issued["upload_before"] == "2026-12-07T09:30:00Z"
    assert issued["upload_window_assumed"] is True
    assert issued["claims"]["jti"] == issued["id"]
    assert (issued["new_customer"], issued["machine"], issued["replaces"]) == (True, "prod-1", [])


def test_an_enterprise_license_needs_no_machine(desk: Desk) -> None:
    """The tier alone chooses the plan of that tier; the domain is kept."""
    desk.ok(
        *("sign", "--customer", "Globex", "--tier", "enterprise"),
        *("--allowed-domain", "*.Globex.internal"),
    )
    [file] = desk.output.iterdir()
    held = Verifier(key_set(desk)).verify(file.read_bytes(), now=desk.now, host="a.globex.internal")
    assert file.name == f"globex-2027-11-30-{held.jti[:8]}.lic"
    assert (held.tier, held.machine_fingerprint) == ("enterprise", None)
    assert "sso-saml" in held.features


def test_a_slug_of_the_operators_choice(desk: Desk) -> None:
    """A new customer gets it in registry, license and file name."""
    argv = ("--tier", "enterprise", "--slug", "acme-kk", "--json")
    [issued] = desk.ok("sign", "--customer", "株式会社アクメ", *argv).json["licenses"]
    assert (issued["customer"], issued["claims"]["sub"]) == ("acme-kk", "acme-kk")
    assert Path(issued["file"]).name.startswith("acme-kk-2027-11-30-")


def test_the_slug_that_a_customer_has(desk: Desk) -> None:
    """The same options work for a customer's next machine."""
    argv = (
        "sign",
        "--customer",
        "Acme GmbH",
        "--slug",
        "acme-kk",
        "--accept",
        "additional-machine",
    )
    desk.ok(*argv, "--reason", "x", "--machine-info", desk.machine_info())
    other = desk.machine_info("other.json", fingerprint="sha256:" + "12" * 32, hostname="other")
    [issued] = desk.ok(*argv, "--reason", "x", "--machine-info", other, "--json").json["licenses"]
    assert issued["customer"] == "acme-kk"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ("--customer", "Acme GmbH", "--slug", "other"),
            "Acme GmbH already has the slug acme-gmbh",
        ),
        (("--customer", "acme-gmbh", "--slug", "other"), "slugs cannot be changed"),
        (("--customer", "Globex", "--slug", "acme-gmbh"), "the slug acme-gmbh is taken by Acme"),
        (("--customer", "Globex", "--slug", "Globex!"), "Globex! is not a slug"),
        (("--customer", "Globex", "--slug", ""), " is not a slug"),
    ],
)
def test_an_impossible_slug_is_refused(desk: Desk, argv: tuple[str, ...], message: str) -> None:
    """For a customer who exists, taken, or against FORMAT: exit 3, and nothing is added."""
    desk.ok("customer", "add", "Acme GmbH")
    outcome = desk.run("sign", *argv, "--tier", "enterprise", "--yes")
    assert outcome.code == 3
    assert message in outcome.err
    assert len(desk.ok("customer", "list", "--json").json["customers"]) == 1
    assert not list(desk.output.iterdir())


def test_a_slug_for_a_known_machine(desk: Desk) -> None:
    """The machine's customer exists, so a slug is refused."""
    document = desk.machine_info()
    desk.ok("sign", "--machine-info", document)
    outcome = desk.run("sign", "--machine-info", document, "--slug", "other")
    assert outcome.code == 3
    assert "hint: leave out --slug" in outcome.err


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("--customer", "Acme"), "--machine-info FILE"),
        (("--tier", "enterprise"), "--customer NAME"),
    ],
)
def test_what_only_a_person_knows_is_asked_for_by_option(
    desk: Desk, argv: tuple[str, ...], hint: str
) -> None:
    """Off a terminal a missing customer or machine is exit 3 with the option to add."""
    outcome = desk.run("sign", *argv)
    assert outcome.code == 3
    assert hint in outcome.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--feature", "plannr"), "planner"),
        (("--feature", "sso-saml"), "a standard license cannot have the feature sso-saml"),
        (("--allowed-domain", "a.b"), "a standard license cannot have an allowed domain"),
        (("--users", "0"), "users"),
        (("--term", "1y", "--expires", "2027-01-01"), "mutually exclusive"),
        (("--expires", "2026-11-29"), "expiry date is in the past"),
        (("--from", "expiry"), "needs an existing license"),
        (("--plan", "standard-anual"), "did you mean standard-annual?"),
        (("--tier", "gold"), "unknown tier"),
        (("--term", "1 year"), "1y, 6mo or 90d"),
    ],
)
def test_wrong_terms_are_refused_and_nothing_is_kept(
    desk: Desk, argv: tuple[str, ...], message: str
) -> None:
    """Each wrong term is one clear error; the customer is not added, no file appears."""
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), *argv)
    assert outcome.code in {2, 3, 5}
    assert message in outcome.err
    assert list(desk.output.iterdir()) == []
    assert desk.ok("customer", "list", "--json").json["customers"] == []


def test_a_running_license_leads_to_renew_and_reissue(desk: Desk) -> None:
    """A known machine whose license runs is not signed again."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    outcome = desk.run("sign", "--machine-info", desk.machine_info())
    assert outcome.code == 3
    assert "polygent-issue renew acme-gmbh" in outcome.err
    assert "polygent-issue reissue acme-gmbh" in outcome.err
    assert len(list(desk.output.iterdir())) == 1


def test_a_lapsed_license_is_continued(desk: Desk) -> None:
    """Its terms go on, its ID is in `replaces`, and the old one is replaced."""
    document = desk.machine_info()
    argv = ("sign", "--machine-info", document, "--users", "7", "--term", "30d", "--json")
    [first] = desk.ok(*argv).json["licenses"]
    desk.now += timedelta(days=40)
    [second] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    assert second["replaces"] == [first["id"]]
    assert second["claims"]["limits"]["users"] == 7
    assert second["term"] == "30d"
    shown = desk.ok("license", "list", "--json").json["licenses"]
    assert {each["id"]: each["status"] for each in shown}[first["id"]] == "replaced"


def test_an_enterprise_scope_is_its_domain(desk: Desk) -> None:
    """The same domain runs already; another domain is another license."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain")
    desk.ok(*argv, "*.globex.internal")
    assert desk.run(*argv, "*.globex.internal").code == 3
    assert desk.ok(*argv, "*.globex.example", "--json").json["licenses"][0]["replaces"] == []


def test_a_dry_run_leaves_nothing(desk: Desk) -> None:
    """It shows everything, asks for no passphrase, and writes neither file nor row."""
    desk.passphrase_file.unlink()
    before = (desk.home / "registry.db").read_bytes()
    outcome = desk.ok("sign", "--machine-info", desk.machine_info(), "--dry-run")
    assert "dry run: nothing was issued" in outcome.text
    assert "2027-12-01T00:00:00Z" in outcome.text
    assert (desk.home / "registry.db").read_bytes() == before
    assert list(desk.output.iterdir()) == []


def test_the_document_can_come_from_stdin_and_the_license_go_to_stdout(desk: Desk) -> None:
    """`-` works on both sides: stdout carries the license and nothing else."""
    document = Path(desk.machine_info()).read_bytes()
    outcome = desk.ok("sign", "--machine-info", "-", "-o", "-", stdin=document)
    held = Verifier(key_set(desk)).verify(outcome.out, now=desk.now, fingerprint=FIRST)
    assert held.jti in outcome.err
    assert "undelivered" not in desk.ok("customer", "list").err
    assert list(desk.output.iterdir()) == []


def test_json_and_the_license_do_not_share_stdout(desk: Desk) -> None:
    """`--json -o -` is wrong usage, before anything is signed."""
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "--json", "-o", "-")
    assert outcome.code == 2
    assert outcome.json["error"]["code"] == "usage"


def test_nothing_is_ever_overwritten(desk: Desk) -> None:
    """A file that exists is exit 8, and nothing was issued."""
    (desk.output / "x.lic").write_text("mine")
    target = str(desk.output / "x.lic")
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "-o", target)
    assert (outcome.code, (desk.output / "x.lic").read_text()) == (8, "mine")
    assert desk.ok("license", "list", "--json").json["licenses"] == []


def test_a_missing_folder_is_named(desk: Desk) -> None:
    """The hint makes it."""
    missing = desk.folder / "nowhere"
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "-o", f"{missing}/")
    assert outcome.code == 8
    assert f"mkdir -p {missing}" in outcome.err


def test_no_key_no_license(empty_desk: Desk) -> None:
    """Without a key the hint says how to make one."""
    empty_desk.ok("init")
    outcome = empty_desk.run("sign", "--machine-info", empty_desk.machine_info())
    assert outcome.code == 6
    assert "polygent-issue key generate" in outcome.err


def test_a_wrong_passphrase_issues_nothing(desk: Desk) -> None:
    """Exit 6, no row, no file."""
    desk.passphrase_file.write_text("wrong\n")
    outcome = desk.run("sign", "--machine-info", desk.machine_info())
    assert outcome.code == 6
    assert desk.ok("license", "list", "--json").json["licenses"] == []
    assert list(desk.output.iterdir()) == []


def test_a_hostile_name_is_refused_or_shown_literally(desk: Desk) -> None:
    """Markup is data, control characters are refused, the file's name stays safe."""
    named = desk.machine_info(customer="[/red]../CON", hostname="../../etc")
    outcome = desk.ok("sign", "--machine-info", named)
    assert "[/red]../CON" in outcome.text
    [file] = desk.output.iterdir()
    assert file.name.startswith("red-con-etc-2027-11-30-")
    for name in ("a\x1b[31mb", "a\u202eb", " a", ""):
        refused = desk.run("sign", "--machine-info", named, "--customer", name)
        assert refused.code == 3, name
        assert "\x1b" not in refused.err


def test_a_hint_is_safe_to_paste(desk: Desk) -> None:
    """A label came from the sender; a shell would run what stands in it."""
    evil = "$(touch pwned) x"
    desk.ok("sign", "--machine-info", desk.machine_info(hostname=evil))
    second = desk.machine_info("n.json", fingerprint=OTHER)
    outcome = desk.run("sign", "--machine-info", second, "--customer", "acme-gmbh")
    words = shlex.split(outcome.err.splitlines()[-1])
    assert words[words.index("--machine") + 1] == evil


def test_a_label_is_of_one_machine(desk: Desk) -> None:
    """Another machine's label, or another label for a known machine, is exit 3 at once."""
    desk.ok("sign", "--machine-info", desk.machine_info(), "--term", "30d", "--label", "prod")
    second = desk.machine_info("n.json", fingerprint=OTHER)
    argv = ("--customer", "acme-gmbh", "--label")
    outcome = desk.run("sign", "--machine-info", second, *argv, "prod", "--dry-run")
    assert outcome.code == 3
    assert "reissue acme-gmbh --machine prod --machine-info FILE" in outcome.err
    desk.now += timedelta(days=40)
    again = desk.machine_info()
    assert desk.run("sign", "--machine-info", again, *argv, "test", "--dry-run").code == 3
    desk.ok("sign", "--machine-info", again, *argv, "prod", "--dry-run")


@pytest.mark.parametrize("place", ["~nosuchuser/x.lic", "a" * 300, "", "x\udcff/"])
def test_a_place_where_no_file_can_be(desk: Desk, place: str) -> None:
    """Exit 8, before anything is signed."""
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "-o", place)
    assert outcome.code == 8, outcome
    assert desk.ok("license", "list", "--json").json["licenses"] == []


def test_a_current_folder_that_is_gone(desk: Desk) -> None:
    """It matters only where nothing else says where the file goes."""
    gone = desk.folder / "gone"
    gone.mkdir()
    document = desk.machine_info()
    with chdir(gone):
        gone.rmdir()
        desk.ok("sign", "--machine-info", document, "--dry-run")
        desk.ok("sign", "--machine-info", document)
        outcome = desk.run("reissue", "acme-gmbh", "-o", "x.lic")
        os.chdir(desk.folder)
        gone.mkdir()
    assert outcome.code == 8
    assert "the current folder no longer exists" in outcome.err


def test_a_license_that_stdout_did_not_take_is_said_to_be_issued(desk: Desk) -> None:
    """Whoever mends the pipe must export it, not sign a second one."""
    desk.now = datetime.now(UTC)
    argv = ["--home", str(desk.home), "sign", "--machine-info", desk.machine_info(), "-o", "-"]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "polygent_issuer", *argv],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            env={"POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)},
        )
    [found] = desk.ok("license", "list", "--json").json["licenses"]
    assert ended.returncode == 8
    assert f"license {found['id'][:8]} was issued, but its file could not" in ended.stderr.decode()
    assert f"polygent-issue license export {found['id'][:8]}" in ended.stderr.decode()


def test_two_hundred_letters_of_chinese(desk: Desk) -> None:
    """A long name without a Latin letter is kept whole; its slug is cut as any other."""
    name = "株" * 200
    [issued] = desk.ok(
        "sign", "--machine-info", desk.machine_info(), "--customer", name, "--json"
    ).json["licenses"]
    assert issued["customer_name"] == name
    assert Path(issued["file"]).name.startswith("zhu" * 21 + "z-prod-1-2027-11-30-")
    assert desk.run("sign", "--customer", name + "株", "--tier", "enterprise").code == 3


def test_the_same_license_gives_the_same_bytes(desk: Desk) -> None:
    """What `license export` writes again is what was issued."""
    [issued] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    again = desk.ok("license", "export", issued["id"], "-o", "-")
    assert again.out == Path(issued["file"]).read_bytes()


def test_the_journal_tells_who_signed_what(desk: Desk) -> None:
    """One row: the license, the key, the operator, the document's digest."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    rows = desk.ok("journal", "show", "--json").json["rows"]
    row = next(row for row in rows if row["event"] == "license-signed")
    assert row["operator"] == "Ada"
    assert row["customer"] == "acme-gmbh"
    assert len(json.dumps(row)) < 4000


def test_an_enterprise_license_for_any_host_is_said_to_be_that(desk: Desk) -> None:
    """It is a bearer document, and the preview says so."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--dry-run")
    assert "any: the file works for whoever holds it" in desk.ok(*argv).text
    assert "any: the file" not in desk.ok(*argv, "--allowed-domain", "a.b").text


def test_the_placeholder_issuer_is_named(empty_desk: Desk) -> None:
    """Until somebody says who issues, every license would carry it."""
    empty_desk.ok("init")
    outcome = empty_desk.run("sign", "--customer", "Globex", "--tier", "enterprise")
    assert "polygent-issue config set issuer NAME" in outcome.err


def test_a_dry_run_judges_the_place_too(desk: Desk) -> None:
    """What would fail then fails now."""
    argv = ("sign", "--machine-info", desk.machine_info(), "--dry-run", "-o", "/nowhere/x.lic")
    assert desk.run(*argv).code == 8
