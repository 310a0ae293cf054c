"""`polygent-issue expiring`: licenses due for renewal."""

from datetime import date, timedelta
from typing import Any

import pytest
from icalendar import Calendar
from prometheus_client.parser import text_string_to_metric_families
from support.cli import Desk
from support.licenses import Books
from support.registries import tampering

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
    """The milestones are 30, 14, 7 and 1 days, each from the exact second on."""
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
    """A begun day counts, so `sign`, `expiring` and refusals report the same number."""
    text = desk.ok("sign", "--machine-info", desk.machine_info()).text
    assert "2027-12-01T00:00:00Z, last full day 2027-11-30; 366 days from now" in text
    assert desk.ok("expiring", "--within", "2y", "--json").json["licenses"][0]["days_left"] == 366
    refused = desk.run("renew", "acme-gmbh")
    assert refused.code == 4
    assert "is valid for 366 days more" in refused.err
    desk.now = desk.now.replace(year=2027)
    text = desk.ok("reissue", "acme-gmbh", "--dry-run").text
    assert "; 1 day from now" in text


def test_licenses_are_listed_by_expiry_with_a_renewal_command(desk: Desk) -> None:
    """The next expiry comes first, and `renew` names the customers."""
    for number, day in enumerate(("2026-12-24", "2026-12-20", "2027-01-20")):
        name = f"Customer {'ABC'[number] * 5}"
        desk.ok("sign", "--customer", name, "--tier", "enterprise", "--expires", day)
    text = desk.ok("expiring").text
    assert text.index("customer-bbbbb") < text.index("customer-aaaaa")
    assert "customer-ccccc" not in text
    assert "polygent-issue renew customer-bbbbb customer-aaaaa" in text
    assert "customer-ccccc" in desk.ok("expiring", "--within", "6mo").text


def test_trials_and_long_expired_licenses_have_their_own_command(desk: Desk) -> None:
    """The command for all leaves out licenses that it cannot renew."""
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


def test_an_empty_list_is_reported(desk: Desk) -> None:
    """If no license is due, a message states that, with exit 0."""
    assert "nothing expires before" in desk.ok("expiring").text
    assert desk.run("expiring", "--within", "soon").code == 3


def test_a_license_that_is_not_due_is_not_renewed_with_another(books: Books) -> None:
    """If only one of two machines is due, the command names its license."""
    acme = books.customer()
    soon, later = (books.desk.now + timedelta(days=days) for days in (10, 300))
    due = books.license(acme, books.machine(acme), expires_at=soon)
    books.license(acme, books.machine(acme, "db", "cd" * 32), expires_at=later)
    books.license(books.customer("Globex AG", "globex"), expires_at=soon)
    text = books.desk.ok("expiring").text
    assert "to renew: polygent-issue renew globex\n" in text
    [line] = [line for line in text.splitlines() if "renew acme" in line]
    command = f"polygent-issue renew acme --license {due.id[:8]}"
    assert line == f"to renew individually: {command}"
    result = books.desk.ok(*command.split()[1:], "--dry-run").text
    assert "not-due" not in result
    assert "to renew: polygent-issue renew " in books.desk.ok("expiring", "--within", "1y").text


def test_a_customer_with_a_trial_is_renewed_by_license(books: Books) -> None:
    """A customer with a trial is left out of the command for all and has its own."""
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
    """Return the events of a calendar that are not cancelled."""
    events: list[Any] = Calendar.from_ical(data).walk("VEVENT")
    return [event for event in events if event["STATUS"] == "CONFIRMED"]


def due(books: Books) -> LicenseRecord:
    """Issue a license that expires in ten days, and one of an archived customer."""
    acme = books.customer("Acme, Söhne; GmbH")
    soon = (books.desk.now + timedelta(days=11)).replace(hour=0, minute=0)
    books.license(books.customer("Gone", "gone"), expires_at=soon)
    books.desk.ok("customer", "archive", "gone", "--yes", "--reason", "left")
    return books.license(acme, books.machine(acme), expires_at=soon)


def test_a_calendar_has_an_event_for_each_due_license(books: Books) -> None:
    """The event is on the last full day; that of an archived customer is cancelled."""
    record = due(books)
    target = books.desk.folder / "due.ics"
    result = books.desk.ok("expiring", "--ics", str(target))
    assert result.text.startswith(f"calendar: {target}\n")
    assert "acme" in result.text
    [event] = read(target.read_bytes())
    assert event["SUMMARY"] == "Acme, Söhne; GmbH (prod-1): license expires"
    assert event["DTSTART"].dt == date(2026, 12, 10)
    assert event["DTSTAMP"].dt == books.desk.now
    command = event["DESCRIPTION"].splitlines()[0]
    assert command == f"polygent-issue renew acme --license {record.id[:8]}"
    books.desk.ok(*command.split()[1:], "--dry-run")
    assert len(event.walk("VALARM")) == 4
    assert b"SUMMARY:Gone (any machine): license expires\r\n" in target.read_bytes()
    assert target.read_bytes().count(b"STATUS:CANCELLED\r\n") == 1


