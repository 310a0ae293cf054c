"""Clocks and time zones do not change verdicts or files; an impossible clock is refused clearly.

The commands run in processes of their own and read the machine's clock, which faketime sets. With
`POLYGENT_FAULTS=full` every instant runs in every zone.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.cli import PASSPHRASE, Desk, Outcome
from support.desk_state import tree
from support.fault_sweep import FULL
from support.forks import Forks, faketime_environ, open_forks
from support.strace import LINK, Fault

from polygent_issuer.errors import ExitCode
from polygent_issuer.terms.parsing import parse_instant

pytestmark = pytest.mark.slow

CLOCKS = (
    "1970-01-01T00:00:01Z",
    "1970-01-02T00:00:00Z",
    "2028-02-29T12:00:00Z",
    "2038-01-19T03:14:07Z",
    "2038-01-19T03:14:08Z",
    "2100-02-28T23:59:59Z",
    "2100-03-01T00:00:00Z",
)
ZONES = (
    "UTC",
    "Pacific/Kiritimati",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
)
# In Berlin the first two are both 02:30; in Kiritimati the last one is in March.
INSTANTS = ("2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z", "2028-02-29T23:30:00Z")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A process that forks commands, each with its own clock."""
    with open_forks(tmp_path_factory.mktemp("forks"), clocked=True) as running:
        yield running


@pytest.fixture
def bare(tmp_path: Path) -> Desk:
    """A desk with an output folder and a passphrase, and no home."""
    desk = Desk(tmp_path / "desk")
    desk.output.mkdir(parents=True)
    desk.passphrase_file.write_text(PASSPHRASE)
    return desk


def does(forks: Forks, desk: Desk, *argv: str, code: int = 0) -> Outcome:
    """Run a command at the desk's clock and check its exit code."""
    outcome, _ = forks.run(desk, *argv, first_id=len(tree(desk.folder)))
    assert outcome.code == code, (argv, outcome)
    return outcome


def begin(forks: Forks, desk: Desk, clock: str) -> None:
    """Make a home and a key at that time."""
    desk.now = parse_instant(clock)
    does(forks, desk, "init", "--issuer", "Polygent Ltd", "--output", str(desk.output))
    store = f"file:{desk.folder / 'main.key'}"
    does(forks, desk, "key", "generate", "main", "--store", store, "--no-backup")


def license_of(outcome: Outcome) -> dict[str, str]:
    """Return the license that a command issued, from its JSON."""
    [license_] = outcome.json["licenses"]
    return dict(license_)


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_whole_loop(forks: Forks, bare: Desk, clock: str) -> None:
    """A first license, a reissue and a renewal work at any instant."""
    begin(forks, bare, clock)
    document = bare.machine_info(generatedAt=clock)
    signed = license_of(does(forks, bare, "sign", "--machine-info", document, "--json"))
    assert signed["issued_at"] == clock
    report = does(forks, bare, "verify", signed["file"], "--install", "--json").json
    assert report["files"][0]["accepted"] is True
    reissued = license_of(does(forks, bare, "reissue", "acme-gmbh", "--json"))
    assert reissued["expires_at"] == signed["expires_at"]
    bare.now = parse_instant(signed["expires_at"]) - timedelta(seconds=1)
    assert does(forks, bare, "expiring", "--json").json["licenses"]
    renewed = license_of(does(forks, bare, "renew", "acme-gmbh", "--json"))
    does(forks, bare, "verify", signed["file"])
    bare.now += timedelta(seconds=1)
    does(forks, bare, "verify", signed["file"], code=ExitCode.NOT_ACCEPTED)
    does(forks, bare, "verify", renewed["file"])
    does(forks, bare, "license", "list")
    does(forks, bare, "journal", "verify")


def test_the_first_second_of_all(forks: Forks, bare: Desk) -> None:
    """The second 0, which no license can contain (FORMAT §1), is refused in one line."""
    begin(forks, bare, "1970-01-01T00:00:00Z")
    argv = ("sign", "--machine-info", bare.machine_info(generatedAt="1970-01-01T00:00:00Z"))
    refused = does(forks, bare, *argv, code=ExitCode.INPUT)
    assert "clock" in refused.err
    assert refused.err.count("\n") == len(("error", "hint"))
    assert list(bare.output.iterdir()) == []


