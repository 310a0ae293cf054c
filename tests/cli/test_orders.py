"""Order ids and notes: what is recorded with the next license."""

import pytest
from support.cli import Desk
from support.many_customers import add_customers_at

ORDER = ("--order-id", "PO-1", "--note", "first deal")
MANY = {"order_id": "PO-1", "note": "first deal"}


def orders(desk: Desk, *argv: str) -> list[tuple[str, str | None, str | None]]:
    """Return status, order id and note of the listed licenses, first issued first."""
    listed = desk.ok("license", "list", "--json", *argv).json["licenses"]
    listed.sort(key=lambda each: each["issued_at"])
    return [(each["status"], each["order_id"], each["note"]) for each in listed]


def test_a_reissue_keeps_the_order_and_a_renewal_does_not(desk: Desk) -> None:
    """A reissue keeps order id and note unless others are given; a renewal has none."""
    first = desk.ok("sign", "--customer", "Acme", "--tier", "enterprise", *ORDER, "--json").json
    assert {name: first["licenses"][0][name] for name in MANY} == MANY
    [file] = desk.output.iterdir()
    assert "PO-1" not in desk.ok("inspect", str(file)).text
    desk.now = desk.now.replace(year=2027, month=11, day=1)
    desk.ok("reissue", "acme")
    desk.now = desk.now.replace(day=2)
    desk.ok("reissue", "acme", "--note", "new file")
    desk.now = desk.now.replace(day=3)
    renewed = desk.ok("renew", "acme", "--order-id", "PO-2")
    assert "\n  order           PO-2\n" in renewed.text
    desk.now = desk.now.replace(year=2028)
    desk.ok("renew", "acme")
    assert orders(desk) == [
        ("replaced", "PO-1", "first deal"),
        ("replaced", "PO-1", "first deal"),
        ("replaced", "PO-1", "new file"),
        ("replaced", "PO-2", None),
        ("current", None, None),
    ]
    rows = desk.ok("journal", "show", "--json").json["rows"]
    details = [row["details"] for row in rows if row["license"]]
    assert {name: details[0][name] for name in MANY} == MANY
    assert "order_id" not in details[-1]
    desk.ok("journal", "verify")


def test_one_license_for_several_keeps_every_order(desk: Desk) -> None:
    """Different order ids are joined; if that is too long, the error names the option."""
    sign = ("sign", "--customer", "Acme", "--tier", "enterprise", "--allowed-domain")
    for number in (1, 2, 2):
        host = f"h{len(list(desk.output.iterdir()))}.acme.example"
        desk.ok(*sign, host, "--order-id", f"PO-{number}")
    reissue = ("reissue", "acme", "--all-machines", "--allowed-domain", "*.acme.example")
    consent = ("--accept", "entitlement-loss", "--reason", "one", "--plan", "enterprise-annual")
    joined = desk.ok(*reissue, *consent, "--dry-run", "--json").json["licenses"]
    assert [each["order_id"] for each in joined] == ["PO-1; PO-2"]
    for number, each in enumerate(desk.ok("license", "list", "--json").json["licenses"]):
        desk.ok("license", "edit", each["id"], "--order-id", f"{number}" * 150)
    refused = desk.run(*reissue, *consent)
    assert refused.code == 3
    assert "the order ids of these licenses are too long together" in refused.err
    assert "give one with --order-id TEXT" in refused.err
    desk.ok(*reissue, *consent, "--order-id", "PO-3")


def test_a_batch_records_the_order_with_each_license(desk: Desk) -> None:
    """The order of the command line is recorded with each license, and is in the report."""
    add_customers_at(desk, range(1, 3))
    report = desk.folder / "report.csv"
    desk.ok("renew", "--due-within", "30d", *ORDER, "--report", str(report))
    header, *rows = report.read_text(encoding="utf-8-sig").splitlines()
    assert header.endswith(',"hint","order_id","note"')
    assert [row.endswith('"PO-1","first deal"') for row in rows] == [True, True]
    assert orders(desk, "--order-id", "po-1") == [("current", *MANY.values())] * 2
    desk.ok("reissue", "--all", "--users", "30")
    assert orders(desk, "--status", "current") == [("current", *MANY.values())] * 2


