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
from support.desk_state import read_state

from polygent_issuer.verifier import KeySet, Verifier

FIRST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def key_set(desk: Desk) -> KeySet:
    """Return the public keys that a server would get."""
    return KeySet.from_jwks(desk.ok("key", "export-public", "--format", "jwks", "-o", "-").out)


def test_a_document_alone_gives_a_license_of_the_default_plan(desk: Desk) -> None:
    """The customer of the document and the default plan are used; a server accepts it."""
    outcome = desk.ok("sign", "--machine-info", desk.machine_info())
    [file] = desk.output.iterdir()
    held = Verifier(key_set(desk)).verify(
        file.read_bytes(), now=desk.now, fingerprint=FIRST, freshness_window=timedelta(days=7)
    )
    assert file.name == f"acme-gmbh-prod-1-2027-11-30-{held.jti[:8]}.lic"
    assert (held.customer, held.sub, held.iss) == ("Acme GmbH", "acme-gmbh", "Polygent Ltd")
    assert held.expires_at.isoformat() == "2027-12-01T00:00:00+00:00"
    for result in (held.jti, "2027-12-01T00:00:00Z, last full day 2027-11-30", str(file)):
        assert result in outcome.text
    assert "upload before  2026-12-07T09:30:00Z (assumed" in outcome.text


def test_the_window_is_assumed_until_it_is_set(desk: Desk) -> None:
    """After `config set upload_window` the deadline is not called assumed."""
    desk.ok("config", "set", "upload_window", "3d")
    outcome = desk.ok("sign", "--machine-info", desk.machine_info())
    assert "upload before  2026-12-03T09:30:00Z\n" in outcome.text
    assert "(assumed" not in outcome.text


def test_json_has_the_same(desk: Desk) -> None:
    """Stdout has one object with everything that the text has."""
    [issued] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    assert Path(issued["file"]).read_bytes().endswith(b"\n")
    assert issued["last_full_day"] == "2027-11-30"
    assert issued["upload_before"] == "2026-12-07T09:30:00Z"
    assert issued["upload_window_assumed"] is True
    assert issued["claims"]["jti"] == issued["id"]
    assert (issued["new_customer"], issued["machine"], issued["replaces"]) == (True, "prod-1", [])


def test_an_enterprise_license_needs_no_machine(desk: Desk) -> None:
    """The tier selects its plan, and the domain is written into the license."""
    desk.ok(
        *("sign", "--customer", "Globex", "--tier", "enterprise"),
        *("--allowed-domain", "*.Globex.internal"),
    )
    [file] = desk.output.iterdir()
    held = Verifier(key_set(desk)).verify(file.read_bytes(), now=desk.now, host="a.globex.internal")
    assert file.name == f"globex-2027-11-30-{held.jti[:8]}.lic"
    assert (held.tier, held.machine_fingerprint) == ("enterprise", None)
    assert "sso-saml" in held.features


def test_a_wildcard_has_its_depth(desk: Desk) -> None:
    """`sign`, and `reissue` where the domain changes, name a host that it covers, and two not."""
    argv = ("--customer", "Globex", "--tier", "enterprise", "--allowed-domain", "*.g.internal")
    text = "exactly one level: api.g.internal, but neither g.internal nor api.v2.g.internal\n"
    assert f"  covers          {text}" in desk.ok("sign", *argv).text
    assert "covers" not in desk.ok("reissue", "globex", after=timedelta(hours=1)).text
    change = ("reissue", "globex", "--dry-run", "--allowed-domain")
    assert "exactly one level: api.h.internal" in desk.ok(*change, "*.h.internal").text
    assert "covers" not in desk.ok(*change, "api.h.internal").text


@pytest.mark.parametrize("plan", [(), ("--plan", "trial")], ids=["default plan", "named plan"])
def test_a_feature_is_added_to_those_of_the_plan(desk: Desk, plan: tuple[str, ...]) -> None:
    """`--add-feature` keeps the plan's features; an unknown one is refused."""
    argv = ("sign", "--machine-info", desk.machine_info(), *plan, "--json")
    [without] = desk.ok(*argv, "--dry-run").json["licenses"]
    more = ("--add-feature", "multiple-active-sessions")
    [issued] = desk.ok(*argv, *more).json["licenses"]
    had = without["claims"]["features"]
    assert "multiple-active-sessions" not in had
    assert issued["claims"]["features"] == sorted([*had, "multiple-active-sessions"])
    unknown = desk.run(*argv, "--add-feature", "planer")
    assert "did you mean planner?" in unknown.json["error"]["hint"]