def test_a_document_from_the_future(forks: Forks, bare: Desk) -> None:
    """On a machine whose clock shows 1970 a current document is reported as stale."""
    begin(forks, bare, "1970-01-02T00:00:00Z")
    argv = ("sign", "--machine-info", bare.machine_info(generatedAt="2026-11-30T09:00:00Z"))
    refused = does(forks, bare, *argv, code=ExitCode.CONSENT)
    assert "stale-machine-info" in refused.err
    assert "this machine's clock" in refused.err
    assert list(bare.output.iterdir()) == []


def test_a_clock_that_was_set_back(forks: Forks, bare: Desk) -> None:
    """With a clock behind the journal every issue needs consent, and reading still works."""
    begin(forks, bare, "2028-02-29T12:00:00Z")
    issued = does(forks, bare, "sign", "--machine-info", bare.machine_info(), "--json")
    bare.now = parse_instant("1970-01-02T00:00:00Z")
    for command in ("renew", "reissue"):
        refused = does(forks, bare, command, "acme-gmbh", code=ExitCode.CONSENT)
        assert "clock-behind" in refused.err
        assert "1970-01-02T00:00:00Z" in refused.err
    argv = ("verify", license_of(issued)["file"])
    assert "not_yet_valid" in does(forks, bare, *argv, code=ExitCode.NOT_ACCEPTED).text
    assert "acme-gmbh" in does(forks, bare, "license", "list").text
    does(forks, bare, "journal", "verify")


@pytest.mark.parametrize(
    ("clock", "terms", "expires"),
    [
        ("2028-02-29T00:00:00Z", "--term 1y", "2029-03-01"),
        ("2028-02-29T12:00:00Z", "--term 1y", "2029-03-02"),
        ("2028-02-29T12:00:00Z", "--term 4y --accept long-term --reason x", "2032-03-01"),
        ("2028-01-31T00:00:00Z", "--term 1mo", "2028-03-01"),
        ("2028-02-28T23:59:59Z", "--term 1d", "2028-03-01"),
        ("2100-02-28T23:59:59Z", "--term 1d", "2100-03-02"),
        ("2096-02-29T00:00:00Z", "--term 4y --accept long-term --reason x", "2100-03-01"),
        ("2028-02-01T12:00:00Z", "--expires 2028-02-29", "2028-03-01"),
        ("2100-02-01T12:00:00Z", "--expires 2100-02-28", "2100-03-01"),
        ("2038-01-18T12:00:00Z", "--expires 2038-01-18", "2038-01-19"),
        ("2038-01-18T12:00:00Z", "--term 1d --from 2038-01-19", "2038-01-20"),
    ],
)
def test_terms_from_leap_days(
    forks: Forks, bare: Desk, clock: str, terms: str, expires: str
) -> None:
    """A missing day becomes the first of March, and a given last day is covered (FORMAT §6)."""
    begin(forks, bare, clock)
    document = bare.machine_info(generatedAt=clock)
    argv = ("sign", "--machine-info", document, *terms.split(), "--json")
    assert license_of(does(forks, bare, *argv))["expires_at"] == f"{expires}T00:00:00Z"


def test_a_day_that_does_not_exist_is_refused(forks: Forks, bare: Desk) -> None:
    """The 29th of February 2100 is refused, because 2100 is not a leap year."""
    begin(forks, bare, "2100-02-01T00:00:00Z")
    argv = ("sign", "--machine-info", bare.machine_info(), "--expires", "2100-02-29")
    assert "no such day: 2100-02-29" in does(forks, bare, *argv, code=ExitCode.INPUT).err


STORY = (
    "sign --machine-info m.json",
    "sign --machine-info globex.json --expires 2028-02-29",
    "sign --customer Initech --tier enterprise --from 2028-02-29 --term 1y",
    "customer edit globex --time-zone Europe/Berlin",
    "renew acme-gmbh --accept not-due --reason asked",
    "reissue globex --json",
    "verify --customer acme-gmbh --install",
    "verify --customer globex --at 2028-02-29T23:59:59Z",
    "expiring --within 3y",
    "license list",
    "license list --json",
    "customer show globex",
    "journal show",
    "journal verify",
)


