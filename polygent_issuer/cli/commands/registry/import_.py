"""`polygent-issue registry import`: rebuild the registry from license files."""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer.batch import registry_import
from polygent_issuer.batch.registry_import import ImportPlan
from polygent_issuer.batch.sources import Skipped, gather
from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation, actor
from polygent_issuer.cli.flows.home_setup import create_for_import
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    Recursive,
    YesButFindings,
    argument,
    flag,
    option,
    read_public_keys,
)
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Block, Fields, Line, Table
from polygent_issuer.cli.output.result import Report, hint_json
from polygent_issuer.cli.output.verification import skipped_blocks, skipped_json
from polygent_issuer.errors import ExitCode
from polygent_issuer.files import disk
from polygent_issuer.home import create
from polygent_issuer.registry import REGISTRY_FILE, Registry, change
from polygent_issuer.registry.errors import RegistryMissing
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.text import Hint, counted, escape, run
from polygent_issuer.verifier import Key

_MOST = 20
_NewPublicKeys = Annotated[
    list[Path] | None,
    option(
        "--public-key",
        "FILE",
        "Add the public keys of this PEM or JWKS file (repeatable).",
        readable=False,
    ),
]


def import_files(
    invocation: Invocation,
    named: list[str] = argument(
        "FILE|DIR...", "Import these license files or folders (- for stdin)."
    ),
    *,
    recursive: Recursive = False,
    public_key: _NewPublicKeys = None,
    consents: ConsentOptions,
    dry_run: bool = flag("--dry-run", "Show what would be imported, then stop."),
    yes: YesButFindings = False,
) -> Report:
    """Rebuild the registry from license files.

    Customers, machines and licenses are imported from files whose signature verifies with a public
    key of the registry that is not compromised. If a file is refused, the others are still
    imported (exit 20). Without a registry, --public-key creates a new one. Data that is not in the
    files is lost: labels, contacts, terms, sent marks, order ids, notes, holds, and retired
    licenses with their reasons. In a team's registry --public-key needs the role key-admin, too.

    In a folder, license files are recognised by the ending .lic or by their content; other files
    are skipped and reported.
    """
    typed = consents.parse()
    keys = tuple(read_public_keys(invocation, public_key)) if public_key else ()
    registry_file = invocation.home_path / REGISTRY_FILE
    sources, skipped = gather(named, recursive=recursive, registry=registry_file)
    with _registry(invocation, keys) as registry:
        if keys:
            registry.require_role(Role.KEY_ADMIN)
        decided = change.decide(
            registry,
            lambda db: registry_import.decide(db, sources, keys),
            now=invocation.now,
            actor=actor(None),
        )
    plan = decided.decision
    if dry_run or not plan.new:
        return _report(plan, skipped, done=not dry_run)
    if invocation.interactive:
        result.write_blocks(_preview(plan, skipped), sys.stderr)
    agreed = prompts.obtain_consent(invocation, decided.behind, typed)
    prompts.confirm_or_cancel(invocation, "import these?", yes=yes, default=True)
    if not create.is_complete(invocation.home_path):
        create_for_import(invocation, plan.issuer)
    accepted = agreed.used(decided.behind)
    change.carry_out(
        replace(decided, registry=invocation.registry, actor=invocation.actor),
        lambda db: registry_import.carry_out(db, plan, accepted=accepted, reason=agreed.reason),
        undone="nothing was imported",
    )
    return _report(plan, skipped, done=True)


def _report(plan: ImportPlan, skipped: Sequence[Skipped], *, done: bool) -> Report:
    members = {
        "done": done,
        "files": [_outcome_json(each) for each in plan.outcomes],
        "imported": len(plan.new),
        "refused": len(plan.refused),
        "keys": [key.kid for key in plan.keys],
        "customers": dict(plan.customers),
        "machines": len(plan.machines),
        "replaced": dict(plan.replaced),
        "missing": [{"license": old, "replaced_by": new} for old, new in plan.missing],
        "skipped": skipped_json(skipped),
    }
    code = ExitCode.BATCH if plan.refused else ExitCode.DONE
    return Report(members, _text(plan, skipped, done=done), code)


