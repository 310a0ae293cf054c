"""`polygent-issue report`: what runs now and what changed."""

import csv
import io
import json
from datetime import timedelta

import pytest
from support.cli import Desk

from polygent_issuer.cli.commands import report


@pytest.fixture
def office(desk: Desk) -> Desk:
    """A desk with two customers; one license was renewed today."""
    desk.ok("sign", "--machine-info", desk.machine_info(), "--term", "20d")
    domain = ("--tier", "enterprise", "--allowed-domain", "*.globex.internal")
    desk.ok("sign", "--customer", "Globex", *domain, "--users", "300", after=timedelta(days=5))
    desk.ok("renew", "acme-gmbh", "--users", "30", "--term", "1y", after=timedelta(days=10))
    return desk


def test_the_text_has_each_part(office: Desk) -> None:
    """Totals, what runs, where it runs, expiries, changes and keys."""
    text = office.ok("report").text
    assert "users          330\n" in text
    assert "2026-12-15  renewed  acme-gmbh  " in text
    assert "25→30" in text
    for part in ("*.globex.internal", "by plan", "by tier", "expiries by month", "main  active"):
        assert part in text
    assert "expired" not in text
    first, _ = office.ok("report", "--json").json["licenses"]
    office.ok("license", "sent", first["id"])
    places = office.ok("report").text.partition("where it runs")[2].splitlines()
    assert places[2].split() == ["acme-gmbh", first["id"][:8], "prod-1", "2026-12-15"]


def test_the_period_ends_with_its_last_day(office: Desk) -> None:
    """By default it is the last 30 days; `--until` includes its day."""

    def changed(*argv: str) -> list[str]:
        changes = office.ok("report", "--json", *argv).json["changes"]
        return [f"{each['action']} {each['users_before']} {each['users']}" for each in changes]

    office.now += timedelta(days=20)  # 35 days after the first license
    assert changed() == ["issued 0 300", "renewed 25 30"]
    assert changed("--since", "2026-11-30") == ["issued 0 25", "issued 0 300", "renewed 25 30"]
    assert changed("--since", "2026-12-05", "--until", "2026-12-05") == ["issued 0 300"]
    assert changed("--until", "2026-12-04") == ["issued 0 25"]
    assert changed("--until", "0001-01-02") == []


def test_each_format_goes_to_stdout_and_to_a_file(office: Desk) -> None:
    """`--format`, the ending of the file and `--json` choose the format; all have the same data."""
    rows = list(csv.DictReader(io.StringIO(office.ok("report", "--format", "csv").text)))
    assert [(row["customer"], row["users"], row["allowed_domain"]) for row in rows] == [
        ("acme-gmbh", "30", ""),
        ("globex", "300", "*.globex.internal"),
    ]
    members = office.ok("report", "--json").json
    assert json.loads(office.ok("report", "--format", "json").text) == members
    assert set(rows[0]) == set(members["licenses"][0])
    for name in ("r.csv", "r.json", "r.html", "r.txt"):
        file = office.folder / name
        assert office.ok("report", "--json", "-o", str(file)).json["file"] == str(file)
        assert file.stat().st_mode & 0o777 == 0o600
        form = {"r.txt": "text"}.get(name, name[2:])
        shown = office.ok("report", "--format", form, "-o", "-").out
        assert file.read_bytes().removeprefix(b"\xef\xbb\xbf" if form == "csv" else b"") == shown
    assert (office.folder / "r.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    office.ok("report", "--format", "html", "-o", str(office.folder))
    assert b"<!doctype html>" in (office.folder / "report.html").read_bytes()
    refused = office.run("report", "-o", str(office.folder / "r.csv"))
    assert refused.code == 8
    assert "already exists" in refused.err


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("--json", "--format", "html"), 2, "--json and --format html both use stdout"),
        (("--json", "-o", "-"), 2, "--json and --output - both use stdout"),
        (("--since", "2027-01-01"), 2, "the period of the report is empty"),
        (("--since", "2026-12-02", "--until", "2026-12-01"), 2, "the period of the report is"),
        (("--until", "yesterday"), 3, "not a date or an instant: yesterday"),
        (("--format", "pdf"), 2, "pdf"),
        (("-o", "missing/r.csv"), 8, "does not exist"),
        (("-o", "r.pdf"), 2, "no format of a report ends in .pdf"),
    ],
)
def test_a_wrong_option_is_refused(
    desk: Desk, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Nothing is written, and the message has the reason."""
    refused = desk.run("report", *argv)
    assert refused.code == code
    assert message in refused.err or message.encode() in refused.out


def test_only_the_page_needs_the_extra(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pygal or jinja2 the error has the command that installs them."""
    monkeypatch.setattr(report, "find_spec", lambda name: None if name == "pygal" else name)
    for form in ("text", "csv", "json"):
        desk.ok("report", "--format", form)
    refused = desk.run("report", "--format", "html")
    assert refused.code == 2
    assert "pip install 'polygent-issuer[report]'" in refused.err
