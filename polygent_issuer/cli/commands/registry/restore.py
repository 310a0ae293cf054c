"""`polygent-issue registry restore`: a backup in the place of the registry."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.options.input_files import AgainstOption, noted_heads
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.home import create
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home.settings import load
from polygent_issuer.registry import REGISTRY_FILE, keys
from polygent_issuer.registry import restore as restoring
from polygent_issuer.registry.backup import CheckedBackup, open_backup
from polygent_issuer.registry.journal import clock_behind_finding
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.registry.restore import CurrentRegistry, number


def restore(
    invocation: Invocation,
    source: Annotated[Path, argument("FILE", "A backup of the registry.")],
    *,
    against: AgainstOption = None,
    consents: consent.ConsentOptions,
    yes: consent.YesButFindings = False,
) -> Report:
    """Go back to a backup of the registry, in the home or in a new one.

    The backup is judged to its last row first, and nothing of it is run. A registry that is
    there is kept beside it, never deleted; what it holds that the backup lacks needs consent
    (registry-rollback).
    """
    heads, typed = noted_heads(against), consent.given(consents)
    with _folder(invocation) as folder, open_backup(source, folder, against=heads) as backup:
        path = folder / REGISTRY_FILE
        present = restoring.compare_with_current(path, backup)
        with backup.registry.reading() as db:
            behind = clock_behind_finding(db, invocation.now)
            labels = {key.kid: key.label for key in keys.every(db) if key.retired_at is None}
        rollback = restoring.rollback_finding(present)
        findings = behind if rollback is None else (rollback, *behind)
        if invocation.interactive:
            result.write_blocks(_preview(backup, present, path), sys.stderr)
        agreed = consent.obtain(invocation, findings, typed)
        if present is not None:
            consent.confirm_or_cancel(invocation, "put the backup in its place?", yes=yes)
        create.write_default_settings(folder)
        settings = load(folder, invocation.environ).settings
        set_aside = restoring.restore(
            backup,
            path,
            present,
            findings=findings,
            consent=agreed,
            now=invocation.now,
            actor=actor(settings.operator),
        )
    missing = [label for kid, label in labels.items() if kid not in settings.stores]
    return _report(backup, present, set_aside, missing)


def _report(
    backup: CheckedBackup,
    replaced: CurrentRegistry | None,
    set_aside: Path | None,
    missing: list[str],
) -> Report:
    """Return what is in force now; `missing` are keys that the settings do not place."""
    source, head = str(backup.source.absolute()), head_text(backup.size, backup.head)
    old = replaced if replaced and replaced.readable else None
    aside = None if set_aside is None else str(set_aside)
    members = {
        "file": source,
        "size": backup.size,
        "head": head,
        "replaced": head_text(old.size, old.head) if old else None,
        "journal_rows_lost": old.rows_lost if old else None,
        "licenses_lost": old.licenses_lost if old else None,
        "kept": aside,
        "keys_to_import": missing,
    }
    text: list[Block] = [
        Line(f"restored the registry from {source}", "good"),
        Fields((("rows", str(backup.size)), ("head", head), ("the one before", aside))),
    ]
    if replaced is not None and replaced.licenses_lost:
        text.append(Line("licenses that it lacks come back from their files:", "warn"))
        text.append(Line("polygent-issue registry import FILE", indent=1))
    for label in missing:
        where = f"the settings do not name where the private half of {label} is:"
        text.append(Line(where, "warn"))
        text.append(Line("polygent-issue key import FILE-OF-ITS-BACKUP", indent=1))
    return Report(members, text)


def _preview(backup: CheckedBackup, present: CurrentRegistry | None, path: Path) -> Iterable[Block]:
    """What would be restored over what."""
    yield Line(f"backup {backup.source}", "title")
    head = head_text(backup.size, backup.head)
    yield Fields((("registry", backup.registry_id), ("rows", str(backup.size)), ("head", head)))
    yield Line(f"in place of {path}", "title")
    if present is None:
        yield Line("there is none yet", indent=1)
    elif not present.readable:
        yield Line("it cannot be read", "bad", 1)
    else:
        rows, licenses = present.rows_lost, present.licenses_lost
        lost = f"{number(rows, 'journal row')}, {number(licenses, 'license')}"
        yield Fields(
            (
                ("registry", present.registry_id),
                ("rows", str(present.size)),
                ("lost", lost if present.rows_lost else "nothing"),
            )
        )


@contextmanager
def _folder(invocation: Invocation) -> Iterator[Path]:
    """The folder of the home; one that had to be made is gone again when nothing came of it."""
    path = invocation.home_path
    made = not path.exists()
    for warning in home_folder.create(path):
        invocation.warn(warning)
    try:
        yield path
    except BaseException:
        if made:
            with suppress(OSError):
                path.rmdir()
        raise
