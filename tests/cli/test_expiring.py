"""`polygent-issue expiring`: who is due."""

from datetime import date, timedelta
from typing import Any

import pytest
from icalendar import Calendar
from support.cli import Desk
from support.licenses import Books

from polygent_issuer.registry import LicenseRecord


@pytest.mark.parametrize(
    ("left", "milestone"),
    [
        (timedelta(days=31), None),
        (timedelta(days=30), 30),
        (timedelta(days=14), 14),
        (timedelta(days=7), 7),
        (timedelta(days=1), 1),
        (timedelta(0), 1),
    ],
)
def test_milestones_are_the_products(desk: Desk, left: timedelta, milestone: int | None) -> None:
    """30, 14, 7 and 1 days, each from the very moment on."""
    argv = ("sign", "--machine-info", desk.machine_info(), "--expires", "2027-06-01T09:30:00Z")
    [issued] = desk.ok(*argv, "--json").json["licenses"]
    desk.now = desk.now.replace(year=2027, month=6, day=1) - left
    found = desk.ok("expiring", "--json").json["licenses"]
    if milestone is None:
        assert found == []
        return
    assert [(each["id"], each["alert_days"]) for each in found] == [(issued["id"], milestone)]
    assert found[0]["expired"] is (left == timedelta(0))
    assert "1 days" not in desk.ok("expiring").text


def test_every_command_counts_the_same_days(desk: Desk) -> None:
    """A begun day counts: what `sign` announces is what `expiring` and a refusal say."""
    text = desk.ok("sign", "--machine-info", desk.machine_info()).text
    assert "2027-12-01T00:00:00Z, last full day 2027-11-30; 366 days from now" in text
    assert desk.ok("expiring", "--within", "2y", "--json").json["licenses"][0]["days_left"] == 366
    refused = desk.run("renew", "acme-gmbh")
    assert refused.code == 4
    assert "still runs for 366 days, over 90" in refused.err
    desk.now = desk.now.replace(year=2027)
    text = desk.ok("reissue", "acme-gmbh", "--dry-run").text
    assert "; 1 day from now" in text


def test_the_first_to_end_comes_first_with_the_command(desk: Desk) -> None:
    """A table, and `renew` with the slugs."""
    for number, day in enumerate(("2026-12-24", "2026-12-20", "2027-01-20")):
        name = f"Customer {'ABC'[number] * 5}"
        desk.ok("sign", "--customer", name, "--tier", "enterprise", "--expires", day)
    text = desk.ok("expiring").text
    assert text.index("customer-bbbbb") < text.index("customer-aaaaa")
    assert "customer-ccccc" not in text
    assert "polygent-issue renew customer-bbbbb customer-aaaaa" in text
    assert "customer-ccccc" in desk.ok("expiring", "--within", "6mo").text


def test_trials_and_the_long_lapsed_are_renewed_by_name(desk: Desk) -> None:
    """The line that renews all holds only what it can renew; the others have their own."""
    enterprise = ("--tier", "enterprise")
    desk.ok("sign", "--customer", "Aaaa", *enterprise, "--term", "30d")
    desk.now += timedelta(days=125)
    document = desk.machine_info(customer="Tttt")
    [trial] = desk.ok("sign", "--machine-info", document, "--plan", "trial", "--json").json[
        "licenses"
    ]
    desk.ok("sign", "--customer", "Bbbb", *enterprise, "--term", "20d")
    text = desk.ok("expiring", "--within", "60d").text
    assert "to renew: polygent-issue renew bbbb\n" in text
    assert f"polygent-issue renew tttt --license {trial['id'][:8]} --plan PLAN" in text
    [line] = [line for line in text.splitlines() if "renew aaaa --license" in line]
    desk.ok(*line.partition("polygent-issue ")[2].split(), "--dry-run")


def test_nothing_is_due(desk: Desk) -> None:
    """Said in words, exit 0."""
    assert "nothing expires until" in desk.ok("expiring").text
    assert desk.run("expiring", "--within", "soon").code == 3


def test_what_is_not_due_is_not_renewed_beside(books: Books) -> None:
    """Of two machines the one that is due is named, so that nobody is asked about the other."""
    acme = books.customer()
    soon, later = (books.desk.now + timedelta(days=days) for days in (10, 300))
    due = books.license(acme, books.machine(acme), expires_at=soon)
    books.license(acme, books.machine(acme, "db", "cd" * 32), expires_at=later)
    books.license(books.customer("Globex AG", "globex"), expires_at=soon)
    text = books.desk.ok("expiring").text
    assert "to renew: polygent-issue renew globex\n" in text
    [line] = [line for line in text.splitlines() if "renew acme" in line]
    command = f"polygent-issue renew acme --license {due.id[:8]}"
    assert line == f"only when it is named: {command}"
    told = books.desk.ok(*command.split()[1:], "--dry-run").text
    assert "not-due" not in told
    assert "to renew: polygent-issue renew " in books.desk.ok("expiring", "--within", "1y").text