def test_the_calendar_goes_to_a_file_a_folder_or_stdout(books: Books) -> None:
    """With stdout the list goes to stderr; an existing file is never overwritten."""
    due(books)
    piped = books.desk.ok("expiring", "--ics", "-")
    assert len(read(piped.out)) == 1
    assert "last full day" in piped.err
    folder = str(books.desk.output)
    result = books.desk.ok("expiring", "--ics", folder, "--json").json
    assert result["calendar"] == str(books.desk.output / "licenses.ics")
    assert (books.desk.output / "licenses.ics").read_bytes() == piped.out
    assert books.desk.ok("expiring", "--json").json["calendar"] is None
    outcome = books.desk.run("expiring", "--ics", folder, after=timedelta(seconds=1))
    assert outcome.code == 8
    assert "choose another file with --ics" in outcome.err
    nowhere = books.desk.run("expiring", "--ics", "no/such/x.ics")
    assert nowhere.code == 8
    assert "hint: mkdir -p /" in nowhere.err


@pytest.mark.parametrize("other", ["--json", "--csv"])
def test_a_calendar_on_stdout_excludes_json_and_csv(books: Books, other: str) -> None:
    """A calendar on stdout cannot be combined with JSON or CSV."""
    assert books.desk.run("expiring", "--ics", "-", other).code == 2


def test_a_calendar_file_can_be_combined_with_csv(books: Books) -> None:
    """Two formats are possible if one of them has a file."""
    due(books)
    target = books.desk.folder / "due.ics"
    assert books.desk.ok("expiring", "--csv", "--ics", str(target)).text.startswith('"id"')
    assert len(read(target.read_bytes())) == 1


def test_a_calendar_may_be_empty(books: Books) -> None:
    """Without due licenses the calendar is empty; a trial's command asks for a plan."""
    assert read(books.desk.ok("expiring", "--ics", "-").out) == []
    trial = due(books)
    with books.writing() as db:
        db.update("licenses", trial.id, plan="trial")
        db.record("test")
    [event] = read(books.desk.ok("expiring", "--ics", "-").out)
    assert event["DESCRIPTION"].splitlines()[0].endswith(" --plan PLAN")


Events = dict[str, tuple[int, str, date]]


def events(desk: Desk, *argv: str) -> Events:
    """Return sequence, status and day of each event by its UID."""
    data = desk.ok("expiring", *(argv or ("--within", "60d")), "--ics", "-").out
    found: list[Any] = Calendar.from_ical(data).walk("VEVENT")
    by_uid = {
        each["UID"].partition("@")[0]: (each["SEQUENCE"], str(each["STATUS"]), each["DTSTART"].dt)
        for each in found
    }
    assert len(by_uid) == len(found)
    return by_uid


def enterprise(desk: Desk, customer: str = "Acme GmbH", *argv: str) -> str:
    """Sign a license for 30 days and return its ID."""
    sign = ("sign", "--customer", customer, "--tier", "enterprise", "--term", "30d", *argv)
    [issued] = desk.ok(*sign, "--json").json["licenses"]
    return str(issued["id"])


def test_a_renewal_moves_the_event(desk: Desk) -> None:
    """A license and its successors share one UID, with a higher sequence and a new day."""
    first = enterprise(desk)
    assert events(desk) == {first: (0, "CONFIRMED", date(2026, 12, 30))}
    desk.now += timedelta(days=20)
    desk.ok("renew", "acme-gmbh")
    assert events(desk) == {first: (1, "CONFIRMED", date(2027, 1, 29))}
    desk.ok("reissue", "acme-gmbh")
    assert events(desk) == {first: (2, "CONFIRMED", date(2027, 1, 29))}
    desk.now += timedelta(days=25)
    desk.ok("renew", "acme-gmbh", "--term", "1y")
    assert events(desk) == {first: (3, "CONFIRMED", date(2028, 1, 29))}


def test_a_late_renewal_moves_the_event(desk: Desk) -> None:
    """A license that expired within --within before now is included."""
    first = enterprise(desk)
    desk.now += timedelta(days=40)
    desk.ok("renew", "acme-gmbh")
    assert events(desk)[first][0] == 1
    assert list(events(desk, "--within", "7d")) == []
    assert list(events(desk, "--within", "5000y")) == [first]


