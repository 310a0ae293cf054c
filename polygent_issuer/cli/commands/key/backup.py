"""`polygent-issue key backup` and `passphrase`: protect a private key."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_storage import backup_file, location, of_existing_home
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    KeyName,
    PassphraseOptions,
    argument,
    flag,
    option,
)
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.key import backup_json, backup_lines, key_json
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import ExitCode, KeyUnavailable, MissingInput, NotFound, UsageProblem
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys import backups
from polygent_issuer.keys import passphrases as sources
from polygent_issuer.keys.passphrase_change import (
    PassphraseChange,
    change_passphrase,
    require_in_file,
)
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.keys.stores import place_of
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.text import Hint, escape, run
from polygent_issuer.text import option as option_hint

_NO_PASSPHRASE: Final = frozenset({"passphrase_needed", "passphrase_refused"})
_Checked = tuple[backups.Backup, KeyUnavailable | None]
"""A backup, and the error if it cannot be opened."""


def backup(
    invocation: Invocation,
    key: KeyName,
    to: str | None = argument(
        "[FILE]", "Write the backup to this new file or folder, or check this file.", default=None
    ),
    *,
    check: bool = flag("--check", "Check the recorded backups, or FILE, instead of writing one."),
    passphrases: PassphraseOptions,
    consents: ConsentOptions,
) -> Report:
    """Write an encrypted backup of a private key.

    It prompts for the passphrase of the key file and for a new one for the backup. A passphrase
    from an option is used for both. A new passphrase of fewer than 12 characters needs consent
    (weak-passphrase). An existing file is never overwritten.

    With --check it opens each backup whose place is recorded, or FILE, with its passphrase. The
    place of a FILE that opens is recorded.
    """
    source, consent = passphrases.source(invocation), consents.parse()
    if to is None and not check:
        raise UsageProblem(
            "no file for the backup given", hint="give FILE, or check the backups with --check"
        )
    path = None if to is None else location(to).path if check else backup_file(to)
    with invocation.registry.reading() as db:
        record = keys.find(db, key)
    if path is not None and check:
        backups.require_another_file(invocation.settings, record, path)
    if path is None or check:
        return _check(invocation, record, path, source)
    written = of_existing_home(invocation, source, consent).back_up(record, path)
    with invocation.registry.reading() as db:
        record = keys.find(db, record.kid)
    return _written(invocation, record, written)


def _written(invocation: Invocation, key: KeyRecord, path: Path) -> Report:
    file = str(path)
    done = Line(f"backed up the key {key.label}", "good")
    fields = Fields((("file", file), ("format", "OpenSSH, encrypted")))
    restore = Line(Hint("to restore it: ", run("key", "import", file, "--no-backup")), "dim")
    store = place_of(invocation.settings, key.kid)
    members = {"key": key_json(key, store), "backup": file}
    return Report(members, [done, fields, restore])


def _check(
    invocation: Invocation, key: KeyRecord, path: Path | None, passphrase: Passphrase
) -> Report:
    settings, home = invocation.settings, invocation.home
    known = (
        backups.recorded(settings, home, key.kid)
        if path is None
        else (backups.inspect(settings, home, key.kid, path),)
    )
    if not known:
        raise _none_recorded(key)
    problems = [_problem(invocation, key, each.path, passphrase) for each in known]
    if path is not None and problems[0] is None:
        backups.try_to_remember(home, key, path, invocation.warn)
    checked = tuple(zip(known, problems, strict=True))
    members = {
        "key": key_json(key, place_of(settings, key.kid)),
        "backup": None,
        "backups": [
            {
                **backup_json(each),
                "opens": problem is None,
                "problem": problem and backups.reason(problem),
            }
            for each, problem in checked
        ],
    }
    return Report(members, _lines(key, checked), ExitCode.KEY if any(problems) else ExitCode.DONE)


def _problem(
    invocation: Invocation, key: KeyRecord, path: Path, passphrase: Passphrase
) -> KeyUnavailable | None:
    """Open a backup; return why that fails. Without any passphrase the command ends."""
    try:
        backups.store(path, passphrase=passphrase, warn=invocation.warn).open(key.public_key)
    except KeyUnavailable as problem:
        if problem.code in _NO_PASSPHRASE:
            raise
        return problem
    return None


def _lines(key: KeyRecord, checked: Iterable[_Checked]) -> Iterable[Block]:
    for each, problem in checked:
        if problem is None:
            yield Line(f"{each.path} opens, and it is the key {key.label}", "good")
            yield from backup_lines(key, [each])
        else:
            yield Line(f"{each.path}: {backups.reason(problem)}", "bad")
            again = run("key", "backup", *label_words(key.label), "FILE")
            yield Line(Hint("while you have the key, write another backup: ", again), indent=1)


def _none_recorded(key: KeyRecord) -> NotFound:
    name, label = escape(key.label), label_words(key.label)
    if key.backed_up_at is None:
        return NotFound(
            f"the key {name} has no backup",
            hint=Hint("write one: ", run("key", "backup", *label, "FILE")),
            code="no_backup",
        )
    return NotFound(
        f"the place of the backup of the key {name} is not recorded",
        hint=Hint("name its file: ", run("key", "backup", "--check", *label, "FILE")),
        code="no_backup",
    )


def passphrase(
    invocation: Invocation,
    key: str | None = argument(
        "[KEY]", "Select a key (default: the active key).", candidates.keys, default=None
    ),
    new_file: Path | None = option(
        "--new-passphrase-file", "FILE", "Read the new passphrase from a file."
    ),
    *,
    passphrases: PassphraseOptions,
    consents: ConsentOptions,
) -> Report:
    """Change the passphrase of a key file.

    On a terminal it prompts for the present passphrase and for the new one. A new passphrase of
    fewer than 12 characters needs consent (weak-passphrase). The file is replaced only when the new
    one was read back and opened, so that one of the two passphrases opens it at any time.

    A recorded backup with the same passphrase gets the new one, too. One that is out of reach
    keeps the old passphrase, and is named.
    """
    old, consent = passphrases.source(invocation), consents.parse()
    with invocation.registry.reading() as db:
        record = choose_key(db, key)
    require_in_file(invocation.settings, record)
    new = _new_source(invocation, new_file)
    changed = change_passphrase(of_existing_home(invocation, new, consent), record, old=old)
    members = {
        "key": key_json(record, place_of(invocation.settings, record.kid)),
        "file": str(changed.file),
        "backups": list(map(str, changed.backups)),
        "unchanged_backups": [
            {"file": str(each.path), "reason": each.reason} for each in changed.unchanged
        ],
    }
    return Report(members, _blocks(record, changed, outdated=sources.name_of(old)))


def _new_source(invocation: Invocation, new_file: Path | None) -> Passphrase:
    if new_file is not None:
        return sources.from_file(new_file, warn=invocation.warn)
    if invocation.interactive:
        return sources.TerminalPassphrase()
    raise MissingInput(
        "no new passphrase given",
        hint=Hint("add ", option_hint("--new-passphrase-file", "FILE"), ", or use a terminal"),
    )


def _blocks(key: KeyRecord, changed: PassphraseChange, *, outdated: str | None) -> Iterable[Block]:
    yield Line(f"changed the passphrase of the key {key.label}", "good")
    rows = [("key file", str(changed.file))]
    yield Fields((*rows, *(("backup", str(path)) for path in changed.backups)))
    for each in changed.unchanged:
        yield Line(f"the backup {each.path} keeps its passphrase: {each.reason}", "warn")
    if key.backed_up_at is not None and not (changed.backups or changed.unchanged):
        day = key.backed_up_at.date().isoformat()
        yield Line(f"the backup of {day} keeps the old passphrase; its place is unknown", "warn")
    if outdated is not None:
        yield Line(f"now outdated: {outdated}", "warn")
