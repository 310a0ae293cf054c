"""What `sign` finds risky, and the consent that it needs (DESIGN, "Findings and consent")."""

from datetime import timedelta

import pytest
from support.cli import Desk

ACCEPTED = ("--accept", "similar-customer", "--reason", "many stores")
OTHER = "sha256:" + "cd" * 32


def refused(desk: Desk, code: str, *argv: str) -> str:
    """The command stops for this code with exit 4; what stderr said."""
    outcome = desk.run(*argv)
    assert outcome.code == 4, outcome
    assert f"--accept {code} --reason TEXT" in outcome.err
    as_json = desk.run(*argv, "--json").json["error"]
    assert (as_json["code"], as_json["exit_code"]) == ("consent_needed", 4)
    return outcome.err


def accepted(desk: Desk, code: str, *argv: str) -> None:
    """With consent and a reason it goes through, and the journal keeps both."""
    assert desk.run(*argv, "--accept", code).code == 4, "off a terminal a reason is required"
    [issued] = desk.ok(*argv, "--accept", code, "--reason", "they asked", "--json").json["licenses"]
    assert issued["accepted"] == [code]
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["accepted"], row["reason"]) == ([code], "they asked")


@pytest.mark.parametrize("age", [timedelta(days=14, seconds=1), -timedelta(minutes=5, seconds=1)])
def test_stale_machine_info(desk: Desk, age: timedelta) -> None:
    """A document that is too old, or of the future."""
    moment = (desk.now - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    argv = ("sign", "--machine-info", desk.machine_info(generatedAt=moment))
    refused(desk, "stale-machine-info", *argv)
    accepted(desk, "stale-machine-info", *argv)


@pytest.mark.parametrize("age", [timedelta(days=14), -timedelta(minutes=5)])
def test_fresh_to_the_second(desk: Desk, age: timedelta) -> None:
    """Both limits themselves are fresh."""
    moment = (desk.now - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    desk.ok("sign", "--machine-info", desk.machine_info(generatedAt=moment))


def test_machine_of_another_customer(desk: Desk) -> None:
    """Who has it, since when, and that it is the same document."""
    document = desk.machine_info(customer=None)
    desk.ok("sign", "--machine-info", document, "--customer", "Acme GmbH")
    argv = ("sign", "--machine-info", document, "--customer", "Globex")
    told = refused(desk, "machine-of-another-customer", *argv)
    assert "Acme GmbH (acme-gmbh, machine prod-1) since 2026-11-30T09:30:00Z" in told
    assert "the same document" in told
    accepted(desk, "machine-of-another-customer", *argv)


def test_additional_machine(desk: Desk) -> None:
    """The hint reissues, in case the new machine replaces the old one."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    second = desk.machine_info("n.json", fingerprint=OTHER, hostname="prod-2")
    argv = ("sign", "--machine-info", second, "--customer", "acme-gmbh")
    told = refused(desk, "additional-machine", *argv)
    assert "polygent-issue reissue acme-gmbh --machine prod-1 --machine-info FILE" in told
    accepted(desk, "additional-machine", *argv)


def test_claimed_customer(desk: Desk) -> None:
    """Off a terminal a document's word for a known customer is not enough."""
    desk.ok("customer", "add", "Acme GmbH")
    argv = ("sign", "--machine-info", desk.machine_info())
    assert "comes only from the document" in refused(desk, "claimed-customer", *argv)
    accepted(desk, "claimed-customer", *argv)


def test_a_document_that_names_another_customer_than_the_registry(desk: Desk) -> None:
    """The machine is known as Acme's; the sender says Globex, who is known too."""
    desk.ok("customer", "add", "Globex")
    desk.ok("sign", "--machine-info", desk.machine_info(), "--term", "30d")
    desk.now += timedelta(days=40)
    argv = ("sign", "--machine-info", desk.machine_info(customer="Globex"))
    told = refused(desk, "claimed-customer", *argv)
    assert "the document names the customer Globex" in told
    named = (*argv, "--customer", "acme-gmbh")
    refused(desk, "claimed-customer", *named)
    accepted(desk, "claimed-customer", *named)


def test_a_named_customer_is_no_claim(desk: Desk) -> None:
    """What the operator typed is a decision."""
    desk.ok("customer", "add", "Acme GmbH")
    desk.ok("sign", "--machine-info", desk.machine_info(), "--customer", "Acme GmbH")


@pytest.mark.parametrize("fingerprint", ["sha256:abc", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"])
def test_implausible_fingerprint(desk: Desk, fingerprint: str) -> None:
    """Judged where the document is recorded; once accepted, a renewal does not ask again."""
    document = desk.machine_info(fingerprint=fingerprint)
    argv = ("sign", "--machine-info", document)
    refused(desk, "implausible-fingerprint", *argv)
    accepted(desk, "implausible-fingerprint", *argv)
    desk.ok("renew", "acme-gmbh", after=timedelta(days=300))
    desk.ok("reissue", "acme-gmbh")


@pytest.mark.parametrize("command", ["renew", "reissue"])
def test_implausible_fingerprint_of_a_changed_machine(desk: Desk, command: str) -> None:
    """A document given to renew or reissue is judged as one given to sign."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.now += timedelta(days=300)
    made = (desk.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = desk.machine_info(fingerprint="uninitialized", generatedAt=made)
    argv = (command, "acme-gmbh", "--machine-info", document)
    refused(desk, "implausible-fingerprint", *argv)
    accepted(desk, "implausible-fingerprint", *argv)


@pytest.mark.parametrize("name", ["ACME  gmbh", "Acme Gmbx", "\uff21cme GmbHs"])
def test_similar_customer(desk: Desk, name: str) -> None:
    """Case, NFKC, spacing and one letter make a slip likely; equal under folding is the same."""
    desk.ok("customer", "add", "Acme GmbH")
    argv = ("sign", "--customer", name, "--tier", "enterprise")
    if name == "ACME  gmbh":
        assert desk.ok(*argv, "--json").json["licenses"][0]["customer"] == "acme-gmbh"
        return
    assert "--customer acme-gmbh" in refused(desk, "similar-customer", *argv)
    accepted(desk, "similar-customer", *argv)


def test_names_that_differ_in_digits_are_not_similar(desk: Desk) -> None:
    """A digit is not a slip: no consent for another number, at the end or anywhere."""
    desk.ok("customer", "add", "Store 001")
    for name in ("Store 002", "Store 0012", "Store", "Store 01", "2tore 001"):
        desk.ok("sign", "--customer", name, "--tier", "enterprise")


def test_similar_customer_names_three_and_counts_the_rest(desk: Desk) -> None:
    """A name like many others gives a short message, for a license and for a customer alone."""
    for letter in "ABCDE":
        desk.ok("customer", "add", f"Store {letter}", *ACCEPTED)
    expected = "very similar to Store A (store-a), Store B (store-b), Store C (store-c) and 2 more"
    for argv in (
        ("sign", "--customer", "Store F", "--tier", "enterprise"),
        ("customer", "add", "Store F"),
    ):
        assert expected in refused(desk, "similar-customer", *argv)


def test_long_term(desk: Desk) -> None:
    """Over three years; three years themselves are not."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise")
    assert "licenses cannot be revoked" in refused(desk, "long-term", *argv, "--term", "37mo")
    desk.ok(*argv, "--term", "3y", "--dry-run")
    accepted(desk, "long-term", *argv, "--term", "37mo")


def test_clock_behind(desk: Desk) -> None:
    """A clock more than five minutes before the newest journal row."""
    desk.ok("customer", "add", "Globex")
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise")
    desk.now -= timedelta(minutes=5)
    desk.ok(*argv, "--dry-run")
    assert desk.ok(*argv, "--dry-run", "--json").json["licenses"][0]["findings"] == []
    desk.now -= timedelta(seconds=1)
    refused(desk, "clock-behind", *argv)
    accepted(desk, "clock-behind", *argv)


def test_a_reason_is_missing(desk: Desk) -> None:
    """Accepted without a reason off a terminal: what is missing is the reason, and that is said."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--term", "4y")
    outcome = desk.run(*argv, "--accept", "long-term")
    assert outcome.code == 4
    assert "a reason is required to accept long-term" in outcome.err
    assert "hint: add --reason TEXT" in outcome.err


def test_a_dry_run_names_only_what_is_not_accepted(desk: Desk) -> None:
    """With the consent given it needs nothing more."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--term", "4y", "--dry-run")
    assert "it would need --accept long-term" in desk.ok(*argv).text
    assert "it would need" not in desk.ok(*argv, "--accept", "long-term").text


def test_consent_that_is_not_needed_is_harmless(desk: Desk) -> None:
    """It is neither asked about nor kept."""
    [issued] = desk.ok(
        *("sign", "--machine-info", desk.machine_info(), "--accept", "long-term", "--json"),
        *("--reason", "in case"),
    ).json["licenses"]
    assert issued["accepted"] == []


def test_yes_accepts_no_finding(desk: Desk) -> None:
    """`--yes` answers "go ahead?" and nothing else."""
    argv = ("sign", "--customer", "Globex", "--tier", "enterprise", "--term", "4y", "--yes")
    refused(desk, "long-term", *argv)


def test_an_unknown_code_is_wrong_usage(desk: Desk) -> None:
    """With the nearest code."""
    outcome = desk.run("sign", "--customer", "X", "--accept", "long-trm")
    assert outcome.code == 2
    assert "--accept long-term" in outcome.err


def test_findings_come_together(desk: Desk) -> None:
    """One refusal names all of them, and one command line accepts all."""
    old = desk.machine_info(generatedAt="2026-01-01T00:00:00Z")
    argv = ("sign", "--machine-info", old, "--term", "4y")
    outcome = desk.run(*argv)
    assert "--accept long-term --accept stale-machine-info --reason TEXT" in outcome.err
    desk.ok(*argv, "--accept", "long-term", "--accept", "stale-machine-info", "--reason", "x")
