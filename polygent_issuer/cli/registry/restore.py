"""`polygent-issue registry restore`: a backup in the place of the registry."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer import founding, home
from polygent_issuer.cli import consent, output, prompts
from polygent_issuer.cli.actor import actor
from polygent_issuer.cli.against import AgainstOption, noted_heads
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.registry.restore_view import Restored, preview
from polygent_issuer.registry import REGISTRY_FILE, candidate, comparison, keys, restoring
from polygent_issuer.registry.clock import clock_behind
from polygent_issuer.settings import Settings, load


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
    with _folder(invocation) as folder, candidate.opened(source, folder, against=heads) as found:
        path = folder / REGISTRY_FILE
        present = comparison.present(path, found)
        with found.registry.reading() as db:
            behind = clock_behind(db, invocation.now)
            labels = {key.kid: key.label for key in keys.every(db) if key.retired_at is None}
        rollback = comparison.rollback_finding(present)
        findings = behind if rollback is None else (rollback, *behind)
        if invocation.interactive:
            output.write_blocks(preview(found, present, path), sys.stderr)
        agreed = consent.obtain(invocation, findings, given)
        if invocation.interactive and present is not None and not yes:
            prompts.go_ahead("put the backup in its place?")
        founding.furnish(folder)
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
