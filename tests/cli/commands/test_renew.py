"""`polygent-issue renew`, without a terminal."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk

OTHER = "sha256:" + "cd" * 32
CONSENT = ("--accept", "not-due", "--reason", "early")


def signed(desk: Desk, *argv: str, **members: Any) -> dict[str, Any]:
    """Sign a first license for the document's machine."""
    document = desk.machine_info(f"{len(list(desk.folder.iterdir()))}.json", **members)
    [issued] = desk.ok("sign", "--machine-info", document, *argv, "--json").json["licenses"]
    return dict(issued)


def renewed(desk: Desk, *argv: str) -> dict[str, Any]:
    """Return the one license that `renew` issues."""
    [issued] = desk.ok("renew", *argv, "--json").json["licenses"]
    return dict(issued)


def test_the_next_license_starts_where_the_old_one_ends(desk: Desk) -> None:
    """Machine and terms are kept, the term starts at the old expiry, one is replaced."""
    old = signed(desk, "--users", "12")
    desk.now += timedelta(days=330)
    new = renewed(desk, "acme-gmbh")
    assert new["expires_at"] == "2028-12-01T00:00:00Z"
    assert new["replaces"] == [old["id"]]
    for claim in ("machineFingerprint", "features", "limits", "tier", "customer", "sub"):
        assert new["claims"][claim] == old["claims"][claim]
    assert new["changes"] == []
    assert Path(new["file"]).is_file()


def test_old_and_new_are_shown(desk: Desk) -> None:
    """The dates, the changes and the validity of the old file are shown."""
    old = signed(desk)
    desk.now += timedelta(days=330)
    text = desk.ok("renew", "acme-gmbh", "--users", "30", "--add-feature", "insights").text
    assert "2027-12-01T00:00:00Z → 2028-12-01T00:00:00Z, last full day 2028-11-30" in text
    assert "→ 30" in text
    assert f"the old file {old['id'][:8]} stays valid until 2027-12-01T00:00:00Z" in text


def test_an_expired_license_starts_now(desk: Desk) -> None:
    """After the expiry the term starts now, unless `--from` sets the start."""
    signed(desk)
    desk.now += timedelta(days=400)  # 2028-01-04
    assert renewed(desk, "acme-gmbh", "--dry-run")["expires_at"] == "2029-01-05T00:00:00Z"
    assert (
        renewed(desk, "acme-gmbh", "--dry-run", "--from", "expiry")["expires_at"]
        == "2028-12-01T00:00:00Z"
    )
    assert (
        renewed(desk, "acme-gmbh", "--dry-run", "--from", "2028-01-01")["expires_at"]
        == "2029-01-01T00:00:00Z"
    )


def test_from_now_needs_no_consent(desk: Desk) -> None:
    """Days lost with an explicit `--from now` need no consent."""
    signed(desk)
    desk.now += timedelta(days=330)
    issued = renewed(desk, "acme-gmbh", "--from", "now", "--term", "1d", "--dry-run")
    assert issued["expires_at"] == "2026-10-28T00:00:00Z".replace("2026", "2027")
    assert issued["findings"] == []


def test_an_early_renewal_needs_consent(desk: Desk) -> None:
    """More than 90 days before the expiry consent is needed; at 90 days it is not."""
    signed(desk, "--expires", "2027-03-01T09:30:00Z")
    outcome = desk.run("renew", "acme-gmbh")
    assert outcome.code == 4
    assert "--accept not-due --reason TEXT" in outcome.err
    assert "polygent-issue reissue acme-gmbh" in outcome.err
    desk.now += timedelta(days=1)
    assert renewed(desk, "acme-gmbh", "--term", "1y", "--dry-run")["findings"] == []


def test_the_term_that_was_sold_is_kept(desk: Desk) -> None:
    """The term is that of the option or the license; a later edit of the plan is ignored."""
    signed(desk, "--term", "6mo")
    desk.ok("config", "set", "plans.standard-annual.term", "2y")
    desk.ok("config", "set", "plans.standard-annual.users", "3")
    desk.now += timedelta(days=170)
    issued = renewed(desk, "acme-gmbh", "--dry-run")
    assert (issued["term"], issued["changes"]) == ("6mo", [])
    assert renewed(desk, "acme-gmbh", "--term", "90d", "--dry-run")["term"] == "90d"


