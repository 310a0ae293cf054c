"""Findings of `sign`, and the consent that each needs (guide topic *findings*)."""

from datetime import timedelta

import pytest
from support.cli import Desk

ACCEPTED = ("--accept", "similar-customer", "--reason", "many stores")
OTHER = "sha256:" + "cd" * 32


def refused(desk: Desk, code: str, *argv: str) -> str:
    """Check that the command stops for this code with exit 4; return stderr."""
    outcome = desk.run(*argv)
    assert outcome.code == 4, outcome
    assert f"--accept {code} --reason TEXT" in outcome.err
    as_json = desk.run(*argv, "--json").json["error"]
    assert (as_json["code"], as_json["exit_code"]) == ("consent_needed", 4)
    return outcome.err


def accepted(desk: Desk, code: str, *argv: str) -> None:
    """Check that consent with a reason is accepted, and that the journal has both."""
    assert desk.run(*argv, "--accept", code).code == 4, "off a terminal a reason is required"
    [issued] = desk.ok(*argv, "--accept", code, "--reason", "they asked", "--json").json["licenses"]
    assert issued["accepted"] == [code]
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["accepted"], row["reason"]) == ([code], "they asked")


@pytest.mark.parametrize("age", [timedelta(days=14, seconds=1), -timedelta(minutes=5, seconds=1)])
def test_a_stale_document_needs_consent(desk: Desk, age: timedelta) -> None:
    """A document may be neither too old nor from the future."""
    moment = (desk.now - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    argv = ("sign", "--machine-info", desk.machine_info(generatedAt=moment))
    refused(desk, "stale-machine-info", *argv)
    accepted(desk, "stale-machine-info", *argv)


@pytest.mark.parametrize("age", [timedelta(days=14), -timedelta(minutes=5)])
def test_a_document_at_the_age_limit_is_fresh(desk: Desk, age: timedelta) -> None:
    """A document of exactly 14 days, or 5 minutes ahead, needs no consent."""
    moment = (desk.now - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    desk.ok("sign", "--machine-info", desk.machine_info(generatedAt=moment))


def test_a_machine_of_another_customer_needs_consent(desk: Desk) -> None:
    """The finding names the owner, the date and the document."""
    document = desk.machine_info(customer=None)
    desk.ok("sign", "--machine-info", document, "--customer", "Acme GmbH")
    argv = ("sign", "--machine-info", document, "--customer", "Globex")
    error = refused(desk, "machine-of-another-customer", *argv)
    assert "Acme GmbH (acme-gmbh, machine prod-1) since 2026-11-30T09:30:00Z" in error
    assert "with this document" in error
    accepted(desk, "machine-of-another-customer", *argv)


def test_an_additional_machine_needs_consent(desk: Desk) -> None:
    """The hint is `reissue`, in case the new machine replaces the old one."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    second = desk.machine_info("n.json", fingerprint=OTHER, hostname="prod-2")
    argv = ("sign", "--machine-info", second, "--customer", "acme-gmbh")
    error = refused(desk, "additional-machine", *argv)
    assert "polygent-issue reissue acme-gmbh --machine prod-1 --machine-info FILE" in error
    accepted(desk, "additional-machine", *argv)


def test_a_customer_named_only_in_the_document_needs_consent(desk: Desk) -> None:
    """Without a terminal, a known customer that only the document names needs consent."""
    desk.ok("customer", "add", "Acme GmbH")
    argv = ("sign", "--machine-info", desk.machine_info())
    assert "comes only from the document" in refused(desk, "claimed-customer", *argv)
    accepted(desk, "claimed-customer", *argv)


def test_a_document_that_names_another_customer_needs_consent(desk: Desk) -> None:
    """The machine is registered for Acme, but the document names Globex, another customer."""
    desk.ok("customer", "add", "Globex")
    desk.ok("sign", "--machine-info", desk.machine_info(), "--term", "30d")
    desk.now += timedelta(days=40)
    argv = ("sign", "--machine-info", desk.machine_info(customer="Globex"))
    assert "the document names the customer Globex" in refused(desk, "claimed-customer", *argv)
    named = (*argv, "--customer", "acme-gmbh")
    refused(desk, "claimed-customer", *named)
    accepted(desk, "claimed-customer", *named)


def test_a_customer_named_on_the_command_line_needs_no_consent(desk: Desk) -> None:
    """An option is the operator's decision."""
    desk.ok("customer", "add", "Acme GmbH")
    desk.ok("sign", "--machine-info", desk.machine_info(), "--customer", "Acme GmbH")


@pytest.mark.parametrize("fingerprint", ["sha256:abc", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"])
def test_an_implausible_fingerprint_needs_consent(desk: Desk, fingerprint: str) -> None:
    """The finding is accepted once; a renewal does not ask again."""
    document = desk.machine_info(fingerprint=fingerprint)
    argv = ("sign", "--machine-info", document)
    refused(desk, "implausible-fingerprint", *argv)
    accepted(desk, "implausible-fingerprint", *argv)
    desk.ok("renew", "acme-gmbh", after=timedelta(days=300))
    desk.ok("reissue", "acme-gmbh")


@pytest.mark.parametrize("command", ["renew", "reissue"])
def test_an_implausible_fingerprint_of_a_changed_machine_needs_consent(
    desk: Desk, command: str
) -> None:
    """`renew` and `reissue` check a document in the same way as `sign`."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.now += timedelta(days=300)
    made = (desk.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = desk.machine_info(fingerprint="uninitialized", generatedAt=made)
    argv = (command, "acme-gmbh", "--machine-info", document)
    refused(desk, "implausible-fingerprint", *argv)
    accepted(desk, "implausible-fingerprint", *argv)


@pytest.mark.parametrize("name", ["ACME  gmbh", "Acme Gmbx", "\uff21cme GmbHs"])
def test_a_similar_customer_needs_consent(desk: Desk, name: str) -> None:
    """A name that differs in a letter needs consent; one that differs in case is the same."""
    desk.ok("customer", "add", "Acme GmbH")
    argv = ("sign", "--customer", name, "--tier", "enterprise")
    if name == "ACME  gmbh":
        assert desk.ok(*argv, "--json").json["licenses"][0]["customer"] == "acme-gmbh"
        return
    assert "--customer acme-gmbh" in refused(desk, "similar-customer", *argv)
    accepted(desk, "similar-customer", *argv)


def test_names_that_differ_in_digits_are_not_similar(desk: Desk) -> None:
    """A name with another number needs no consent, wherever the number is."""
    desk.ok("customer", "add", "Store 001")
    for name in ("Store 002", "Store 0012", "Store", "Store 01", "2tore 001"):
        desk.ok("sign", "--customer", name, "--tier", "enterprise")


def test_similar_customer_names_three_and_counts_the_rest(desk: Desk) -> None:
    """The message names three similar customers and counts the others."""
    for letter in "ABCDE":
        desk.ok("customer", "add", f"Store {letter}", *ACCEPTED)
    expected = "very similar to Store A (store-a), Store B (store-b), Store C (store-c) and 2 more"
    for argv in (
        ("sign", "--customer", "Store F", "--tier", "enterprise"),
        ("customer", "add", "Store F"),
    ):
        assert expected in refused(desk, "similar-customer", *argv)


def test_over_three_years_need_consent(desk: Desk) -> None:
    """A term of exactly three years needs no consent."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise")
    assert "licenses cannot be revoked" in refused(desk, "long-term", *argv, "--term", "37mo")
    desk.ok(*argv, "--term", "3y", "--dry-run")
    accepted(desk, "long-term", *argv, "--term", "37mo")


def test_a_clock_behind_the_journal_needs_consent(desk: Desk) -> None:
    """A clock over five minutes before the newest journal row needs consent."""
    desk.ok("customer", "add", "Globex")
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise")
    desk.now -= timedelta(minutes=5)
    desk.ok(*argv, "--dry-run")
    assert desk.ok(*argv, "--dry-run", "--json").json["licenses"][0]["findings"] == []
    desk.now -= timedelta(seconds=1)
    refused(desk, "clock-behind", *argv)
    accepted(desk, "clock-behind", *argv)


def test_consent_without_a_reason_is_refused(desk: Desk) -> None:
    """Without a terminal, `--accept` needs `--reason`, and the hint names it."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--term", "4y")
    outcome = desk.run(*argv, "--accept", "long-term")
    assert outcome.code == 4
    assert "a reason is required to accept long-term" in outcome.err
    assert "hint: add --reason TEXT" in outcome.err


def test_a_dry_run_names_only_findings_without_consent(desk: Desk) -> None:
    """A dry run with consent lists no finding."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--term", "4y", "--dry-run")
    assert "consent needed: --accept long-term" in desk.ok(*argv).text
    assert "it would need" not in desk.ok(*argv, "--accept", "long-term").text


def test_unneeded_consent_is_ignored(desk: Desk) -> None:
    """Consent to a finding that does not occur is neither reported nor recorded."""
    [issued] = desk.ok(
        *("sign", "--machine-info", desk.machine_info(), "--accept", "long-term", "--json"),
        *("--reason", "in case"),
    ).json["licenses"]
    assert issued["accepted"] == []


def test_the_option_yes_accepts_no_finding(desk: Desk) -> None:
    """`--yes` only answers "go ahead?"."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--term", "4y", "--yes")
    refused(desk, "long-term", *argv)


def test_an_unknown_code_is_wrong_usage(desk: Desk) -> None:
    """An unknown code is exit 2, and the hint has the nearest code."""
    outcome = desk.run("sign", "--customer", "X", "--accept", "long-trm")
    assert outcome.code == 2
    assert "--accept long-term" in outcome.err


def test_all_findings_are_reported_together(desk: Desk) -> None:
    """One error names all findings, and one command line accepts them."""
    old = desk.machine_info(generatedAt="2026-01-01T00:00:00Z")
    argv = ("sign", "--machine-info", old, "--term", "4y")
    outcome = desk.run(*argv)
    assert "--accept long-term --accept stale-machine-info --reason TEXT" in outcome.err
    desk.ok(*argv, "--accept", "long-term", "--accept", "stale-machine-info", "--reason", "x")


def test_several_findings_have_lines_of_their_own(desk: Desk) -> None:
    """Each finding is followed by its hint, and one line has the options for all of them."""
    stale = desk.machine_info(generatedAt="2026-11-01T09:30:00Z")
    outcome = desk.run("sign", "--machine-info", stale, "--term", "5y")
    lines = outcome.err.splitlines()
    start = lines.index("error: consent needed for 2 findings")
    assert lines[start + 1].startswith("  stale-machine-info: ")
    assert lines[start + 2].startswith("    hint: ask the customer")
    assert lines[start + 3].startswith("  long-term: ")
    assert lines[start + 4].startswith("    hint: choose --term ")
    accept = "--accept long-term --accept stale-machine-info --reason TEXT"
    assert lines[start + 5 :] == [f"hint: to continue, add {accept}"]
