"""The settings in a backup, with which the next operator signs and mails as the first one does.

A backup takes the settings of `SETTINGS`, the plans and the mail template along, each as the text
that `config set` takes. It takes no others: a key store, a path or a module of another machine
could move keys or run code, and the operator's name is that of another person.

The journal does not record these rows, so a restore treats them as foreign: they are checked as a
settings file is, compared with the present settings, and used only if the operator wants them. Old
files are kept.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from polygent_issuer.delivery import template
from polygent_issuer.errors import InputRefused
from polygent_issuer.files import disk, publication
from polygent_issuer.home.folder import settings_text
from polygent_issuer.home.setting_types import FEATURES, invalid, plan_texts, plan_toml
from polygent_issuer.home.settings import Loaded, Settings, load_text, settings_path
from polygent_issuer.home.settings_editing import changed_text, kind_of, settings_lock
from polygent_issuer.registry.backup import stamp
from polygent_issuer.registry.sqlite_file import free_name
from polygent_issuer.text import Hint, escape_short, option

SETTINGS: Final = (
    "issuer",
    "upload_window",
    "machine_info_max_age",
    "long_term",
    "not_due",
    "lapsed",
    "mail_from",
    "default_plan",
    "features",
    "require_order_id",
)
"""The settings with a single value that a backup takes along, in addition to all plans."""
PLANS: Final = "plans"
MAIL_TEMPLATE: Final = "mail_template"
"""The row with the text of the mail template, which is empty for the default template."""

_TEMPORARY: Final = ".polygent-before-restore-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A setting of a backup that differs from the present one; None if it is not set.

    For `MAIL_TEMPLATE` the values are the texts of the templates.
    """

    name: str
    old: str | None
    new: str | None


def collect(home: Path, loaded: Loaded, *, warn: Callable[[str], None]) -> dict[str, str]:
    """Return the rows of a backup for the present settings of a home.

    An invalid mail template is left out, and `warn` gets the reason.
    """
    rows = {
        key: text or ""
        for key, text in loaded.texts.items()
        if key in SETTINGS or key.startswith(f"{PLANS}.")
    }
    try:
        own = template.load(home)
    except InputRefused as refused:
        warn(f"the backup does not contain the mail template: {refused.message}")
    else:
        rows[MAIL_TEMPLATE] = own.text if own.edited else ""
    return rows


def compare(home: Path, rows: Mapping[str, str]) -> tuple[Difference, ...]:
    """Check the rows of a backup, and return their differences from the present settings.

    Raises:
        InvalidSettings: (`invalid_settings`) for rows that are invalid, or that a backup does not
            contain; and as `settings.load`.
    """
    differences, _ = _decide(home, rows)
    return differences


def restore(
    home: Path, rows: Mapping[str, str], now: datetime, *, keep_old: bool = True
) -> tuple[Path, ...]:
    """Use the settings of a backup; return the paths at which the replaced files are kept.

    Each file is replaced with one rename, the settings file last. After an error both have their
    old content. Nothing else in the settings file changes.

    Args:
        home, rows: the home, and the rows of the backup.
        now: the instant in the names of the kept files.
        keep_old: False if the present settings file has the defaults of a new home.

    Raises:
        InvalidSettings: as `compare`; then nothing was changed.
        OutputProblem: (`output_failed`) when a file cannot be written.
    """
    with settings_lock(home):
        disk.sweep(home, _TEMPORARY)
        for path in (template.template_path(home), settings_path(home)):
            publication.sweep_replacements(path)
        _, contents = _decide(home, rows)
        # A template is never a default: a home without a settings file may have an edited one.
        keep = [path for path in contents if keep_old or path != settings_path(home)]
        return _replace(contents, now, keep)


