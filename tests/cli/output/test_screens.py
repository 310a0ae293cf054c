"""Screens of 80 columns: what programs get unbroken in JSON is unbroken for people, too."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk, Outcome
from support.databases import Databases
from support.screen import at_terminal, finish

from polygent_issuer.cli.output import result

CUSTOMER = "Acme Manufacturing und Vertriebsgesellschaft mbH & Co. KG"
SLUG = "acme-manufacturing-und-vertriebsgesellschaft-mbh-co-kg"
REASON = ("--reason", "agreed by phone")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: Fingerprints, digests, heads, IDs, kids, dates and instants, slugs.
UNBROKEN = (
    r"sha256:\w+|(?:\d+:)?\b[0-9a-f]{64}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|"
    r"\d{4}-\d\d-\d\d(?:T[\d:]+Z)?|(?<![\w-])[\w-]{43}(?![\w-])|\b\w+(?:-\w+){3,}\b"
)


@pytest.fixture(scope="session")
def made_office(made_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A home and an output folder with customers with long names, for copies."""
    office = made_desk.copy_to(tmp_path_factory.mktemp("office"))
    machine = office.machine_info(customer=CUSTOMER, hostname="prod-1.manufacturing.acme.example")
    office.ok("sign", "--machine-info", machine, "--term", "20d")
    other = office.machine_info("g.json", fingerprint="sha256:" + "cd" * 32, customer="Globex")
    office.ok("sign", "--machine-info", other, "--term", "60d", "--users", "250")
    office.ok("sign", "--customer", "Initech", "--tier", "enterprise", "--term", "1y")
    office.ok("customer", "edit", "globex", "--time-zone", "Europe/Berlin")
    rows = (
        "customer,tier,expires,users\nGlobex,standard,2029-01-31,300\nInitech,standard,2029-2-1,1\n"
    )
    (office.folder / "rows.csv").write_text(rows)
    return office


@pytest.fixture
def office(made_office: Desk, tmp_path: Path, engine: Databases | None) -> Desk:
    """The test's own office, in a folder with a long name and a space."""
    folder = tmp_path / "Documents of the licensing department" / "2026-11"
    office = made_office.copy_to(folder)
    return office.move_registry(engine) if engine else office