def test_a_trial_beside_does_not_stop_the_rest(books: Books) -> None:
    """The line that renews all leaves out whoever has a trial, too, and names the other license."""
    acme = books.customer()
    soon = books.desk.now + timedelta(days=10)
    contract = books.license(acme, books.machine(acme), expires_at=soon)
    trial = books.license(acme, expires_at=soon + timedelta(days=60))
    with books.writing() as db:
        db.update("licenses", trial.id, plan="trial")
        db.record("test")
    text = books.desk.ok("expiring").text
    [line] = [line for line in text.splitlines() if "renew acme" in line]
    books.desk.ok(*line.partition("polygent-issue ")[2].split(), "--dry-run")
    assert contract.id[:8] in line


def read(data: bytes) -> list[Any]:
    """The events of a calendar."""
    return list(Calendar.from_ical(data).walk("VEVENT"))


def due(books: Books) -> LicenseRecord:
    """A license that ends in ten days, beside one of an archived customer."""
    acme = books.customer("Acme, Söhne; GmbH")
    soon = (books.desk.now + timedelta(days=11)).replace(hour=0, minute=0)
    books.license(books.customer("Gone", "gone"), expires_at=soon)
    books.desk.ok("customer", "archive", "gone", "--yes", "--reason", "left")
    return books.license(acme, books.machine(acme), expires_at=soon)


def test_a_calendar_of_what_is_due(books: Books) -> None:
    """An event on the last full day, with the command; archived customers are left out."""
    record = due(books)
    target = books.desk.folder / "due.ics"
    told = books.desk.ok("expiring", "--ics", str(target))
    assert told.text.startswith(f"calendar: {target}\n")
    assert "acme" in told.text
    [event] = read(target.read_bytes())
    assert event["SUMMARY"] == "Acme, Söhne; GmbH (prod-1): license ends"
    assert event["DTSTART"].dt == date(2026, 12, 10)
    assert event["DTSTAMP"].dt == books.desk.now
    command = event["DESCRIPTION"].splitlines()[0]
    assert command == f"polygent-issue renew acme --license {record.id[:8]}"
    books.desk.ok(*command.split()[1:], "--dry-run")
    assert len(event.walk("VALARM")) == 4


def test_the_calendar_goes_to_a_file_a_folder_or_stdout(books: Books) -> None:
    """On stdout alone, with the list on stderr; never over another file."""
    due(books)
    piped = books.desk.ok("expiring", "--ics", "-")
    assert len(read(piped.out)) == 1
    assert "last full day" in piped.err
    folder = str(books.desk.output)
    told = books.desk.ok("expiring", "--ics", folder, "--json").json
    assert told["calendar"] == str(books.desk.output / "licenses.ics")
    assert (books.desk.output / "licenses.ics").read_bytes() == piped.out
    assert books.desk.ok("expiring", "--json").json["calendar"] is None
    outcome = books.desk.run("expiring", "--ics", folder, after=timedelta(seconds=1))
    assert outcome.code == 8
    assert "name another file with --ics" in outcome.err
    nowhere = books.desk.run("expiring", "--ics", "no/such/x.ics")
    assert nowhere.code == 8
    assert "hint: mkdir -p /" in nowhere.err


@pytest.mark.parametrize("other", ["--json", "--csv"])
def test_stdout_carries_one_thing(books: Books, other: str) -> None:
    """A calendar there excludes JSON and CSV."""
    assert books.desk.run("expiring", "--ics", "-", other).code == 2


def test_a_calendar_beside_csv(books: Books) -> None:
    """Two forms at once, when one of them has a file."""
    due(books)
    target = books.desk.folder / "due.ics"
    assert books.desk.ok("expiring", "--csv", "--ics", str(target)).text.startswith('"id"')
    assert len(read(target.read_bytes())) == 1


def test_an_empty_calendar(books: Books) -> None:
    """Nothing due is a calendar, too, and a trial's command asks for its plan."""
    assert read(books.desk.ok("expiring", "--ics", "-").out) == []
    trial = due(books)
    with books.writing() as db:
        db.update("licenses", trial.id, plan="trial")
        db.record("test")
    [event] = read(books.desk.ok("expiring", "--ics", "-").out)
    assert event["DESCRIPTION"].splitlines()[0].endswith(" --plan PLAN")
