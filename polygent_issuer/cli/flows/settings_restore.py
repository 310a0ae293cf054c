"""The settings in a backup: show how they differ, ask once, and use them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Block, Line, Table
from polygent_issuer.delivery import backup_settings
from polygent_issuer.delivery.backup_settings import MAIL_TEMPLATE, Difference
from polygent_issuer.errors import InputRefused, OutputProblem
from polygent_issuer.home import team_settings
from polygent_issuer.home.settings import settings_path
from polygent_issuer.registry.backup import CheckedBackup
from polygent_issuer.text import Hint, run

# Of a foreign mail template, which may be made so that a comparison takes long.
_MOST_COMPARED: Final = 500
_MOST_LINES: Final = 40


class Choice(StrEnum):
    """The use of the settings in a backup."""

    KEEP = "keep"
    RESTORE = "restore"
    ONLY = "only"


SettingsOption = Annotated[
    Choice | None, option("--settings", None, "Restore or keep the settings, or restore only them.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The settings of a backup and their differences from the present ones.

    Attributes:
        source: the path of the backup, as typed.
        shown: the differences are on the screen already.
        wanted: the operator wants them.
        choice: the option, if it was given.
        new: a settings file did not exist, so its defaults need not be kept.
    """

    source: str
    rows: dict[str, str]
    differences: tuple[Difference, ...]
    shown: bool
    wanted: bool
    choice: Choice | None
    new: bool


def decide_settings(
    invocation: Invocation, home: Path, backup: CheckedBackup, choice: Choice | None, *, yes: bool
) -> Offer:
    """Compare the settings; decide whether to use them, by the option or by asking.

    Settings that are invalid or cannot be compared are a warning, unless the option wants them.

    Raises:
        InputRefused: (`invalid_settings`, `unreadable_input`, …) the same, if they are wanted.
        Stopped: (`declined`) the operator does not want them, and nothing else was to be done.
    """
    new, wanted = not settings_path(home).exists(), choice in (Choice.RESTORE, Choice.ONLY)
    differences: tuple[Difference, ...] = ()
    rows = dict(backup.settings)
    if choice is not Choice.ONLY and team_settings.read(backup.registry) is not None:
        # They are in the registry, which is restored.
        rows = {name: text for name, text in rows.items() if not team_settings.is_shared(name)}
    try:
        differences = backup_settings.compare(home, rows)
    except InputRefused as refused:
        if wanted:
            raise
        invocation.warn(f"{refused.message}; your settings are kept")
    asks = invocation.interactive and not yes and bool(differences) and choice is not Choice.KEEP
    if asks:
        result.write_blocks(_preview(differences, "now", "in the backup"), sys.stderr)
    if asks and choice is None:
        wanted = prompts.confirm("use these settings of the backup, too?", default=new)
    elif asks and choice is Choice.ONLY:
        prompts.require_yes("use these settings?")
    return Offer(
        source=str(backup.source),
        rows=rows,
        differences=differences,
        shown=asks,
        wanted=wanted,
        choice=choice,
        new=new,
    )


def restore_settings(
    invocation: Invocation, home: Path, offer: Offer
) -> tuple[dict[str, Any], list[Block]]:
    """Use the settings if the operator wants them; return JSON members and text of the result.

    Raises:
        OutputProblem: (`output_failed`) a file cannot be written; both have their old content.
    """
    only = run("registry", "restore", offer.source, "--settings", "only")
    kept: tuple[Path, ...] = ()
    if offer.wanted:  # also without differences, to remove what a crash left
        try:
            kept = backup_settings.restore(home, offer.rows, invocation.now, keep_old=not offer.new)
        except OutputProblem as failed:
            done = "" if offer.choice is Choice.ONLY else "the registry was restored, but "
            message = f"{done}the settings are unchanged: {failed.message}"
            raise OutputProblem(message, hint=Hint("once that is fixed: ", only)) from None
    elif offer.differences and not offer.shown and offer.choice is None:
        names = ", ".join(dict.fromkeys(_short(each.name) for each in offer.differences))
        message = f"your settings are kept; the backup has others ({names}); to use them: "
        invocation.note(Hint(message, only))
    members = {
        "settings_restored": offer.wanted and bool(offer.differences),
        "settings_differences": {
            each.name: {"present": each.old, "backup": each.new} for each in offer.differences
        },
        "settings_kept": [str(path) for path in kept],
    }
    return members, [*_report(offer, kept)]


def _report(offer: Offer, kept: tuple[Path, ...]) -> Iterator[Block]:
    if not offer.wanted:
        return
    if not offer.rows:
        yield Line("the backup contains no settings; yours are kept", "warn")
    elif not offer.differences:
        yield Line("your settings are those of the backup already", "dim")
    else:
        yield Line("restored the settings from the backup", "good")
        if kept:
            yield Line("the old settings are kept:", "dim")
        for path in kept:
            yield Line(str(path), indent=1)
        if not offer.shown:
            yield from _preview(offer.differences, "before", "now")


def _preview(differences: tuple[Difference, ...], old: str, new: str) -> Iterator[Block]:
    rows = [(each.name, *_values(each)) for each in differences if each.name != MAIL_TEMPLATE]
    if rows:
        yield Table(("setting", old, new), rows)
    for each in differences:
        if each.name == MAIL_TEMPLATE:
            yield Line(f"mail template (- {old}, + {new})", "title")
            yield from _changed_lines(each)


def _changed_lines(difference: Difference) -> Iterator[Block]:
    old, new = ((text or "").splitlines() for text in (difference.old, difference.new))
    compared = unified_diff(old[:_MOST_COMPARED], new[:_MOST_COMPARED], n=0, lineterm="")
    lines = islice(compared, 2, None)  # without the names of the files
    changed = [line for line in lines if not line.startswith("@@")]
    for line in changed[:_MOST_LINES]:
        yield Line(line, verbatim=True)
    if len(changed) > _MOST_LINES:
        yield Line(f"and {len(changed) - _MOST_LINES} more lines", "dim")
    if max(len(old), len(new)) > _MOST_COMPARED:
        yield Line(f"only the first {_MOST_COMPARED} lines were compared", "warn")


def _values(difference: Difference) -> tuple[str, str]:
    """Return both values as text; of two lists of features only what differs."""
    old, new = difference.old, difference.new
    if old and new and difference.name.endswith("features"):
        before, after = old.split(","), new.split(",")
        added = ", ".join(name for name in after if name not in before)
        removed = ", ".join(name for name in before if name not in after)
        parts = (f"with {added}" if added else "", f"without {removed}" if removed else "")
        return f"{len(before)} features", "; ".join(filter(None, parts)) or "another order"
    return _value(old), _value(new)


def _value(text: str | None) -> str:
    return "not set" if text is None else text.replace(",", ", ") or "none"


def _short(name: str) -> str:
    return "mail template" if name == MAIL_TEMPLATE else name.partition(".")[0]