@pytest.fixture(params=["colour", "plain"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdout and stderr of commands in this process are screens of 80 columns."""
    monkeypatch.setattr(result, "width_of", lambda _: 80)
    if request.param == "colour":
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setattr(result, "is_plain", lambda _: False)


def lines_of(outcome: Outcome) -> list[str]:
    """Stdout and stderr as lines without colour."""
    return COLOUR.sub("", outcome.text + outcome.err).splitlines()


def members_of(outcome: Outcome) -> Any:
    """The JSON of a command, be it an object or lines."""
    try:
        return json.loads(outcome.out)
    except json.JSONDecodeError:
        return outcome.json_lines


def strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def commands_of(value: Any) -> Iterator[str]:
    """Every command in a JSON value, as it is typed."""
    if isinstance(value, list | dict):
        if isinstance(value, dict) and "argv" in value:
            yield shlex.join(value["argv"])
        for each in value.values() if isinstance(value, dict) else value:
            yield from commands_of(each)


def squeezed(text: str) -> str:
    """A text without white space, as a broken one is when it is put together again."""
    return "".join(text.split())


def shown(lines: list[str], values: Iterable[str]) -> set[str]:
    """The values that are on the screen. One that is there in two parts fails."""
    everything = squeezed("".join(lines))
    there = {value for value in values if squeezed(value) in everything}
    for value in there:
        assert any(value in line for line in lines), (value, lines)
    return there


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize(
    ("argv", "least"),
    [
        ("customer list", 1),
        (f"customer show {SLUG}", 4),
        ("customer show globex", 3),
        ("license list", 4),
        ("license show {id}", 8),
        ("expiring --within 2y", 4),
        ("key list", 1),
        ("key show main", 3),
        ("journal show", 3),
        ("journal verify", 1),
        ("config show", 3),
        ("doctor --quick", 4),
        ("verify {file}", 4),
        ("verify {file} --fingerprint sha256:0123", 5),
        ("verify {file} {file}", 1),
        ("inspect {file}", 4),
        ("machine-info check {folder}/m.json", 2),
        (f"renew {SLUG} --term 1y --dry-run", 5),
        ("apply {folder}/rows.csv --dry-run", 3),
        ("reissue globex --users 10 --dry-run", 5),
        ("sign --machine-info {folder}/m.json", 2),
        ("sign --machine-info {folder}/missing.json", 1),
        ("license export {id} --output {folder}/missing/a.lic", 1),
        ("license export {id} --eml {folder}/missing", 1),
        ("registry backup {folder}/missing/registry.backup", 1),
    ],
)
def test_what_json_has_is_unbroken_on_a_screen(office: Desk, argv: str, least: int) -> None:
    """Every path, ID, date, slug and command that is shown is on one line."""
    listed = office.ok("license", "list", "--json").json["licenses"]
    [first] = [each["id"] for each in listed if each["customer"] == SLUG]
    [file] = office.output.glob(f"*{first[:8]}*")
    words = {"id": first, "file": file, "folder": office.folder}
    command = tuple(word.format(**words) for word in argv.split())
    members = members_of(office.run(*command, "--json"))
    lines = lines_of(office.printed(*command))

    token = re.compile(rf"(?:file:)?{re.escape(str(office.folder))}[\w./-]*\w|{UNBROKEN}")
    values = (value for text in strings(members) for value in token.findall(text))
    assert len(shown(lines, values)) >= least, lines
    shown(lines, commands_of(members))


@pytest.mark.usefixtures("screen")
def test_what_is_made_is_unbroken_on_a_screen(office: Desk) -> None:
    """The file of a license, a draft, a key, a backup; the next command."""
    (office.folder / "drafts").mkdir()
    drafts = ("--eml", str(office.folder / "drafts"))
    lines = lines_of(office.printed("renew", SLUG, "--term", "1y", *drafts))
    [draft] = (office.folder / "drafts").iterdir()
    listed = office.ok("license", "list", "--status", "current", "--json").json["licenses"]
    [number] = [each["id"] for each in listed if each["customer"] == SLUG]
    [file] = office.output.glob(f"*{number[:8]}*")
    then = office.command("license", "sent", number[:8])
    values = {str(draft), str(file), number, then}
    assert shown(lines, values) == values
    backup = str(office.folder / "backup of the main signing key")
    lines = lines_of(office.printed("key", "backup", "main", backup))
    values = {backup, office.command("key", "import", backup)}
    assert shown(lines, values) == values


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize(
    "argv", ["license list", "customer list", "customer show globex", "expiring --within 2y"]
)
def test_a_table_has_one_date_per_expiry(office: Desk, argv: str) -> None:
    """The last full day is there, and neither the instant nor a second date."""
    lines = lines_of(office.ok(*argv.split()))
    for record in office.ok("license", "list", "--customer", "globex", "--json").json["licenses"]:
        instant, day = record["expires_at"], record["last_full_day"]
        assert sum(line.count(day) for line in lines) == 1
        assert not any(instant in line or instant[:10] in line for line in lines)


@pytest.mark.parametrize("argv", ["license show {id}", "verify {file}"])
def test_show_and_verify_have_the_instant_and_the_day(office: Desk, argv: str) -> None:
    """Where one license is looked at, its expiry is exact."""
    listed = office.ok("license", "list", "--customer", "globex", "--json").json["licenses"]
    [record] = listed
    [file] = office.output.glob(f"*{record['id'][:8]}*")
    words = [word.format(id=record["id"], file=file) for word in argv.split()]
    text = office.ok(*words).text
    assert f"{record['expires_at']}, last full day {record['last_full_day']}" in text


@pytest.mark.parametrize("answers", [("--yes",), ()])
def test_a_summary_is_printed_once_per_signing(office: Desk, answers: tuple[str, ...]) -> None:
    """The preview has it; after the signature come the ID, the file and the next step only."""
    secret = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(office.passphrase_file)}
    consent = ("--accept", "clock-behind", *REASON)  # the machine's clock is not the desk's
    argv = ("reissue", "initech", "--users", "300", *consent, *answers)
    terminal = at_terminal(office.home, *argv, **secret, COLUMNS="80")
    before = ""
    if not answers:
        terminal.expect_exact("go ahead? [Y/n]: ")
        before = str(terminal.before)
        terminal.sendline("y")
    code, after = finish(terminal)
    assert code == 0
    everything = COLOUR.sub("", before + after)
    for name in ("customer ", "users ", "expires ", "replaces ", "upload before"):
        assert everything.count(f"  {name}") == 1, name
    file = max(office.output.iterdir(), key=lambda each: each.stat().st_mtime)
    assert everything.count(str(file)) == 1
    assert everything.rstrip().endswith(f"license sent {file.stem[-8:]}")


def test_without_a_preview_the_summary_is_after_the_signature(office: Desk) -> None:
    """In a script nothing is shown before, so everything is in the result, once."""
    text = office.ok("reissue", "initech", "--users", "300", after=timedelta(hours=1)).text
    for name in ("customer ", "users ", "expires ", "file ", "upload before "):
        assert text.count(f"  {name}") == 1, name


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_real_terminal_of_80_columns(office: Desk, environ: dict[str, str]) -> None:
    """No line is wider than the screen, except one with nothing but a long path or command."""
    code, text = finish(at_terminal(office.home, "config", "show", COLUMNS="80", **environ))
    assert code == 0
    lines = COLOUR.sub("", text).replace("\r", "").splitlines()
    long = ("/", "file:/", "polygent-issue --home ")
    assert all(len(line) <= 80 or line.lstrip().startswith(long) for line in lines)
    assert any(line.endswith(str(office.output)) for line in lines)


def test_a_pipe_gets_whole_lines(office: Desk) -> None:
    """`grep` finds what it looks for: a row is a line, however long."""
    rows = office.ok("license", "list").text.splitlines()
    assert len(rows) == 4
    assert any(SLUG in row and "prod-1.manufacturing.acme.example" in row for row in rows)
