"""A clock that is behind the journal's newest row: each change needs consent."""

from datetime import timedelta

import pytest
from support.cli import Desk

CHANGES = (
    *("customer add Initech", "customer edit acme-gmbh --crm B-2", "customer hold acme-gmbh"),
    *("customer archive acme-gmbh", "customer merge globex acme-gmbh"),
    *("license edit {license} --note A", "license sent {license}", "license retire {license}"),
    "key retire main --compromised",
)


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_needs_consent(desk: Desk, change: str) -> None:
    """Without consent it is exit 4 and nothing changes; the journal has the consent."""
    desk.ok("customer", "add", "Globex")
    issued = desk.ok("sign", "--machine-info", desk.machine_info(), "--yes", "--json").json
    desk.now -= timedelta(days=30)
    argv = (*change.format(license=issued["licenses"][0]["id"]).split(), "--reason", "battery")
    before = desk.ok("journal", "show", "--json").json["rows"]
    refused = desk.run(*argv)
    assert (refused.code, "clock-behind" in refused.err) == (4, True)
    assert desk.ok("journal", "show", "--json").json["rows"] == before
    desk.ok(*argv, "--accept", "clock-behind")
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["accepted"], row["reason"]) == (["clock-behind"], "battery")
