"""`polygent-issue registry move`: move the registry to PostgreSQL, or back into a file."""

from collections.abc import Iterable
from dataclasses import MISSING, replace
from pathlib import Path

from polygent_issuer import registry_uri
from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    Yes,
    flag,
    option,
)
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import InputRefused
from polygent_issuer.home import team_settings
from polygent_issuer.home.settings_editing import set_value
from polygent_issuer.registry import REGISTRY_FILE, moving
from polygent_issuer.registry.database import place_text
from polygent_issuer.registry.errors import Place
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.registry.moving import Move, Target
from polygent_issuer.text import Hint, escape, run


def move(
    invocation: Invocation,
    *,
    to: str = option(
        "--to",
        "PLACE",
        "Move it to postgresql://…, or into the home's file (sqlite:).",
        default=MISSING,
    ),
    consents: ConsentOptions,
    dry_run: bool = flag("--dry-run", "Show what would be moved, then stop."),
    yes: Yes = False,
) -> Report:
    """Move the registry to PostgreSQL, or back.

    Other commands cannot write meanwhile. The copy is compared row by row, and its journal is
    verified. Then the old registry is closed: its content stays, and each command on it stops with
    the new place (registry_moved). The setting registry of this home is changed. Other homes join
    with init --registry. A database needs a role that may create a schema.

    If the move is interrupted, the same command finishes it.
    """
    file = invocation.home / REGISTRY_FILE
    new = _target(to, file)
    old = moving.origin(invocation.registry_place, new)
    if old == new:
        kept = None if isinstance(new, Path) else moving.set_file_aside(file, new, invocation.now)
        return _already(new, kept)
    typed = consents.parse()
    planned = moving.examine(old, new, invocation.now)
    if dry_run:
        return _planned(planned)
    agreed = prompts.obtain_consent(invocation, planned.findings, typed)
    preview = [Line("move the registry", "title"), _fields(planned), *_notes(planned)]
    prompts.confirm_or_cancel(invocation, "move the registry?", yes=yes, preview=preview)
    size, digest = moving.carry_out(
        planned,
        consent=agreed,
        now=invocation.now,
        actor=invocation.actor,
        fill=team_settings.filling(team_settings.table_of(invocation.own_settings)),
    )
    set_value(invocation.home, "registry", new if isinstance(new, str) else "")
    kept = None if isinstance(new, Path) else moving.set_file_aside(file, new, invocation.now)
    return _moved(replace(planned, size=size, head=digest), kept)


def _target(to: str, file: Path) -> Place:
    if registry_uri.is_database(to):
        return registry_uri.parse(to)
    path = to.removeprefix(moving.SQLITE)
    if to != path and path in ("", str(file)):
        return file
    raise InputRefused(
        f"the registry cannot be moved to {escape(to)}",
        hint=f"give {registry_uri.EXAMPLE}, or sqlite: for the file {escape(str(file))}",
    )


def _members(planned: Move, *, done: bool, kept: Path | None = None) -> dict[str, object]:
    return {
        "done": done,
        "from": place_text(planned.old),
        "to": place_text(planned.new),
        "registry_id": planned.registry_id,
        "licenses": planned.licenses,
        "size": planned.size,
        "head": head_text(planned.size, planned.head),
        "kept": None if kept is None else str(kept),
    }


def _planned(planned: Move) -> Report:
    done = Line("would move the registry; nothing was changed", "dim")
    return Report(_members(planned, done=False), [done, _fields(planned), *_notes(planned)])


def _moved(moved: Move, kept: Path | None) -> Report:
    text = [
        Line(f"moved the registry to {place_text(moved.new)}", "good"),
        Fields((("rows", str(moved.size)), ("head", head_text(moved.size, moved.head)))),
        *_kept(kept),
        Line("save the head elsewhere: it reveals a replaced or older backup", "dim"),
    ]
    if isinstance(moved.new, str):
        roles = run("registry", "roles", "--sql")
        text.append(Line(Hint("next, the database's administrator grants the roles: ", roles)))
    return Report(_members(moved, done=True, kept=kept), text)


def _already(new: Place, kept: Path | None) -> Report:
    """Report that the registry is there already; `kept` if an interrupted move was finished."""
    there = place_text(new)
    unknown = dict.fromkeys(("registry_id", "licenses", "size", "head"))
    members = {"done": True, "from": there, "to": there, **unknown, "kept": kept and str(kept)}
    return Report(members, [Line(f"the registry is already in {there}"), *_kept(kept)])


def _fields(planned: Move) -> Fields:
    return Fields(
        (
            ("from", place_text(planned.old)),
            ("to", place_text(planned.new)),
            ("registry", planned.registry_id),
            ("licenses", str(planned.licenses)),
            ("rows", str(planned.size)),
            ("head", head_text(planned.size, planned.head)),
        )
    )


def _notes(planned: Move) -> Iterable[Block]:
    if planned.target is Target.MOVED:
        yield Line("it was moved there already; only the setting of this home changes")
    elif planned.closed:
        yield Line("an interrupted move is finished")
    elif planned.target is Target.UNFINISHED:
        yield Line("the copy of an interrupted move is replaced")


def _kept(kept: Path | None) -> Iterable[Block]:
    if kept is not None:
        yield Line("the old file is kept, closed for commands:", "dim")
        yield Line(str(kept), indent=1)