def _decide(
    home: Path, rows: Mapping[str, str]
) -> tuple[tuple[Difference, ...], Mapping[Path, bytes | None]]:
    """Return the differences, and the new content of each file that changes; None removes it."""
    path, others = settings_path(home), dict(rows)
    new_template = others.pop(MAIL_TEMPLATE, None)
    text = settings_text(path)
    present = load_text(text, path)
    try:
        after = changed_text(text, _values(others, present))
        if new_template:
            template.check_text(new_template, "mail template")
    except InputRefused as refused:
        hint = Hint("restore the registry without them: ", option("--settings", "keep"))
        raise invalid("the settings in the backup", refused.message, hint) from None
    differences = [*_differences(present, load_text(after, path))]
    contents: dict[Path, bytes | None] = {}
    if new_template is not None:
        old = template.own_text(home) or template.DEFAULT
        new = new_template or template.DEFAULT
        if old != new:
            differences.append(Difference(name=MAIL_TEMPLATE, old=old, new=new))
            place = template.template_path(home)
            contents[place] = new_template.encode() if new_template else None
    if after != text:
        contents[path] = after.encode()
    return tuple(differences), contents


def _values(rows: Mapping[str, str], present: Loaded) -> dict[tuple[str, ...], Any]:
    """Return the TOML values of the rows that differ from the present settings."""
    values: dict[tuple[str, ...], Any] = {}
    plans: dict[str, dict[str, Any]] = {}
    for name, text in rows.items():
        table, *rest = name.split(".")
        if name not in SETTINGS and table != PLANS:
            raise invalid(escape_short(name), "not a setting that a backup contains")
        kind = kind_of(name)
        if table == PLANS:
            plans.setdefault(rest[0], {})[rest[1]] = kind.typed(text, name)
        elif text != (present.texts[name] or ""):
            values[(name,)] = kind.typed(text, name) if text or kind is FEATURES else None
    own_plans = [(plan.name, plan_toml(plan)) for plan in present.settings.plans.values()]
    if plans and [*plans.items()] != own_plans:
        values[(PLANS,)] = plans
    return values


def _differences(old: Loaded, new: Loaded) -> Iterator[Difference]:
    def texts(loaded: Loaded) -> dict[str, str | None]:
        return {name: loaded.texts[name] for name in SETTINGS} | dict(_plan_texts(loaded.settings))

    before, after = texts(old), texts(new)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Difference(name=name, old=before.get(name), new=after.get(name))
    names = [[*each.settings.plans] for each in (old, new)]
    if names[0] != names[1] and sorted(names[0]) == sorted(names[1]):  # the first of a tier counts
        yield Difference(name=PLANS, old=",".join(names[0]), new=",".join(names[1]))


def _plan_texts(settings: Settings) -> Iterator[tuple[str, str]]:
    for plan in settings.plans.values():
        for key, text in plan_texts(plan).items():
            yield f"{PLANS}.{plan.name}.{key}", text


def _replace(
    contents: Mapping[Path, bytes | None], now: datetime, keep: Collection[Path]
) -> tuple[Path, ...]:
    """Replace the files one after the other, and put the old ones back on failure.

    The old ones of `keep` are kept under a name with this instant.
    """
    old = {path: _read(path) for path in contents}
    kept = list[Path]()
    try:
        for path, data in old.items():
            if data is not None and path in keep:
                copy = free_name(path.with_name(f"{path.name}.before-restore-{stamp(now)}"))
                temp_name = f"{_TEMPORARY}{os.getpid()}.tmp"
                prepared = publication.prepare(data, copy.parent, temp_name=temp_name, private=True)
                kept.append(prepared.publish(copy.name))
        for path, data in contents.items():
            _write(path, data)
    except BaseException:  # Ctrl-C, too
        for path, data in old.items():
            if _read(path) != data:
                _write(path, data)
        for path in kept:
            disk.remove(path)
        raise
    return tuple(kept)


def _read(path: Path) -> bytes | None:
    if not os.path.lexists(path):
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        disk.cannot_write(path, error)


def _write(path: Path, data: bytes | None) -> None:
    if data is None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            disk.cannot_write(path, error)
        disk.sync_folder(path.parent)
    elif os.path.lexists(path):
        publication.replace(data, path)
    else:
        publication.write_private(data, path)
