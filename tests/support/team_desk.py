"""A desk whose registry is on a PostgreSQL server, and checks of it after a fault."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.errors import ExitCode
from polygent_issuer.home.settings_editing import set_value
from polygent_issuer.registry import Registry, change, journal, journal_check, licenses
from support.cli import PASSPHRASE, Desk, Outcome
from support.desk_state import litter_in

REPORT = re.compile(r"((note|warning): .+\n)*(error: .+\n(hint: .+\n)?)?")


@dataclass(frozen=True, kw_only=True)
class TeamState:
    """The registry at one instant: the stored files by ID, and the IDs with a journal row."""

    files: dict[str, bytes]
    current: frozenset[str]
    pending: frozenset[str]
    problems: tuple[str, ...]
    scopes: Counter[tuple[str, str | None]]
    signed: Counter[str]


def read(uri: str) -> TeamState:
    """Return the state of a registry, after the transactions that still write."""
    with Registry.open(uri) as registry:
        registry.connection.begin_writing()  # a lost session may still commit
        registry.connection.roll_back()
        return _read(registry)


def _read(registry: Registry) -> TeamState:
    with registry.reading() as db:
        records = tuple(licenses.select(db))
        return TeamState(
            files={each.id: each.file for each in records},
            current=frozenset(each.id for each in records if each.is_current),
            pending=frozenset(each.license_id for each in change.pending(db)),
            problems=journal_check.verify(db).problems,
            scopes=Counter((e.customer_slug, e.machine_label) for e in records if e.is_current),
            signed=Counter(
                row.license for row in journal.rows(db) if row.license and row.body["files"]
            ),
        )


def open_on(desk: Desk, uri: str) -> Desk:
    """Set up an empty desk with one key, and a new registry in a database."""
    desk.folder.mkdir(exist_ok=True)
    desk.output.mkdir()
    desk.passphrase_file.write_text(PASSPHRASE + "\n")
    desk.passphrase_file.chmod(0o600)
    desk.ok("init", "--registry", uri, "--output", str(desk.output))
    key = f"file:{desk.folder / 'main.key'}"
    desk.ok("key", "generate", "main", "--store", key, "--no-backup")
    return desk


def at(desk: Desk, folder: Path, uri: str) -> Desk:
    """Return a copy of a desk with its registry in another database."""
    copy = desk.copy_to(folder)
    copy.now = desk.now
    set_value(copy.home, "registry", uri)
    return copy


def problems(desk: Desk, uri: str, before: TeamState, outcome: Outcome) -> list[str]:
    """Return each failed check after a fault, and after the next commands at the desk.

    Args:
        desk: where the command ran.
        uri: the registry, without the fault.
        before: its state before the command.
        outcome: how the command ended.
    """
    broken = []

    def expect(passed: bool, otherwise: str) -> None:  # noqa: FBT001 - as an assertion
        if not passed:
            broken.append(otherwise)

    after = read(uri)
    expect(not after.problems, f"journal: {after.problems}")
    expect(before.files.items() <= after.files.items(), "a license is lost")
    expect(max(after.scopes.values(), default=0) <= 1, f"two current: {after.scopes}")
    expect(after.signed == Counter(after.files.keys()), f"not once in the journal: {after.signed}")
    expect("Traceback" not in outcome.err, outcome.err)
    expect(outcome.code != ExitCode.BUG, f"{outcome}")
    expect(REPORT.fullmatch(outcome.err) is not None, f"stderr: {outcome.err!a}")
    if outcome.code == 0:
        expect(after.files.keys() > before.files.keys(), "exit 0, but nothing was issued")
        undelivered = _undelivered(desk, before, after)
        expect(not undelivered, f"exit 0, but not delivered: {undelivered}")
    reported = outcome.err + outcome.text
    number = len(after.files)
    expect("undone" not in reported or after.files == before.files, "undone, but written")
    info = desk.machine_info(
        "next.json", customer=f"Initech {number}", fingerprint=f"sha256:{0xE0 + number:064x}"
    )
    following = desk.run("sign", "--machine-info", info)
    expect(following.code == 0, f"the next command: {following}")
    last = read(uri)
    expect(not last.problems, f"journal: {last.problems}")
    expect(last.pending == frozenset(), f"never delivered: {last.pending}")
    undelivered = _undelivered(desk, before, last)
    expect(not undelivered, f"not delivered by the next command: {undelivered}")
    expect(litter_in(desk.output) == [], f"left: {litter_in(desk.output)}")
    expect(len(last.files) == len(after.files) + 1, "the next command issued more, or nothing")
    return broken


def _undelivered(desk: Desk, before: TeamState, after: TeamState) -> set[str]:
    """Return the new current licenses whose complete file is not in the output folder."""
    written = {path.read_bytes() for path in desk.output.glob("*.lic")}
    new = after.current - before.files.keys()
    return {license_id for license_id in new if after.files[license_id] not in written}
