"""`polygent-issue registry import`: the registry again, from signed license files."""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer.batch import registry_import
from polygent_issuer.batch.registry_import import (
    LOST,
    ExistingLicense,
    ImportedLicense,
    ImportPlan,
    Outcome,
    RejectedFile,
)
from polygent_issuer.batch.registry_import import carry_out as take_in
from polygent_issuer.batch.sources import Skipped, gather
from polygent_issuer.cli import consent, prompts
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.cli.flows.home_setup import begin_anew
from polygent_issuer.cli.options.input_files import (
    Recursive,
    read_public_keys,
    skipped_blocks,
    skipped_json,
)
from polygent_issuer.cli.output import streams
from polygent_issuer.cli.output.json_text import hint_json
from polygent_issuer.cli.output.model import Block, Fields, Line, Table
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.files import disk
from polygent_issuer.home import create
from polygent_issuer.registry import REGISTRY_FILE, Registry, change
from polygent_issuer.registry.errors import RegistryMissing
from polygent_issuer.text import escape
from polygent_issuer.verifier import Key

_MOST = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport(Result):
    """What became of each file.

    Attributes:
        done: False for a dry run.
        skipped: what else is in the folders.
    """

    rebuild: ImportPlan
    done: bool
    skipped: Sequence[Skipped]

    @property
    def exit_code(self) -> ExitCode:
        """20 when a file was refused."""
        return ExitCode.BATCH if self.rebuild.refused else ExitCode.DONE

    def to_json(self) -> Mapping[str, Any]:
        """Each file with its outcome, and what was added."""
        rebuild = self.rebuild
        return {
            "done": self.done,
            "files": [_item(each) for each in rebuild.outcomes],
            "imported": len(rebuild.new),
            "refused": len(rebuild.refused),
            "keys": [key.kid for key in rebuild.keys],
            "customers": dict(rebuild.customers),
            "machines": len(rebuild.machines),
            "replaced": dict(rebuild.replaced),
            "missing": [{"license": old, "replaced_by": new} for old, new in rebuild.missing],
            "skipped": skipped_json(self.skipped),
        }

    def blocks(self) -> Iterable[Block]:
        """What was added, what was refused and why, and what cannot come back."""
        rebuild = self.rebuild
        if not rebuild.new:
            there = _there(rebuild)
            are = "is" if there == 1 else "are"
            told = f"; {there} of the files {are} in the registry already" if there else ""
            yield Line(f"nothing to import{told}")
        elif self.done:
            yield Line(f"imported {_licenses(len(rebuild.new))}", "good")
        else:
            yield Line(f"would import {_licenses(len(rebuild.new))}; nothing was written", "dim")
        yield from _told(rebuild)
        yield from skipped_blocks(self.skipped)
        if self.done and rebuild.new:
            yield Line(f"not in any file, so to be done by hand: {LOST}", "warn")
            yield Line("a renewal asks for --term, since no file says it", "dim")
        if self.done and rebuild.keys:
            yield Line("the key's private half, if it is not here: polygent-issue key import FILE")


def preview(rebuild: ImportPlan, others: Sequence[Skipped]) -> Iterable[Block]:
    """Yield the licenses to import, and the files that were skipped."""
    yield Line(f"to import: {_licenses(len(rebuild.new))}", "title")
    yield from _told(rebuild)
    yield from skipped_blocks(others)
    yield Line(f"not in any file: {LOST}", "dim")


def _told(rebuild: ImportPlan) -> Iterable[Block]:
    there = _there(rebuild) if rebuild.new else 0
    yield Fields(
        (
            ("keys pinned", ", ".join(key.kid for key in rebuild.keys) or None),
            ("new customers", _some([f"{n} ({s})" for s, n in rebuild.customers.items()])),
            ("new machines", str(len(rebuild.machines)) if rebuild.machines else None),
            ("replaced", str(len(rebuild.replaced)) if rebuild.replaced else None),
            ("there already", str(there) if there else None),
        )
    )
    if rebuild.refused:
        yield Line(f"refused: {len(rebuild.refused)}", "bad")
        rows = tuple((each.name, each.code, each.message) for each in rebuild.refused)
        yield Table(("file", "code", "why"), rows)
        hinted: dict[str, list[str]] = {}
        for each in rebuild.refused:
            if each.hint:
                hinted.setdefault(each.hint, []).append(each.name)
        for hint, names in hinted.items():
            yield Line(f"hint for {_some(names)}: {hint}", "dim")
    for old, new in rebuild.missing[:_MOST]:
        yield Line(f"no file of license {old}, which {new[:8]} replaced", "warn")
    if len(rebuild.missing) > _MOST:
        yield Line(f"and of {len(rebuild.missing) - _MOST} more", "warn")


