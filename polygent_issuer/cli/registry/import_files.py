"""`polygent-issue registry import`: the registry again, from signed license files."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer import founding
from polygent_issuer.batch import rebuild
from polygent_issuer.batch.sources import gather
from polygent_issuer.batch.taking_in import carry_out as take_in
from polygent_issuer.cli import consent, output, prompts, public_keys
from polygent_issuer.cli.actor import actor
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.home_making import begin_anew
from polygent_issuer.cli.registry.import_view import ImportReport, preview
from polygent_issuer.cli.skipped import Recursive
from polygent_issuer.files import disk
from polygent_issuer.registry import REGISTRY_FILE, Registry, change
from polygent_issuer.registry.errors import RegistryMissing
from polygent_issuer.text import shown
from polygent_issuer.verifier import Key


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
    keys = tuple(public_keys.from_files(invocation, public_key)) if public_key else ()
    registry_file = invocation.home_path / REGISTRY_FILE
    sources, others = gather(named, recursive=recursive, registry=registry_file)
    with _registry(invocation, keys) as registry:
        decided = change.decide(
            registry,
            lambda db: rebuild.decide(db, sources, keys),
            now=invocation.now,
            actor=actor(None),
        )
    rebuilt = decided.decision
    if dry_run or not rebuilt.new:
        return ImportReport(rebuild=rebuilt, done=not dry_run, skipped=others)
    if invocation.interactive:
        output.write_blocks(preview(rebuilt, others), sys.stderr)
    agreed = consent.obtain(invocation, decided.behind, given)
    if invocation.interactive and not yes:
        prompts.go_ahead("import these?", default=True)
    if not founding.is_complete(invocation.home_path):
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
    if founding.is_complete(invocation.home_path):
        yield invocation.registry
        return
    if not keys:
        raise RegistryMissing(
            f"there is no registry at {shown(str(invocation.home_path))}, so no key is pinned by "
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
