"""The runbook for merging two customers."""

import pytest
from support.cli import Desk
from support.runbooks import blocks, walk


def test_two_customers_merge(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """All licenses belong to one customer with both names; the reissued file has the new one."""
    monkeypatch.chdir(desk.folder)
    desk.ok("sign", "--machine-info", desk.machine_info(customer="Acme"))
    other = desk.machine_info("gx.json", customer="Globex", hostname="gx", fingerprint="ce" * 32)
    desk.ok("sign", "--machine-info", other)
    (block,) = blocks("Two customers merge")
    merged, shown, reissued, verified = walk(desk, block)
    assert "polygent-issue reissue acme --license" in merged.text
    assert "aliases" in shown.text
    assert "gx" in shown.text
    assert "customer slug  globex → acme\n" in reissued.text
    assert verified.text.count(": accepted\n") == 2
    assert desk.ok("license", "list", "--customer", "globex").text.count("current") == 2
    assert desk.ok("journal", "verify").code == 0
