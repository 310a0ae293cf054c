"""`polygent-issue registry restore`: a backup in the place of the registry."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.options.input_files import AgainstOption, noted_heads
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.home import create
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home.settings import load
from polygent_issuer.registry import REGISTRY_FILE, keys
from polygent_issuer.registry import restore as restoring
from polygent_issuer.registry.backup import CheckedBackup, open_backup
from polygent_issuer.registry.journal import clock_behind_finding
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.registry.restore import CurrentRegistry, number


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoredRegistry(Result):
    """The registry that is in force now.

    Attributes:
        source: the backup.
        size, head: of its journal.
        replaced: what was there before; None when nothing was.
        set_aside: where that lies now.
        keys_to_import: labels of keys whose private half the settings do not name.
    """

    source: Path
    size: int
    head: str
    replaced: CurrentRegistry | None
    set_aside: Path | None
    keys_to_import: tuple[str, ...]

    def to_json(self) -> Mapping[str, Any]:
        """The backup's `size` and `head`, and what it replaced."""
        old = self.replaced if self.replaced and self.replaced.readable else None
        return {
            "file": str(self.source),
            "size": self.size,
            "head": head_text(self.size, self.head),
            "replaced": head_text(old.size, old.head) if old else None,
            "journal_rows_lost": old.rows_lost if old else None,
            "licenses_lost": old.licenses_lost if old else None,
            "kept": None if self.set_aside is None else str(self.set_aside),
            "keys_to_import": list(self.keys_to_import),
        }

    def blocks(self) -> Iterable[Block]:
        """What is in force, where the old one is, and what is still to do."""
        yield Line(f"restored the registry from {self.source}", "good")
        old = None if self.set_aside is None else str(self.set_aside)
        head = head_text(self.size, self.head)
        yield Fields((("rows", str(self.size)), ("head", head), ("the one before", old)))
        if self.replaced is not None and self.replaced.licenses_lost:
            yield Line("licenses that it lacks come back from their files:", "warn")
            yield Line("polygent-issue registry import FILE", indent=1)
        for label in self.keys_to_import:
            yield Line(f"the settings do not name where the private half of {label} is:", "warn")
            yield Line("polygent-issue key import FILE-OF-ITS-BACKUP", indent=1)


def restore(
    invocation: Invocation,
    source: Annotated[Path, argument("FILE", "A backup of the registry.")],
    *,
    against: AgainstOption = None,
    consents: consent.ConsentOptions,
    yes: consent.YesButFindings = False,
) -> RestoredRegistry:
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
    return RestoredRegistry(
        source=source.absolute(),
        size=backup.size,
        head=backup.head,
        replaced=present,
        set_aside=set_aside,
        keys_to_import=tuple(label for kid, label in labels.items() if kid not in settings.stores),
    )


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