def _there(rebuild: ImportPlan) -> int:
    return sum(isinstance(each, ExistingLicense) for each in rebuild.outcomes)


def _some(names: list[str]) -> str | None:
    more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more if names else None


def _licenses(count: int) -> str:
    return f"{count} license{'' if count == 1 else 's'}"


def _item(each: Outcome) -> dict[str, Any]:
    if isinstance(each, RejectedFile):
        told = {"code": each.code, "message": each.message, **hint_json(each.hint)}
        return {"file": each.name, "outcome": "refused", **told}
    outcome = "imported" if isinstance(each, ImportedLicense) else "there"
    held = each.license
    return {"file": each.name, "outcome": outcome, "license": held.jti, "customer": held.sub}


def import_files(
    invocation: Invocation,
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|DIR...", help="License files, or folders of them; - is stdin."
        ),
    ],
    *,
    recursive: Recursive = False,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--public-key",
            metavar="FILE",
            help="Pin this PEM or JWKS first; repeatable.",
            readable=False,  # reading it says what is wrong
        ),
    ] = None,
    consents: ConsentOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be imported and stop.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Go ahead without asking; accepts no finding.")
    ] = False,
) -> ImportReport:
    """Rebuild customers, machines and licenses from signed license files alone.

    A file is taken in when it verifies under a pinned key that is not compromised; one that is
    refused holds up no other (exit 20). Without a registry --public-key begins a new one. What
    no file says does not come back: labels, contacts, terms, what was sent or retired and why.

    In a folder a file is a license by its ending (.lic) or by its content; what else is in it is
    counted and named.
    """
    given = consent.given(consents)
    keys = tuple(read_public_keys(invocation, public_key)) if public_key else ()
    registry_file = invocation.home_path / REGISTRY_FILE
    sources, others = gather(named, recursive=recursive, registry=registry_file)
    with _registry(invocation, keys) as registry:
        decided = change.decide(
            registry,
            lambda db: registry_import.decide(db, sources, keys),
            now=invocation.now,
            actor=actor(None),
        )
    rebuilt = decided.decision
    if dry_run or not rebuilt.new:
        return ImportReport(rebuild=rebuilt, done=not dry_run, skipped=others)
    if invocation.interactive:
        streams.write_blocks(preview(rebuilt, others), sys.stderr)
    agreed = consent.obtain(invocation, decided.behind, given)
    if invocation.interactive and not yes:
        prompts.go_ahead("import these?", default=True)
    if not create.is_complete(invocation.home_path):
        begin_anew(invocation, rebuilt.issuer)
    accepted = agreed.used(decided.behind)
    change.carry_out(
        replace(decided, registry=invocation.registry, actor=invocation.actor),
        lambda db: take_in(db, rebuilt, accepted=accepted, reason=agreed.reason),
        undone="nothing was imported",
    )
    return ImportReport(rebuild=rebuilt, done=True, skipped=others)


@contextmanager
def _registry(invocation: Invocation, keys: tuple[Key, ...]) -> Iterator[Registry]:
    """The registry to decide on; an empty one, thrown away, where there is none yet.

    Raises:
        RegistryMissing: (`registry_missing`) when there is none, and no key to begin one with.
    """
    if create.is_complete(invocation.home_path):
        yield invocation.registry
        return
    if not keys:
        raise RegistryMissing(
            f"there is no registry at {escape(str(invocation.home_path))}, so no key is pinned by "
            "which a license could be judged",
            hint="add --public-key FILE, the public half that your customers' servers have",
        )
    with _throw_away() as folder:
        blank = Registry.create(
            folder / REGISTRY_FILE,
            now=invocation.now,
            actor=actor(None),
            registry_id=invocation.new_id(),
        )
        with blank:
            yield blank


@contextmanager
def _throw_away() -> Iterator[Path]:
    """A folder for the duration of the block; what cannot be removed of it is left.

    Raises:
        OutputProblem: (`output_failed`) when it cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        disk.cannot_write(Path(tempfile.gettempdir()), error, into=True)
    with folder as name:
        yield Path(name)