def _text(plan: ImportPlan, skipped: Sequence[Skipped], *, done: bool) -> Iterable[Block]:
    if not plan.new:
        existing = _count_existing(plan)
        why = f"; {counted(existing, 'file')} already in the registry" if existing else ""
        yield Line(f"nothing to import{why}")
    elif done:
        yield Line(f"imported {counted(len(plan.new), 'license')}", "good")
    else:
        yield Line(f"would import {counted(len(plan.new), 'license')}; nothing was written", "dim")
    yield from _plan_blocks(plan)
    yield from skipped_blocks(skipped)
    if done and plan.new:
        yield Line(f"not in any file, so restore by hand: {registry_import.LOST}", "warn")
        yield Line("files do not contain terms, so the next renewal needs --term", "dim")
    if done and plan.keys:
        command = run("key", "import", "FILE")
        yield Line(Hint("to import the private key, if it is missing: ", command))


def _preview(plan: ImportPlan, skipped: Sequence[Skipped]) -> Iterable[Block]:
    yield Line(f"to import: {counted(len(plan.new), 'license')}", "title")
    yield from _plan_blocks(plan)
    yield from skipped_blocks(skipped)
    yield Line(f"not in any file: {registry_import.LOST}", "dim")


def _plan_blocks(plan: ImportPlan) -> Iterable[Block]:
    existing = _count_existing(plan) if plan.new else 0
    yield Fields(
        (
            ("new public keys", ", ".join(key.kid for key in plan.keys) or None),
            ("new customers", _some([f"{n} ({s})" for s, n in plan.customers.items()])),
            ("new machines", str(len(plan.machines)) if plan.machines else None),
            ("replaced", str(len(plan.replaced)) if plan.replaced else None),
            ("already imported", str(existing) if existing else None),
        )
    )
    if plan.refused:
        yield Line(f"refused: {len(plan.refused)}", "bad")
        rows = tuple((each.name, each.code, each.message) for each in plan.refused)
        yield Table(("file", "code", "why"), rows)
        names_by_hint: dict[str, list[str]] = {}
        for each in plan.refused:
            if each.hint:
                names_by_hint.setdefault(each.hint, []).append(each.name)
        for hint, names in names_by_hint.items():
            yield Line(Hint(f"hint for {_some(names)}: ", hint), "dim")
    for old, new in plan.missing[:_MOST]:
        yield Line(f"file missing: license {old}, replaced by {new[:8]}", "warn")
    if len(plan.missing) > _MOST:
        yield Line(f"and {len(plan.missing) - _MOST} more missing files", "warn")


def _count_existing(plan: ImportPlan) -> int:
    return sum(isinstance(each, registry_import.ExistingLicense) for each in plan.outcomes)


def _some(names: list[str]) -> str | None:
    more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more if names else None


def _outcome_json(each: registry_import.Outcome) -> dict[str, Any]:
    if isinstance(each, registry_import.RejectedFile):
        why = {"code": each.code, "message": each.message, **hint_json(each.hint)}
        return {"file": each.name, "outcome": "refused", **why}
    outcome = "imported" if isinstance(each, registry_import.ImportedLicense) else "there"
    ids = {"license": each.license.jti, "customer": each.license.sub}
    return {"file": each.name, "outcome": outcome, **ids}


@contextmanager
def _registry(invocation: Invocation, keys: tuple[Key, ...]) -> Iterator[Registry]:
    """Yield the registry to decide on; a temporary empty one if it does not exist yet."""
    if create.is_complete(invocation.home_path):
        yield invocation.registry
        return
    if not keys:
        raise RegistryMissing(
            f"no registry at {escape(str(invocation.home_path))}, so no public keys to verify "
            "licenses with",
            hint="add --public-key FILE with the public key that your customers' servers have",
        )
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        disk.cannot_write(Path(tempfile.gettempdir()), error, into=True)
    with (
        folder as name,
        Registry.create(
            Path(name) / REGISTRY_FILE,
            now=invocation.now,
            actor=actor(None),
            registry_id=invocation.new_id(),
        ) as empty,
    ):
        yield empty