def test_a_retired_license_is_cancelled(desk: Desk) -> None:
    """A retired license is cancelled on its day, with the next number."""
    first = enterprise(desk)
    desk.ok("reissue", "acme-gmbh")
    [current] = desk.ok("license", "list", "--status", "current", "--json").json["licenses"]
    desk.ok("license", "retire", current["id"], "--reason", "ended", "--yes")
    assert events(desk) == {first: (2, "CANCELLED", date(2026, 12, 30))}


def test_an_archived_customer_is_cancelled_until_that_is_undone(desk: Desk) -> None:
    """Each change has a higher sequence, which a calendar needs to apply it."""
    first = enterprise(desk)
    other = enterprise(desk, "Globex")
    desk.ok("customer", "archive", "acme-gmbh", "--yes", "--reason", "left")
    day = date(2026, 12, 30)
    live = {other: (0, "CONFIRMED", day)}
    assert events(desk) == {first: (1, "CANCELLED", day)} | live
    desk.ok("customer", "archive", "acme-gmbh", "--undo", "--yes", "--reason", "back")
    assert events(desk) == {first: (2, "CONFIRMED", day)} | live


def test_joined_licenses_continue_one_event(desk: Desk) -> None:
    """The event of the oldest license continues, and the others are cancelled."""
    [issued] = desk.ok(
        "sign", "--machine-info", desk.machine_info(hostname="one"), "--term", "20d", "--json"
    ).json["licenses"]
    first, why = issued["id"], ("--accept", "additional-machine", "--reason", "a cluster")
    desk.now += timedelta(hours=2)
    document = desk.machine_info("2.json", hostname="two", fingerprint="2e" * 32)
    sign = ("sign", "--machine-info", document, "--customer", "Acme GmbH", "--term", "25d", *why)
    [issued] = desk.ok(*sign, "--json").json["licenses"]
    second = issued["id"]
    join = ("renew", "acme-gmbh", "--all-machines", "--plan", "enterprise-annual", "--term", "1y")
    desk.ok(*join, "--accept", "entitlement-loss", "--reason", "agreed")
    calendar = desk.ok("expiring", "--ics", "-").text
    assert "merged with another license into " in calendar.replace("\r\n ", "")
    assert events(desk) == {
        first: (1, "CONFIRMED", date(2027, 12, 25)),
        second: (1, "CANCELLED", date(2026, 12, 25)),
    }
    desk.ok("reissue", "acme-gmbh")
    assert [each[0] for each in events(desk).values()] == [2, 1]


def test_events_survive_a_merge_of_customers(desk: Desk) -> None:
    """An event stays with its license, and earlier changes still count."""
    first, other = enterprise(desk), enterprise(desk, "Globex")
    desk.ok("customer", "archive", "globex", "--yes", "--reason", "left")
    assert events(desk)[other][:2] == (1, "CANCELLED")
    desk.ok("customer", "merge", "globex", "acme-gmbh", "--yes", "--reason", "one firm")
    assert events(desk)[other][:2] == (2, "CONFIRMED")
    assert events(desk)[first][1] == "CONFIRMED"


def test_a_circle_of_replacements_ends(books: Books) -> None:
    """Licenses that replace each other in edited rows are cancelled."""
    acme = books.customer()
    soon = books.desk.now + timedelta(days=9)
    one = books.license(acme, expires_at=soon)
    two = books.license(acme, expires_at=soon)
    with tampering(books.desk.registry) as raw:
        for old, new in ((one, two), (two, one)):
            raw.execute("UPDATE licenses SET replaced_by = ? WHERE id = ?", (new.id, old.id))
    assert [status for _, status, _ in events(books.desk).values()] == ["CANCELLED"] * 2