def test_a_new_customer_gets_the_given_slug(desk: Desk) -> None:
    """The slug is in the registry, the license and the file name."""
    argv = ("--tier", "enterprise", "--slug", "acme-kk", "--json")
    [issued] = desk.ok("sign", "--customer", "株式会社アクメ", *argv).json["licenses"]
    assert (issued["customer"], issued["claims"]["sub"]) == ("acme-kk", "acme-kk")
    assert Path(issued["file"]).name.startswith("acme-kk-2027-11-30-")


def test_the_slug_of_a_known_customer_is_accepted(desk: Desk) -> None:
    """The same options work for the customer's next machine."""
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
        (("--customer", "Globex", "--slug", "acme-gmbh"), "the slug acme-gmbh belongs to Acme"),
        (("--customer", "Globex", "--slug", "Globex!"), "Globex! is not a slug"),
        (("--customer", "Globex", "--slug", ""), " is not a slug"),
    ],
)
def test_an_impossible_slug_is_refused(desk: Desk, argv: tuple[str, ...], message: str) -> None:
    """A slug in use, or against FORMAT, is exit 3, and no customer is added."""
    desk.ok("customer", "add", "Acme GmbH")
    outcome = desk.run("sign", *argv, "--tier", "enterprise", "--yes")
    assert outcome.code == 3
    assert message in outcome.err
    assert len(desk.ok("customer", "list", "--json").json["customers"]) == 1
    assert not list(desk.output.iterdir())


def test_a_slug_for_a_known_machine_is_refused(desk: Desk) -> None:
    """The customer of the machine exists, so a slug is refused."""
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
def test_missing_input_names_the_option(desk: Desk, argv: tuple[str, ...], hint: str) -> None:
    """Without a terminal a missing customer or machine is exit 3 with the option."""
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
def test_wrong_terms_issue_nothing(desk: Desk, argv: tuple[str, ...], message: str) -> None:
    """Each wrong term has one clear error; no customer and no file is added."""
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), *argv)
    assert outcome.code in {2, 3, 5}
    assert message in outcome.err
    assert list(desk.output.iterdir()) == []
    assert desk.ok("customer", "list", "--json").json["customers"] == []


def test_a_machine_with_a_license_is_refused(desk: Desk) -> None:
    """A machine with a valid license is not signed again."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    outcome = desk.run("sign", "--machine-info", desk.machine_info())
    assert outcome.code == 3
    assert "polygent-issue renew acme-gmbh" in outcome.err
    assert "polygent-issue reissue acme-gmbh" in outcome.err
    assert len(list(desk.output.iterdir())) == 1


def test_an_expired_license_is_continued(desk: Desk) -> None:
    """Its terms are kept, its ID is in `replaces`, and it is replaced."""
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


def test_an_enterprise_license_is_identified_by_its_domain(desk: Desk) -> None:
    """A second license for the same domain is refused; another domain is accepted."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain")
    desk.ok(*argv, "*.globex.internal")
    assert desk.run(*argv, "*.globex.internal").code == 3
    assert desk.ok(*argv, "*.globex.example", "--json").json["licenses"][0]["replaces"] == []


def test_a_dry_run_leaves_nothing(desk: Desk) -> None:
    """It shows everything without a passphrase, and writes neither file nor row."""
    desk.passphrase_file.unlink()
    before = read_state(desk)
    outcome = desk.ok("sign", "--machine-info", desk.machine_info(), "--dry-run")
    assert "dry run: nothing was issued" in outcome.text
    assert "2027-12-01T00:00:00Z" in outcome.text
    assert read_state(desk) == before
    assert list(desk.output.iterdir()) == []


def test_the_document_can_come_from_stdin_and_the_license_go_to_stdout(desk: Desk) -> None:
    """`-` works for both; stdout has only the license."""
    document = Path(desk.machine_info()).read_bytes()
    outcome = desk.ok("sign", "--machine-info", "-", "-o", "-", stdin=document)
    held = Verifier(key_set(desk)).verify(outcome.out, now=desk.now, fingerprint=FIRST)
    assert held.jti in outcome.err
    assert "undelivered" not in desk.ok("customer", "list").err
    assert list(desk.output.iterdir()) == []


def test_json_and_the_license_do_not_share_stdout(desk: Desk) -> None:
    """`--json -o -` is exit 2 before anything is signed."""
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "--json", "-o", "-")
    assert outcome.code == 2
    assert outcome.json["error"]["code"] == "usage"


def test_nothing_is_ever_overwritten(desk: Desk) -> None:
    """An existing file is exit 8, and no license is issued."""
    (desk.output / "x.lic").write_text("mine")
    target = str(desk.output / "x.lic")
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "-o", target)
    assert (outcome.code, (desk.output / "x.lic").read_text()) == (8, "mine")
    assert desk.ok("license", "list", "--json").json["licenses"] == []


