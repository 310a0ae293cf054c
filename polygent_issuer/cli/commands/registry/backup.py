"""`polygent-issue registry backup` and `restore`: a backup of the registry, and the way back."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.cli.flows import settings_restore
from polygent_issuer.cli.options.common import ConsentOptions, YesButFindings, argument
from polygent_issuer.cli.options.journal import AgainstOption, noted_heads
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.delivery import backup_settings
from polygent_issuer.home import create
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home.settings import load, registry_place, settings_path
from polygent_issuer.registry import journal, keys
from polygent_issuer.registry import restore as restoring
from polygent_issuer.registry.backup import CheckedBackup, back_up_to, open_backup
from polygent_issuer.registry.change import clock_behind_finding
from polygent_issuer.registry.errors import Place
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.registry.restore import CurrentRegistry
from polygent_issuer.text import Hint, counted, run


def backup(
    invocation: Invocation,
    to: Path = argument("FILE|DIR", "Write the backup to this new file or folder."),
) -> Report:
    """Write a backup of the registry.

    Other commands can run meanwhile. The backup is one file that only you can read. It is verified
    before it gets its name, and never overwrites a file. It does not contain the journal row about
    the backup itself.

    It contains the settings with which another operator signs as you do: issuer, plans, windows,
    features, sender and template of mail drafts. It contains no key, key store, folder or
    operator name.
    """
    decided = invocation.decide(lambda _: None)  # a copy depends on no decision
    for finding in decided.behind:
        invocation.warn(Hint(f"{finding.message}: ", finding.hint or ""))
    included = backup_settings.collect(invocation.home, invocation.loaded, warn=invocation.warn)
    written = back_up_to(invocation.registry, to, invocation.now, included)
    if written.path.resolve().is_relative_to(invocation.home.resolve()):
        invocation.warn("the backup is in the home, so it would be lost together with the home")
    file, head = str(written.path), head_text(written.size, written.head)
    details = {"file": file, "size": written.size, "head": head}
    invocation.record_copy(decided, journal.BACKED_UP, details)
    names = [*dict.fromkeys(name.partition(".")[0] for name in written.settings)]
    return Report(
        {**details, "settings": str(settings_path(invocation.home)), "settings_included": names},
        [
            Line(f"backed up the registry to {file}", "good"),
            Fields((("rows", str(written.size)), ("head", head))),
            Line("save the head elsewhere: it reveals a replaced or older backup", "dim"),
            Line("confidential: it contains customers, machines and all license files"),
            Line("settings in it: issuer, plans, windows, features, mail sender and template"),
            Line(
                Hint(
                    "not in it: private keys (",
                    run("key", "backup"),
                    "), and the key stores, folders and operator's name of this machine",
                )
            ),
        ],
    )


def restore(
    invocation: Invocation,
    source: Path = argument("FILE", "Restore this backup."),
    *,
    against: AgainstOption = None,
    settings: settings_restore.SettingsOption = None,
    consents: ConsentOptions,
    yes: YesButFindings = False,
) -> Report:
    """Restore the registry from a backup.

    The backup is verified completely first, and no SQL from it is run. A missing home is
    created. An existing registry is renamed and kept. If it has rows that the backup lacks, the
    restore needs consent (registry-rollback). A registry in PostgreSQL is replaced by the owner of
    its tables; the old tables are kept in a schema of their own.

    A backup also has settings: issuer, plans, windows, features, sender and template of mail
    drafts. If they differ from yours, a terminal shows how and asks. Elsewhere yours are kept,
    unless --settings restore is given. --settings only leaves the registry as it is.
    """
    heads, typed = noted_heads(against), consents.parse()
    if settings is settings_restore.Choice.ONLY:
        with open_backup(source, invocation.home, against=heads) as backup:
            offer = settings_restore.decide_settings(
                invocation, invocation.home, backup, settings, yes=yes
            )
        members, text = settings_restore.restore_settings(invocation, invocation.home, offer)
        return Report(_members(backup, None, None, []) | members, text)
    with _folder(invocation) as folder, open_backup(source, folder, against=heads) as backup:
        place = registry_place(folder)
        present = restoring.compare_with_current(place, backup)
        with backup.registry.reading() as db:
            behind = clock_behind_finding(db, invocation.now)
            labels = {key.kid: key.label for key in keys.every(db) if key.retired_at is None}
        rollback = restoring.rollback_finding(present)
        findings = behind if rollback is None else (rollback, *behind)
        if invocation.interactive:
            result.write_blocks(_preview(backup, present, place), sys.stderr)
        agreed = prompts.obtain_consent(invocation, findings, typed)
        if present is not None:
            prompts.confirm_or_cancel(invocation, "replace the registry with the backup?", yes=yes)
        offer = settings_restore.decide_settings(invocation, folder, backup, settings, yes=yes)
        create.write_default_settings(folder)
        loaded = load(folder, invocation.environ).settings
        set_aside = restoring.restore(
            backup,
            place,
            present,
            findings=findings,
            consent=agreed,
            now=invocation.now,
            actor=actor(loaded.operator),
        )
    members, text = settings_restore.restore_settings(invocation, folder, offer)
    missing = [label for kid, label in labels.items() if kid not in loaded.stores]
    return Report(
        _members(backup, present, set_aside, missing) | members,
        [*_restored(backup, set_aside), *text, *_next_steps(present, missing)],
    )


def _members(
    backup: CheckedBackup,
    replaced: CurrentRegistry | None,
    set_aside: Path | str | None,
    missing: list[str],
) -> dict[str, object]:
    """Return the JSON members; `missing` are labels of keys without a store."""
    old = replaced if replaced and replaced.readable else None
    return {
        "file": str(backup.source.absolute()),
        "size": backup.size,
        "head": head_text(backup.size, backup.head),
        "replaced": head_text(old.size, old.head) if old else None,
        "journal_rows_lost": old.rows_lost if old else None,
        "licenses_lost": old.licenses_lost if old else None,
        "kept": None if set_aside is None else str(set_aside),
        "keys_to_import": missing,
    }


def _restored(backup: CheckedBackup, set_aside: Path | str | None) -> Iterable[Block]:
    yield Line(f"restored the registry from {backup.source.absolute()}", "good")
    yield Fields((("rows", str(backup.size)), ("head", head_text(backup.size, backup.head))))
    if set_aside is not None:
        schema = " in the schema" if isinstance(set_aside, str) else ""
        yield Line(f"the old registry is kept{schema}:", "dim")
        yield Line(str(set_aside), indent=1)


def _next_steps(replaced: CurrentRegistry | None, missing: list[str]) -> Iterable[Block]:
    if replaced is not None and replaced.licenses_lost:
        yield Line("to recover the lost licenses from their files:", "warn")
        yield Line(run("registry", "import", "FILE"), indent=1)
    for label in missing:
        where = f"the settings have no key store for {label}; to import its private key:"
        yield Line(where, "warn")
        yield Line(run("key", "import", "BACKUP"), indent=1)


def _preview(
    backup: CheckedBackup, present: CurrentRegistry | None, place: Place
) -> Iterable[Block]:
    yield Line(f"backup {backup.source}", "title")
    head = head_text(backup.size, backup.head)
    yield Fields((("registry", backup.registry_id), ("rows", str(backup.size)), ("head", head)))
    if present is None:
        yield Line(f"creates {place}", "title")
        return
    yield Line(f"replaces {place}", "title")
    if not present.readable:
        yield Line("the registry cannot be read", "bad", 1)
    else:
        lost = counted(present.rows_lost, "journal row") if present.rows_lost else "nothing"
        if present.acts_lost:
            lost = f"{lost}, {counted(present.licenses_lost, 'license')}"
        elif present.rows_lost:
            lost = f"nothing but {lost} about copies of the registry"
        yield Fields(
            (("registry", present.registry_id), ("rows", str(present.size)), ("lost", lost))
        )


@contextmanager
def _folder(invocation: Invocation) -> Iterator[Path]:
    """Yield the folder of the home; create it if needed, and remove it again on failure."""
    path = invocation.home_path
    is_new = not path.exists()
    for warning in home_folder.create(path):
        invocation.warn(warning)
    try:
        yield path
    except BaseException:
        if is_new:
            with suppress(OSError):
                path.rmdir()
        raise
