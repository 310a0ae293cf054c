"""`polygent-issue registry restore`: a backup in the place of the registry."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer.cli import consent, prompts
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.cli.options.input_files import AgainstOption, noted_heads
from polygent_issuer.cli.output import streams
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.home import create
from polygent_issuer.home import folder as home
from polygent_issuer.home.settings import Settings, load
from polygent_issuer.registry import REGISTRY_FILE, backup, keys
from polygent_issuer.registry import restore as restoring
from polygent_issuer.registry.backup import CheckedBackup
from polygent_issuer.registry.journal import clock_behind_finding
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.registry.restore import CurrentRegistry, number


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored(Result):
    """The registry that is in force now.

    Attributes:
        source: the backup.
        size, head: what it held.
        replaced: what was there before; None when nothing was.
        kept: where that lies now.
        unkept: labels of keys whose private half the settings do not name.
    """

    source: Path
    size: int
    head: str
    replaced: CurrentRegistry | None
    kept: Path | None
    unkept: tuple[str, ...]

    def to_json(self) -> Mapping[str, Any]:
        """The backup's `size` and `head`, and what it replaced."""
        gone = self.replaced
        readable = gone is not None and gone.readable
        return {
            "file": str(self.source),
            "size": self.size,
            "head": head_text(self.size, self.head),
            "replaced": head_text(gone.size, gone.head) if gone and readable else None,
            "journal_rows_lost": gone.rows_lost if gone and readable else None,
            "licenses_lost": gone.licenses_lost if gone and readable else None,
            "kept": None if self.kept is None else str(self.kept),
            "keys_to_import": list(self.unkept),
        }

    def blocks(self) -> Iterable[Block]:
        """What is in force, where the old one is, and what is still to do."""
        yield Line(f"restored the registry from {self.source}", "good")
        kept = None if self.kept is None else str(self.kept)
        head = head_text(self.size, self.head)
        yield Fields((("rows", str(self.size)), ("head", head), ("the one before", kept)))
        if self.replaced is not None and self.replaced.licenses_lost:
            yield Line("licenses that it lacks come back from their files:", "warn")
            yield Line("polygent-issue registry import FILE", indent=1)
        for label in self.unkept:
            yield Line(f"the settings do not name where the private half of {label} is:", "warn")
            yield Line("polygent-issue key import FILE-OF-ITS-BACKUP", indent=1)


def preview(
    candidate: CheckedBackup, present: CurrentRegistry | None, path: Path
) -> Iterable[Block]:
    """What would be restored over what."""
    yield Line(f"backup {candidate.source}", "title")
    head = head_text(candidate.size, candidate.head)
    yield Fields(
        (("registry", candidate.registry_id), ("rows", str(candidate.size)), ("head", head))
    )
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


def restore(
    invocation: Invocation,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup of the registry.")],
    *,
    against: AgainstOption = None,
    consents: ConsentOptions,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Go ahead without asking; accepts no finding.")
    ] = False,
) -> Restored:
    """Go back to a backup of the registry, in the home or in a new one.

    The backup is judged to its last row first, and nothing of it is run. A registry that is
    there is kept beside it, never deleted; what it holds that the backup lacks needs consent
    (registry-rollback).
    """
    heads, given = noted_heads(against), consent.given(consents)
    with (
        _folder(invocation) as folder,
        backup.open_backup(source, folder, against=heads) as found,
    ):
        path = folder / REGISTRY_FILE
        present = restoring.present(path, found)
        with found.registry.reading() as db:
            behind = clock_behind_finding(db, invocation.now)
            labels = {key.kid: key.label for key in keys.every(db) if key.retired_at is None}
        rollback = restoring.rollback_finding(present)
        findings = behind if rollback is None else (rollback, *behind)
        if invocation.interactive:
            streams.write_blocks(preview(found, present, path), sys.stderr)
        agreed = consent.obtain(invocation, findings, given)
        if invocation.interactive and present is not None and not yes:
            prompts.go_ahead("put the backup in its place?")
        create.write_default_settings(folder)
        settings = load(folder, invocation.environ).settings
        kept = restoring.restore(
            found,
            path,
            present,
            findings=findings,
            consent=agreed,
            now=invocation.now,
            actor=actor(settings.operator),
        )
    return Restored(
        source=source.absolute(),
        size=found.size,
        head=found.head,
        replaced=present,
        kept=kept,
        unkept=_unkept(settings, labels),
    )


@contextmanager
def _folder(invocation: Invocation) -> Iterator[Path]:
    """The folder of the home; one that had to be made is gone again when nothing came of it."""
    path = invocation.home_path
    made = not path.exists()
    for warning in home.create(path):
        invocation.warn(warning)
    try:
        yield path
    except BaseException:
        if made:
            with suppress(OSError):
                path.rmdir()
        raise


def _unkept(settings: Settings, labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(label for kid, label in labels.items() if kid not in settings.stores)
