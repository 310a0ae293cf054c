"""One rule finds a customer in every command (guide topic *customers*)."""

from datetime import UTC, datetime

import pytest
from support.cli import Desk
from support.screen import at_terminal, finish

ENTERPRISE = ("--tier", "enterprise", "--allowed-domain", "*.acme.internal")
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("customer", "show", "{}"),
    ("customer", "edit", "{}", "--crm", "C-1"),
    ("license", "list", "--customer", "{}"),
    ("journal", "show", "--customer", "{}"),
    ("verify", "--customer", "{}", "--host", "a.acme.internal"),
    ("renew", "{}", "--dry-run"),
    ("reissue", "{}", "--dry-run"),
    ("customer", "archive", "{}", "--reason", "left"),
    ("customer", "archive", "{}", "--undo"),
    ("customer", "merge", "{}", "globex", "--reason", "one company", "--yes"),
)
"""Every command that takes a customer's name."""


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A desk with Müller & Söhne GmbH, who has a license, and Globex."""
    desk.ok("sign", "--customer", "M\u00fcller & S\u00f6hne GmbH", *ENTERPRISE, "--term", "60d")
    desk.ok("customer", "add", "Globex")
    return desk


def rows(desk: Desk, *names: str) -> str:
    """Write an apply file with an enterprise license for each name; return its path."""
    path = desk.folder / "rows.csv"
    path.write_text("customer,tier\n" + "".join(f"{name},enterprise\n" for name in names))
    return str(path)


def put(command: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Return a command with a customer's name."""
    return tuple(word.format(name) for word in command)


@pytest.mark.parametrize(
    "name", ["muller-sohne-gmbh", "MUELLER &  soehne", "Muller Sohne G.m.b.H."]
)
def test_every_command_finds_a_customer_by_its_name(desk: Desk, name: str) -> None:
    """Without a terminal, too: case, spacing, punctuation, accents and a missing form."""
    for command in COMMANDS:
        desk.ok(*put(command, name))


def test_a_script_gets_the_candidates_of_a_beginning(desk: Desk) -> None:
    """A beginning, and another legal form, are exit 5 with the customer in the hint."""
    for command in COMMANDS:
        for name in ("m\u00fcll", "Mueller Soehne AG"):
            error = desk.run(*put(command, name), "--json").json["error"]
            assert (error["exit_code"], error["code"]) == (5, "not_found"), command
            assert error["hint"].startswith("did you mean muller-sohne-gmbh?"), command
    assert desk.ok("customer", "show", "M\u00fcller & S\u00f6hne GmbH", "--json").json["licenses"]


def test_sign_and_apply_find_a_customer_before_they_add_one(desk: Desk) -> None:
    """A matching name is the known customer; any other one is NEW in every preview."""
    argv = ("sign", "--customer", "mueller soehne", "--tier", "enterprise", "--dry-run")
    assert "NEW" not in desk.ok(*argv).text
    (proposed,) = desk.ok(*argv, "--json").json["licenses"]
    assert (proposed["customer"], proposed["new_customer"]) == ("muller-sohne-gmbh", False)
    argv = ("sign", "--customer", "Initech", "--tier", "enterprise", "--dry-run")
    assert "Initech (initech, NEW)" in desk.ok(*argv).text
    assert desk.ok(*argv, "--json").json["licenses"][0]["new_customer"] is True
    file = rows(desk, "Initech", "GLOBEX LTD", "Glob")
    preview = desk.ok("apply", file, "--dry-run").text.splitlines()
    new = {line.split()[0] for line in preview if "NEW" in line}
    assert new == {"initech", "glob"}, "a beginning never counts"
    lines = desk.ok("apply", file, "--dry-run", "--json").json_lines[:3]
    assert [line["licenses"][0]["new_customer"] for line in lines] == [True, False, True]
    desk.ok("apply", file)
    slugs = [each["slug"] for each in desk.ok("customer", "list", "--json").json["customers"]]
    assert slugs == ["glob", "globex", "initech", "muller-sohne-gmbh"]


def test_an_archived_customer_is_refused_by_name(desk: Desk) -> None:
    """Its name does not make a second customer."""
    desk.ok("customer", "archive", "globex", "--reason", "left")
    for command in (("sign", "--customer", "GLOBEX AG", *ENTERPRISE), ("renew", "globex inc")):
        error = desk.run(*command, "--json").json["error"]
        assert error["code"] == "customer_archived"
        assert error["message"].startswith("Globex was archived at ")
    outcome = desk.run("apply", rows(desk, "Globex Ltd"), "--dry-run", "--json")
    assert outcome.json_lines[0]["error"]["code"] == "customer_archived"


def test_several_matches_are_listed(desk: Desk) -> None:
    """Two customers that match are exit 5 in `sign` and in a row, too; nothing is added."""
    reason = ("--accept", "similar-customer", "--reason", "two companies")
    desk.ok("customer", "add", "Acme GmbH")
    desk.ok("customer", "add", "Acme Inc", *reason)
    hint = "give one of acme-gmbh (Acme GmbH), acme-inc (Acme Inc)"
    for command in (("sign", "--customer", "acme", *ENTERPRISE), ("customer", "show", "acme")):
        error = desk.run(*command, "--json").json["error"]
        assert (error["exit_code"], error["code"], error["hint"]) == (5, "ambiguous", hint)
    outcome = desk.run("apply", rows(desk, "acme"), "--dry-run", "--json")
    assert outcome.json_lines[0]["error"]["hint"] == hint


def test_a_document_may_name_the_customer_by_any_matching_name(desk: Desk) -> None:
    """A name of other customers is a finding, even of several; another spelling is not."""
    desk.ok("customer", "add", "Acme GmbH")
    desk.ok("customer", "add", "Acme Inc", "--accept", "similar-customer", "--reason", "two")
    for name, customer, named in (
        ("GLOBEX Ltd.", "globex", None),
        ("acme", "acme-inc", None),
        ("acme", "globex", "Acme GmbH, Acme Inc"),
    ):
        document = desk.machine_info(customer=name)
        argv = ("sign", "--machine-info", document, "--customer", customer, "--dry-run", "--json")
        findings = desk.ok(*argv).json["licenses"][0]["findings"]
        expected = [f"the document names the customer {named}, but the license is for Globex"]
        assert [each["message"] for each in findings] == (expected if named else [])


def test_a_beginning_is_shown_at_a_terminal_before_anything_happens(desk: Desk) -> None:
    """Even with `--quiet`; several candidates are an error."""
    secret = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)}
    desk.now = datetime.now(UTC)
    desk.ok("customer", "add", "M\u00fcllerei")
    argv = ("customer", "archive", "glo", "--reason", "left", "--quiet", "--yes")
    code, screen = finish(at_terminal(desk.home, *argv, **secret))
    assert code == 0
    assert screen.index("glo is Globex (globex)") < screen.index("archived Globex")
    code, screen = finish(at_terminal(desk.home, "renew", "muell", **secret))
    assert code == 5
    assert "several customers match muell" in screen
