"""The year of an operator with forty customers: import, issue, mail, renew, report."""

from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from support.cli import NOW, Desk, Outcome

NAMES = (
    *(f"Müller Werk {number:02}" for number in range(1, 13)),
    *(f"Store {number:03}" for number in range(1, 13)),
    *(f"Société Générale {town}" for town in ("Lyon", "Nice", "Brest", "Lille", "Metz", "Pau")),
    *(f"Ørsted {town} A/S" for town in ("Aarhus", "Odense", "Esbjerg", "Ribe")),
    *(f"Größe & Maß {number} GmbH" for number in range(1, 7)),
)
YEAR = "--date-format", "%d.%m.%Y"
COLUMNS = (
    *("--map", "Firma=name", "--map", "Ansprechpartner=contacts", "--map", "Zeitzone=time zone"),
)


class Person:
    """A person at a desk; every command that they type is counted."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.typed = 0

    def types(self, *argv: str, code: int = 0) -> Outcome:
        """Run a command, which must end with this exit code."""
        self.typed += 1
        outcome = self.desk.run(*argv)
        assert outcome.code == code, (argv, outcome.text, outcome.err)
        return outcome


@pytest.fixture
def person(desk: Desk) -> Person:
    """A person whose mail drafts have a sender."""
    desk.ok("config", "set", "mail_from", "ada@polygent.example")
    for folder in ("first", "next"):
        (desk.folder / folder).mkdir()
    return Person(desk)


def write(path: Path, lines: list[str]) -> str:
    """Write a file as a spreadsheet does: with a BOM and CR LF; return its path."""
    path.write_text("".join(f"{line}\r\n" for line in lines), encoding="utf-8-sig", newline="")
    return str(path)


def customers_file(folder: Path, *, flawed: bool) -> str:
    """Write the customers; with a wrong time zone, an empty line and a duplicate if `flawed`."""
    lines = ["Firma;Ansprechpartner;Zeitzone;CRM"]
    lines += [f"{name};it@k{n}.example;Europe/Berlin;C-{n:03}" for n, name in enumerate(NAMES)]
    lines.insert(9, "")
    if flawed:
        lines[3] = lines[3].replace("Berlin", "Berlim")
        lines.insert(20, lines[5].replace("ü", "ue").upper())
    return write(folder / "customers.csv", lines)


def licenses_file(folder: Path) -> str:
    """Write a row for each customer, with German dates."""
    rows = (f"{name};enterprise-annual;{25 + n};30.06.2027;PO-{n}" for n, name in enumerate(NAMES))
    return write(folder / "licenses.csv", ["customer;plan;users;expires;order_id", *rows])


def drafts(folder: Path) -> dict[str, str]:
    """Return the subject of each draft in a folder, by recipient."""
    messages = (
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in folder.iterdir()
    )
    return {message["To"]: message["Subject"] for message in messages}


def test_a_year_takes_eight_commands(person: Person) -> None:
    """Import, corrected once; issue with drafts; renew all with drafts; report."""
    desk, folder = person.desk, person.desk.folder

    wrong = person.types(
        "customer", "import", customers_file(folder, flawed=True), *COLUMNS, code=3
    )
    assert "line 4: time_zone: unknown time zone: Europe/Berlim" in wrong.err
    assert "hint: did you mean Europe/Berlin?" in wrong.err
    assert "line 21: the row is for the same customer as customers.csv, line 6" in wrong.err
    assert desk.ok("customer", "list", "--json").json["customers"] == []
    added = person.types("customer", "import", customers_file(folder, flawed=False), *COLUMNS)
    assert "added 40" in added.text

    issuing = ("apply", licenses_file(folder), *YEAR, "--eml", str(folder / "first"))
    assert "issued 40" in person.types(*issuing).text
    first = drafts(folder / "first")
    assert set(first) == {f"it@k{n}.example" for n in range(len(NAMES))}
    person.types("license", "sent", "--all")

    desk.now += timedelta(days=197)  # 15 June 2027
    renewed = person.types("renew", "--due-within", "30d", "--eml", str(folder / "next"))
    assert "renewed 40" in renewed.text
    assert drafts(folder / "next").keys() == first.keys()
    person.types("license", "sent", "--all")

    since = ("--since", f"{NOW:%Y-%m-%d}")
    page = folder / "report.html"
    person.types("report", *since, "--format", "html", "-o", str(page))
    assert all(name.replace("&", "&amp;") in page.read_text() for name in NAMES)
    report = desk.ok("report", *since, "--json").json
    assert person.typed <= 8
    assert report["total"]["users"] == sum(range(25, 25 + len(NAMES)))
    assert {each["order_id"] for each in report["licenses"]} == {None}, "a renewal has none yet"
    assert all(each["sent_at"] for each in report["licenses"])
    actions = [each["action"] for each in report["changes"]]
    assert (actions.count("issued"), actions.count("renewed")) == (len(NAMES), len(NAMES))