def test_a_missing_folder_is_named(desk: Desk) -> None:
    """The hint has the command that creates it."""
    missing = desk.folder / "nowhere"
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "-o", f"{missing}/")
    assert outcome.code == 8
    assert f"mkdir -p {missing}" in outcome.err


def test_without_a_key_the_hint_generates_one(empty_desk: Desk) -> None:
    """Without a key the hint has the command that generates one."""
    empty_desk.ok("init")
    outcome = empty_desk.run("sign", "--machine-info", empty_desk.machine_info())
    assert outcome.code == 6
    assert "polygent-issue key generate" in outcome.err


def test_a_wrong_passphrase_issues_nothing(desk: Desk) -> None:
    """A wrong passphrase is exit 6 without a row or a file."""
    desk.passphrase_file.write_text("wrong\n")
    outcome = desk.run("sign", "--machine-info", desk.machine_info())
    assert outcome.code == 6
    assert desk.ok("license", "list", "--json").json["licenses"] == []
    assert list(desk.output.iterdir()) == []


def test_a_hostile_name_is_refused_or_shown_literally(desk: Desk) -> None:
    """Markup is data, control characters are refused, and the file name is safe."""
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
    """A label of the sender is quoted, so that a shell does not run it."""
    evil = "$(touch pwned) x"
    desk.ok("sign", "--machine-info", desk.machine_info(hostname=evil))
    second = desk.machine_info("n.json", fingerprint=OTHER)
    outcome = desk.run("sign", "--machine-info", second, "--customer", "acme-gmbh")
    words = shlex.split(outcome.err.splitlines()[-1])
    assert words[words.index("--machine") + 1] == evil


def test_a_label_belongs_to_one_machine(desk: Desk) -> None:
    """A label in use, or another label for a known machine, is exit 3."""
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
def test_an_impossible_path_signs_nothing(desk: Desk, place: str) -> None:
    """A path where no file can be is exit 8 before anything is signed."""
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "-o", place)
    assert outcome.code == 8, outcome
    assert desk.ok("license", "list", "--json").json["licenses"] == []


def test_a_deleted_current_folder_is_reported(desk: Desk) -> None:
    """It matters only if nothing else sets the output folder."""
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


def test_a_license_lost_on_stdout_is_reported_as_issued(desk: Desk) -> None:
    """The message has the command to export it, so it is not signed twice."""
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
    assert desk.command("license", "export", found["id"][:8]) in ended.stderr.decode()


def test_a_long_name_in_chinese_is_kept(desk: Desk) -> None:
    """The name is stored completely, and its slug is shortened as usual."""
    name = "株" * 200
    [issued] = desk.ok(
        "sign", "--machine-info", desk.machine_info(), "--customer", name, "--json"
    ).json["licenses"]
    assert issued["customer_name"] == name
    assert Path(issued["file"]).name.startswith("zhu" * 21 + "z-prod-1-2027-11-30-")
    assert desk.run("sign", "--customer", name + "株", "--tier", "enterprise").code == 3


def test_the_same_license_gives_the_same_bytes(desk: Desk) -> None:
    """`license export` writes the issued bytes again."""
    [issued] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    again = desk.ok("license", "export", issued["id"], "-o", "-")
    assert again.out == Path(issued["file"]).read_bytes()


def test_the_journal_has_who_signed_what(desk: Desk) -> None:
    """One row has the license, the key, the operator and the document's digest."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    rows = desk.ok("journal", "show", "--json").json["rows"]
    row = next(row for row in rows if row["event"] == "license-signed")
    assert row["operator"] == "Ada"
    assert row["customer"] == "acme-gmbh"
    assert len(json.dumps(row)) < 4000


def test_a_bearer_license_is_reported(desk: Desk) -> None:
    """The preview of an enterprise license for any host states that."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--dry-run")
    assert "any (bearer license)" in desk.ok(*argv).text
    assert "any: the file" not in desk.ok(*argv, "--allowed-domain", "a.b").text


def test_the_default_issuer_is_warned_of(empty_desk: Desk) -> None:
    """Until the issuer is set, every license would have the placeholder."""
    empty_desk.ok("init")
    outcome = empty_desk.run("sign", "--customer", "Globex", "--tier", "enterprise")
    assert "polygent-issue config set issuer NAME" in outcome.err


def test_a_dry_run_checks_the_output_path(desk: Desk) -> None:
    """An output path that would fail is refused by the dry run, too."""
    argv = ("sign", "--machine-info", desk.machine_info(), "--dry-run", "-o", "/nowhere/x.lic")
    assert desk.run(*argv).code == 8