def test_a_trial_needs_a_plan_or_a_term(desk: Desk) -> None:
    """A plan that is not renewable is exit 3; `--plan` makes it a contract."""
    signed(desk, "--plan", "trial")
    desk.now += timedelta(days=20)
    outcome = desk.run("renew", "acme-gmbh")
    assert outcome.code == 3
    assert "--plan PLAN" in outcome.err
    issued = renewed(desk, "acme-gmbh", "--plan", "standard-annual")
    assert (issued["plan"], issued["term"]) == ("standard-annual", "1y")
    desk.now += timedelta(days=340)
    assert renewed(desk, "acme-gmbh", "--dry-run")["term"] == "1y"


def test_a_loss_by_a_plan_is_a_finding(desk: Desk) -> None:
    """Users and features lost by a lower plan were not typed, so they need consent."""
    signed(desk, "--users", "500", "--feature", "planner", "--feature", "bots")
    desk.now += timedelta(days=330)
    assert renewed(desk, "acme-gmbh", "--users", "25", "--dry-run")["findings"] == []
    named = ("--users", "25", "--remove-feature", "bots")
    assert renewed(desk, "acme-gmbh", *named, "--dry-run")["findings"] == []
    outcome = desk.run("renew", "acme-gmbh", "--plan", "trial", "--term", "1y")
    assert outcome.code == 4
    assert "users (5 instead of 500)" in outcome.err
    assert "--accept entitlement-loss" in outcome.err


def test_several_licenses_are_renewed_together_or_named(desk: Desk) -> None:
    """Without terms all current licenses are renewed; with terms one must be selected."""
    signed(desk)
    add = ("--customer", "acme-gmbh", "--accept", "additional-machine", "--reason", "x")
    signed(desk, *add, fingerprint=OTHER, hostname="prod-2")
    desk.now += timedelta(days=330)
    both = desk.ok("renew", "acme-gmbh", "--dry-run", "--json").json["licenses"]
    assert [each["machine"] for each in both] == ["prod-1", "prod-2"]
    outcome = desk.run("renew", "acme-gmbh", "--users", "9")
    assert outcome.code == 5
    assert "--machine prod-1" in outcome.err
    assert "--machine prod-2" in outcome.err
    assert renewed(desk, "acme-gmbh", "--users", "9", "--machine", "prod-2")["machine"] == "prod-2"
    every = desk.ok("renew", "acme-gmbh", "--users", "9", "--all-machines", "--dry-run", "--json")
    assert len(every.json["licenses"]) == 2


def test_all_licenses_of_a_customer_are_renewed_or_none(desk: Desk) -> None:
    """If one of several licenses of a customer cannot be issued, none is."""
    signed(desk)
    add = ("--customer", "acme-gmbh", "--accept", "additional-machine", "--reason", "x")
    signed(desk, *add, fingerprint=OTHER, hostname="prod-2")
    desk.now += timedelta(days=330)
    assert desk.run("renew", "acme-gmbh", "--output", str(desk.output / "one.lic")).code == 2
    licenses = desk.ok("license", "list", "--json").json["licenses"]
    assert {each["status"] for each in licenses} == {"current"}


def test_a_failed_customer_does_not_stop_the_others(desk: Desk) -> None:
    """Several customers are a batch; one that fails makes it exit 20."""
    old = signed(desk)
    desk.now += timedelta(days=330)
    outcome = desk.run("renew", "acme-gmbh", "unknown")
    assert outcome.code == 20
    assert "unknown  " in outcome.text
    licenses = desk.ok("license", "list", "--json").json["licenses"]
    assert {each["id"]: each["status"] for each in licenses}[old["id"]] == "replaced"
    assert desk.run("renew", "acme-gmbh", "unknown").code == 20
    assert len(desk.ok("license", "list", "--json").json["licenses"]) == 2


def test_a_document_needs_one_machine(desk: Desk) -> None:
    """A document for two customers or two machines is exit 2."""
    signed(desk)
    desk.ok("sign", "--customer", "Globex", "--tier", "enterprise")
    document = desk.machine_info("n.json", fingerprint=OTHER)
    both = ("renew", "acme-gmbh", "globex", *CONSENT, "--machine-info", document)
    for argv in (both, ("renew", "acme-gmbh", "--all-machines", "--machine-info", document)):
        outcome = desk.run(*argv)
        assert outcome.code == 2
        assert "describes one machine" in outcome.err


def test_selection_options_are_mutually_exclusive(desk: Desk) -> None:
    """Two options that select a license are exit 2."""
    old = signed(desk)
    which = ("--license", old["id"], "--machine", "prod-1")
    assert desk.run("renew", "acme-gmbh", *which).code == 2
    assert desk.run("renew", "acme-gmbh", "--all-machines", "--machine", "prod-1").code == 2
    assert desk.run("renew", "acme-gmbh", "globex", "--license", old["id"]).code == 2