def test_the_exit_code_reports_what_has_to_be_done(desk: Desk) -> None:
    """Exit 9 is for a license that is due, or unsent with an upload deadline that is near."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    [signed] = desk.ok("license", "list", "--json").json["licenses"]
    assert desk.run("expiring", "--exit-code", after=timedelta(days=5, seconds=-1)).code == 0
    near = desk.run("expiring", "--exit-code", "--json", after=timedelta(seconds=1))
    assert near.code == 9
    [unsent] = near.json["unsent"]
    assert (unsent["id"], unsent["late"]) == (signed["id"], False)
    assert unsent["upload_before"] == "2026-12-07T09:30:00Z"
    assert "reissue CUSTOMER" not in desk.ok("expiring").text
    late = desk.run("expiring", "--exit-code", after=timedelta(days=3))
    assert late.code == 9
    assert "acme-gmbh  prod-1   " in late.text
    assert "for a new deadline: polygent-issue reissue CUSTOMER" in late.text
    desk.ok("license", "sent", signed["id"])
    assert desk.run("expiring", "--exit-code").code == 0
    for form in ((), ("--csv",), ("--json",), ("--csv", "-o", str(desk.folder / "x.csv"))):
        assert desk.run("expiring", "--exit-code", "--within", "2y", *form).code == 9
    desk.ok("expiring", "--within", "2y")


def test_quiet_is_silent_when_nothing_has_to_be_done(desk: Desk) -> None:
    """With something to do, the same command prints it; data are printed all the same."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.ok("license", "sent", desk.ok("license", "list", "--json").json["licenses"][0]["id"])
    rows = desk.folder / "rows.csv"
    rows.write_text("customer,machine,users\nacme-gmbh,prod-1,25\n")
    calm = (
        ("expiring",),
        ("renew", "--due-within", "30d"),
        ("renew", "--due-within", "30d", "--dry-run"),
        ("apply", str(rows)),
        ("license", "list", "--unsent"),
        ("journal", "show", "--customer", "acme-gmbh", "--since", "2030-01-01"),
        ("journal", "verify"),
    )
    for argv in calm:
        assert desk.ok("--quiet", *argv).text == "", argv
        assert desk.ok(*argv).text, argv
    assert desk.ok("--quiet", "expiring", "--csv").text.startswith('"id"')
    assert desk.ok("--quiet", "expiring", "--json").json["licenses"] == []
    desk.now += timedelta(days=350)
    assert "acme-gmbh" in desk.ok("--quiet", "expiring").text
    assert "would" not in desk.ok("--quiet", "renew", "--due-within", "30d", "--dry-run").err
    assert "renewed 1" in desk.ok("--quiet", "renew", "--due-within", "30d").text
    desk.now += timedelta(days=700)
    for argv in (calm[1], calm[2]):  # it expired too long ago for a batch
        assert "to renew it anyway" in desk.ok(*argv).text
        assert desk.ok("--quiet", *argv).text == ""
    lapsed = desk.ok("--quiet", "expiring", "--json").json
    assert (len(lapsed["licenses"]), lapsed["unsent"]) == (1, [])


def test_metrics_are_read_by_a_parser_and_replaced(books: Books) -> None:
    """The file has each due license with its labels; only this file is replaced, as a whole."""
    due = books.license(books.customer(), expires_at=books.desk.now + timedelta(days=9))
    books.license(books.customer("Globex", "globex"))
    books.desk.now += timedelta(days=5)
    file = books.desk.folder / "polygent.prom"
    argv = ("expiring", "--prometheus", str(file))
    assert books.desk.ok(*argv, "--json").json["metrics"] == str(file)
    assert file.stat().st_mode & 0o777 == 0o644
    families = {each.name: each for each in text_string_to_metric_families(file.read_text())}
    assert {each.type for each in families.values()} == {"gauge"}
    assert all(each.documentation.endswith(".") for each in families.values())
    seen = {
        name: [(sample.labels, sample.value) for sample in each.samples]
        for name, each in families.items()
    }
    labels = {"license": due.id, "customer": "acme", "machine": "any", "tier": "enterprise"}
    expiry = [(labels, due.expires_at.timestamp())]
    assert seen["polygent_license_expiry_timestamp_seconds"] == expiry
    assert len(seen["polygent_license_upload_deadline_timestamp_seconds"]) == 2
    counts = {"current": 2, "due": 1, "expired": 0, "unsent": 2}
    for name, count in counts.items():
        assert seen[f"polygent_licenses_{name}"] == [({}, count)]
    books.desk.now += timedelta(days=30)
    books.desk.ok(*argv)
    assert "polygent_licenses_expired 1\n" in file.read_text()
    assert sorted(books.desk.folder.glob("*.prom*")) == [file]
    assert books.desk.ok("expiring", "--prometheus", "-").out == file.read_bytes()


def test_a_file_of_others_is_not_replaced(books: Books) -> None:
    """Nor is a name that node_exporter does not read accepted, or a second document on stdout."""
    foreign = books.desk.folder / "node.prom"
    foreign.write_text("# HELP node_load1 1m load average.\n")
    refused = books.desk.run("expiring", "--prometheus", str(foreign))
    assert refused.code == 8
    assert "was not written by --prometheus" in refused.err
    assert foreign.read_text().startswith("# HELP node_load1")
    wrong = books.desk.run("expiring", "--prometheus", str(books.desk.folder / "x.txt"))
    assert (wrong.code, "end in .prom" in wrong.err) == (2, True)
    missing = books.desk.run("expiring", "--prometheus", "missing/x.prom")
    assert (missing.code, "does not exist" in missing.err) == (8, True)
    for other in (("--csv",), ("--ics", "-"), ("--json",)):
        assert books.desk.run("expiring", "--prometheus", "-", *other).code == 2