def test_the_setting_makes_the_order_id_mandatory(desk: Desk) -> None:
    """A first license and a renewal need one, also in a batch; a reissue keeps what it has."""
    add_customers_at(desk, range(1, 3))
    desk.ok("config", "set", "require_order_id", "true")
    for argv in (("sign", "--customer", "Acme", "--tier", "enterprise"), ("renew", "c1")):
        refused = desk.run(*argv, "--json")
        assert refused.code == 3
        error = refused.json["error"]
        assert error["message"] == "an order id is required (setting require_order_id)"
        assert (error["code"], error["hint"]) == ("missing_input", "add --order-id TEXT")
        assert desk.run(*argv, "--order-id", "").code == 3
    assert desk.run("renew", "--due-within", "30d").code == 20
    file = desk.folder / "rows.csv"
    file.write_text("customer,order_id\nc1,PO-7\nc2,\n")
    outcome = desk.run("apply", str(file))
    assert outcome.code == 20
    assert "add order_id TEXT" in outcome.text
    desk.ok("reissue", "c2")
    desk.ok("renew", "c2", "--order-id", "PO-8")
    assert {order for _, order, _ in orders(desk, "--status", "current")} == {"PO-7", "PO-8"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--order-id", "x" * 201), "invalid order id: must have 1 to 200 characters, has 201"),
        (("--order-id", "a\x1b[1m"), "invalid order id: character U+001B is not allowed"),
        (("--note", "x" * 1001), "invalid note: must have 1 to 1,000 characters, has 1,001"),
        (("--note", "a\nb"), "invalid note: character U+000A is not allowed"),
        (("--note", " a"), "invalid note: must not begin or end with U+0020"),
    ],
)
def test_an_invalid_text_is_refused(desk: Desk, argv: tuple[str, str], message: str) -> None:
    """A text for a screen must fit into a line; nothing is issued."""
    refused = desk.run("sign", "--customer", "Acme", "--tier", "enterprise", *argv)
    assert refused.code == 3
    assert message in refused.err
    assert list(desk.output.iterdir()) == []


def test_the_longest_texts_are_accepted(desk: Desk) -> None:
    """200 characters for the order id and 1,000 for the note, and no table breaks."""
    longest = ("--order-id", "ü" * 200, "--note", "n " * 499 + "no")
    desk.ok("sign", "--customer", "Acme", "--tier", "enterprise", *longest)
    assert orders(desk) == [("current", longest[1], longest[3])]


def test_rows_have_orders_but_these_issue_nothing(desk: Desk) -> None:
    """A row's order is recorded when a license is issued; a different one keeps the license."""
    file = desk.folder / "rows.csv"
    first = "customer,tier,plan,users,order_id,note\nAcme,enterprise,enterprise-annual"
    file.write_text(f"{first},5,PO-1,a\n")
    desk.ok("apply", str(file))
    before = orders(desk)
    assert before == [("current", "PO-1", "a")]
    file.write_text(f"{first},5,PO-2,b\n")
    assert desk.ok("apply", str(file)).text == "nothing to do, kept 1\n"
    assert orders(desk) == before
    export = desk.folder / "export.toml"
    desk.ok("registry", "export", "--output", str(export))
    assert '\norder_id = "PO-1"\nnote = "a"\n' in export.read_text(encoding="utf-8")
    assert desk.ok("apply", str(export)).text == "nothing to do, kept 1\n"
    digests = set()
    for order_id in ("PO-2", "PO-3", ""):
        file.write_text(f"{first},6,{order_id},\n")
        lines = desk.ok("apply", str(file), "--dry-run", "--json").json_lines
        digests.add(lines[-1]["summary"]["digest"])
    assert len(digests) == 3
    desk.now = desk.now.replace(month=12)
    desk.ok("apply", str(file))
    assert orders(desk)[-1] == ("current", "PO-1", "a")
    file.write_text(f"{first},7,{'x' * 201},\n")
    assert "order_id: must have 1 to 200 characters" in desk.run("apply", str(file)).text