def story(forks: Forks, desk: Desk, made: Desk, instant: str, zone: str) -> dict[str, bytes]:
    """Return the output of every command of the story, and every file afterwards."""
    shutil.rmtree(desk.folder, ignore_errors=True)
    here = made.copy_to(desk.folder)
    here.now, here.environ = parse_instant(instant), {"TZ": zone}
    here.machine_info(generatedAt=instant)
    here.machine_info("globex.json", customer="Globex", fingerprint="1e" * 32, generatedAt=instant)
    outputs: dict[str, bytes] = {}
    for command in STORY:
        outcome = does(forks, here, *command.split())
        outputs[command] = outcome.out + outcome.err.encode()
    return outputs | tree(here.folder)


@pytest.mark.parametrize(
    ("clock", "entry"),
    [
        ("1970-01-01T00:00:01Z", (1980, 1, 1, 0, 0, 0)),
        ("1979-12-31T23:59:59Z", (1980, 1, 1, 0, 0, 0)),
        ("1980-01-01T00:00:00Z", (1980, 1, 1, 0, 0, 0)),
        ("2107-12-31T23:59:59Z", (2107, 12, 31, 23, 59, 58)),
        ("2108-01-01T00:00:00Z", (2107, 12, 31, 23, 59, 58)),
        ("2262-01-01T00:00:00Z", (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_an_archive(forks: Forks, bare: Desk, clock: str, entry: tuple[int, ...]) -> None:
    """An archive is written at instants that ZIP cannot record, also after an interrupted run."""
    begin(forks, bare, clock)
    rows, target = bare.folder / "rows.csv", bare.folder / "all.zip"
    rows.write_text(
        "customer,tier,users,session_hosts,deploy_hosts,term\nAcme GmbH,enterprise,5,0,0,1y\n"
    )
    argv = ("apply", str(rows), "--bundle", str(target), "--yes")
    no_name = Fault(calls=LINK, what="error=ENOSPC")
    broken, struck = forks.run(bare, *argv, faults=[no_name], first_id=1)
    assert (broken.code, struck, target.exists()) == (ExitCode.OUTPUT, True, False)
    does(forks, bare, *argv)
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert archive.infolist()[0].date_time == entry
        (bare.folder / "a.lic").write_bytes(archive.read(archive.namelist()[0]))
    does(forks, bare, "verify", str(bare.folder / "a.lic"))


@pytest.mark.parametrize("at", range(len(INSTANTS)))
def test_every_zone(forks: Forks, bare: Desk, made_desk: Desk, at: int) -> None:
    """The same instant gives the same output and the same bytes in every zone."""
    instant = INSTANTS[at]
    in_utc = story(forks, bare, made_desk, instant, "UTC")
    assert len([name for name in in_utc if name.endswith(".lic")]) == len(("sign",) * 3) + 2
    for zone in ZONES[1:] if FULL else ZONES[1:][at :: len(INSTANTS)]:
        there = story(forks, bare, made_desk, instant, zone)
        differs = {name for name in in_utc | there if in_utc.get(name) != there.get(name)}
        assert differs == set(), zone


def test_the_zones_are_installed(bare: Desk) -> None:
    """The zones have six different times of day, and a process runs at the time that is set."""
    bare.now = parse_instant(INSTANTS[0])
    assert len({bare.now.astimezone(ZoneInfo(zone)).isoformat() for zone in ZONES}) == len(ZONES)
    script = "import time; print(time.strftime('%H:%M %Z'))"
    assert clock(bare, "Europe/Berlin", sys.executable, "-c", script).stdout == "02:30 CEST\n"


def clock(desk: Desk, zone: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a new process at the desk's clock, in a zone."""
    environ = faketime_environ() | {"FAKETIME": f"{desk.now.timestamp():.0f}", "TZ": zone}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=desk._environ() | environ
    )


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns"])
def test_a_whole_process(made_desk: Desk, tmp_path: Path, zone: str) -> None:
    """The installed command works in the second after the last one of 31 bits."""
    desk = made_desk.copy_to(tmp_path / "desk")
    desk.now = parse_instant("2038-01-19T03:14:08Z")
    command = (sys.executable, "-m", "polygent_issuer", "--home", str(desk.home))
    done = clock(desk, zone, *command, "sign", "--machine-info", desk.machine_info(), "--json")
    assert done.returncode == 0, done
    signed = Outcome(done.returncode, done.stdout.encode(), done.stderr)
    assert license_of(signed)["issued_at"] == "2038-01-19T03:14:08Z"
    assert license_of(signed)["expires_at"] == "2039-01-20T00:00:00Z"
    verified = clock(desk, zone, *command, "verify", license_of(signed)["file"])
    assert verified.returncode == 0, verified