def test_a_long_expired_license_must_be_selected(desk: Desk) -> None:
    """More than 90 days after the expiry the hint names the license."""
    old = signed(desk)
    desk.now += timedelta(days=366 + 91)
    outcome = desk.run("renew", "acme-gmbh")
    assert outcome.code == 5
    assert f"--license {old['id'][:8]}" in outcome.err
    assert renewed(desk, "acme-gmbh", "--license", old["id"][:8])["replaces"] == [old["id"]]


def test_a_replaced_license_is_not_renewed(desk: Desk) -> None:
    """Selecting a replaced license is exit 3."""
    old = signed(desk)
    desk.now += timedelta(days=330)
    renewed(desk, "acme-gmbh")
    outcome = desk.run("renew", "acme-gmbh", "--license", old["id"])
    assert outcome.code == 3
    assert "is replaced" in outcome.err


def test_a_new_name_goes_into_the_next_license(desk: Desk) -> None:
    """The preview shows a name changed by `customer edit --name`."""
    signed(desk)
    desk.ok("customer", "edit", "acme-gmbh", "--name", "Acme AG")
    desk.now += timedelta(days=330)
    issued = renewed(desk, "acme-gmbh")
    assert issued["claims"]["customer"] == "Acme AG"
    assert {"name": "customer", "old": "Acme GmbH", "new": "Acme AG"} in issued["changes"]
    assert issued["claims"]["sub"] == "acme-gmbh"


def test_standard_becomes_enterprise_and_back(desk: Desk) -> None:
    """An enterprise license has no machine; a standard one needs a document again."""
    signed(desk)
    desk.now += timedelta(days=330)
    issued = renewed(desk, "acme-gmbh", "--tier", "enterprise", "--add-feature", "sso-saml")
    assert "machineFingerprint" not in issued["claims"]
    back = ("renew", "acme-gmbh", "--tier", "standard", "--remove-feature", "sso-saml", *CONSENT)
    outcome = desk.run(*back)
    assert outcome.code == 3
    assert "--machine-info FILE" in outcome.err


@pytest.mark.sqlite("edits rows of the file")
def test_an_edited_row_changes_no_license(desk: Desk) -> None:
    """A row that does not match the journal issues nothing."""
    signed(desk)
    database = sqlite3.connect(desk.home / "registry.db")
    with database:
        database.execute("UPDATE machines SET fingerprint = 'sha256:evil0000'")
        database.execute(
            "UPDATE licenses SET tier = 'enterprise', expires_at = expires_at + 864000"
        )
    database.close()
    desk.now += timedelta(days=330)
    assert desk.run("renew", "acme-gmbh").code == 7
    assert len(desk.ok("license", "list", "--json").json["licenses"]) == 1
    assert desk.run("journal", "verify").code == 7


@pytest.mark.sqlite("edits rows of the file")
def test_a_stored_file_that_was_changed_is_refused(desk: Desk) -> None:
    """A stored file that fails verification with its pinned key issues nothing."""
    signed(desk)
    database = sqlite3.connect(desk.home / "registry.db")
    with database:
        database.execute("UPDATE licenses SET file = CAST(replace(file, 'a', 'b') AS BLOB)")
    database.close()
    desk.now += timedelta(days=330)
    outcome = desk.run("renew", "acme-gmbh")
    assert outcome.code == 7
    assert "polygent-issue journal verify" in outcome.err


@pytest.mark.parametrize("argv", [("unknown",), ("acme-gmb",)])
def test_a_script_must_give_the_full_name(desk: Desk, argv: tuple[str, ...]) -> None:
    """Without a terminal a prefix is exit 5, with the nearest name."""
    signed(desk)
    outcome = desk.run("renew", *argv)
    assert outcome.code == 5
    if argv == ("acme-gmb",):
        assert "acme-gmbh" in outcome.err


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("expry", "did you mean --from expiry?"),
        ("noww", "did you mean --from now?"),
        ("1.1.2028", "--from expiry, --from now, or write a date as 2027-11-30"),
    ],
)
def test_a_mistyped_start_is_explained(desk: Desk, typed: str, hint: str) -> None:
    """A wrong `--from` lists the words and the form of a date."""
    outcome = desk.run("renew", "acme-gmbh", "--from", typed, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["hint"].startswith(hint)
