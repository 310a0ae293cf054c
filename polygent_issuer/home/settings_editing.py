"""Write the settings: all of them for a new home, or one of them, keeping comments and order."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from textwrap import fill, indent
from typing import Any

from polygent_issuer.errors import InvalidSettings
from polygent_issuer.files import publication
from polygent_issuer.files.disk import Queue
from polygent_issuer.home.folder import BY_HAND, LIMIT, parse, settings_text
from polygent_issuer.home.setting_types import (
    FEATURES,
    KINDS,
    SHIPPED_PLANS,
    SettingType,
    TomlValue,
    invalid,
    plan_toml,
    prefixed,
    refuse_unknown,
    table_at,
)
from polygent_issuer.home.settings import (
    BACKUPS,
    BY_KID,
    KEYS,
    KID,
    PLAN_KEYS,
    TABLES,
    Settings,
    interpret,
    load,
    settings_path,
)
from polygent_issuer.text import Hint, escape, for_toml, nearest, run

Value = TomlValue | dict[str, Any]
"""The value of a setting; a table is a plan, or all plans."""

_PATIENCE = timedelta(seconds=10)
_STORES_HEAD = """\
# Below, in the table stores, key generate and key import record where each private key is, and in
# the table backups where its backups are.
"""
_HEAD = """\
# Settings of polygent-issue. A setting in a comment shows its default or an example; remove the #
# to change it.
#
#   polygent-issue config show              prints the current values and their sources
#   polygent-issue config set KEY VALUE     changes one value and keeps these comments
"""
_PLANS_HEAD = """\
# A plan sets the terms of a customer's first license. Changes here do not affect renewals. Add your
# own plans as [plans.NAME] with the same keys.
""" + "".join(f"#   {key:<16}{about}\n" for key, about in PLAN_KEYS.items())
# Earlier versions ended this comment differently.
_BEFORE_STORES = re.compile(r"^(?=# Below, in the table stores, )", re.MULTILINE)
# The lines of a plan, up to an empty line, a comment or another table.
_PLAN = re.compile(r"^\[plans\.[^\]\n]+\]\n(?:[^\[#\n].*\n)*\n?", re.MULTILINE)
_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\"})


@contextmanager
def settings_lock(home: Path) -> Iterator[None]:
    """Keep other commands from changing the settings at the same time.

    Two keys that are generated at the same time must both get into `stores`. Windows cannot lock a
    folder like this.

    Raises:
        InvalidSettings: (`invalid_settings`) when another command does not finish.
    """
    queue = Queue(home, _PATIENCE)
    if not queue.enter():
        raise InvalidSettings(
            "the settings are locked by another command",
            hint="wait until it has finished, then run this command again",
        )
    try:
        yield
    finally:
        queue.leave()


def default_text(**changes: str | None) -> str:
    """Return a commented settings.toml, with plans as tables; defaults are comments.

    `changes` are values by key, as `config set` takes them; None leaves the default.

    Raises:
        InvalidSettings: (`invalid_settings`) for an unknown key or an invalid value.
    """
    values = {name: _checked(name, text) for name, text in changes.items() if text is not None}
    plans = () if "registry" in values else (plans_text(),)  # a team's are in its registry
    text = "\n".join([_HEAD, *(_key(name, values) for name in KEYS), *plans, _STORES_HEAD])
    interpret(parse(text))
    return text


def plans_text() -> str:
    """Return the shipped plans as TOML tables, after a comment."""
    plans = (plan_text(plan.name, plan_toml(plan)) for plan in SHIPPED_PLANS.values())
    return "\n".join([_PLANS_HEAD, *plans])


def plan_text(name: str, values: Mapping[str, TomlValue]) -> str:
    """Return a plan as a TOML table."""
    lines = [f"[plans.{name}]"]
    for key, value in values.items():
        if isinstance(value, list):
            items = fill(", ".join(map(toml_literal, value)), 96, break_on_hyphens=False)
            lines += [f"{key} = [", indent(f"{items},", "    "), "]"]
        else:
            lines.append(f"{key} = {toml_literal(value)}")
    return "\n".join([*lines, ""])


def toml_literal(value: TomlValue) -> str:
    """Return a value in TOML 1.0."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(toml_literal(item) for item in value)}]"
    return f'"{for_toml(value.translate(_ESCAPES))}"'


def _checked(name: str, text: str) -> TomlValue:
    kind = kind_of(name)
    value = kind.typed(text, name)
    kind.read(value, name)
    return value


def _key(name: str, values: dict[str, TomlValue]) -> str:
    key = KEYS[name]
    about = f"# {key.about[0].upper()}{key.about[1:]}."
    if name in values:
        return f"{about}\n{name} = {toml_literal(values[name])}\n"
    default = getattr(Settings(), name)
    shown = key.example if default is None else key.kind.text(default)
    return f"{about}\n# {name} = {toml_literal(key.kind.typed(shown, name))}\n"


def set_value(home: Path, dotted_key: str, text: str) -> None:
    """Set a setting, or remove it from the file, so that its default applies.

    Args:
        home: the folder of the settings file, which is created if it does not exist.
        dotted_key: `not_due`, `stores.KID`, `plans.trial.users`, or `plans.NAME` for a whole plan.
        text: the value as typed: a text without quotes, `7d`, `25`, `true`, a list as
            `insights,bots` or in TOML. An empty text is an empty list for `features`, and removes
            any other setting. For a new plan it is the plan to copy.

    Raises:
        NotFound: (`not_found`) when the plan to copy does not exist.
        InvalidSettings: (`invalid_settings`) when the key or the value is invalid, or the settings
            would be invalid with it; then nothing is written.
        OutputProblem: (`output_failed`) when the file cannot be written.
    """
    value = typed_value(dotted_key, text, lambda: load(home, {}).settings)
    _rewrite(home, dotted_key.split("."), value)


def typed_value(dotted_key: str, text: str, settings: Callable[[], Settings]) -> Value | None:
    """Return the TOML value of a text for `set_value`; None removes the setting.

    Args:
        settings: returns the current settings, whose plan is copied.
    """
    kind = None if plan_of(dotted_key) else kind_of(dotted_key)
    if not text and kind is not FEATURES:
        return None
    return _checked(dotted_key, text) if kind else _copied_plan(settings(), dotted_key, text)


def _copied_plan(settings: Settings, dotted_key: str, like: str) -> dict[str, TomlValue]:
    """Return a copy of a plan, for a new plan whose keys are changed later."""
    copied = settings.plan(like)
    if plan_of(dotted_key) in settings.plans:
        raise invalid(
            dotted_key,
            "this plan already exists",
            Hint(
                "change one of its keys: ",
                run("config", "set", f"{dotted_key}.users", "25"),
                "; or remove it first: ",
                run("config", "set", dotted_key, "none"),
            ),
        )
    return plan_toml(copied)


def _rewrite(home: Path, keys: Sequence[str], value: Value | None) -> None:
    path = settings_path(home)
    with settings_lock(home):
        text = settings_text(path)
        with prefixed(escape(str(path))):
            before = _with_plans(text) if keys[0] == "plans" else text
            changed_table(parse(before), keys, value)
            after = changed_text(before, {tuple(keys): value})
            if after == before:
                return
        publication.replace(after.encode(), path)


def changed_text(text: str, values: Mapping[tuple[str, ...], Value | None]) -> str:
    """Return the text of a settings file with other values, which is checked.

    Args:
        text: the text of a valid file.
        values: TOML values by key; None removes one. The value of `plans` has all plans.

    Raises:
        InvalidSettings: (`invalid_settings`) when the settings would be invalid or too large.
    """
    present = wanted = parse(text)
    for keys, value in values.items():
        wanted = _changed(wanted, keys, value)
    if repr(wanted) == repr(present):  # by value and type: true is not 1
        return text
    interpret(wanted)
    wanted = present
    for keys, value in values.items():
        before, wanted = wanted, _changed(wanted, keys, value)
        if repr(wanted) != repr(before):
            text = _changed_in(text, keys, value, wanted)
    if len(text.encode()) > LIMIT:
        problem = f"with this value it would be larger than {LIMIT} bytes"
        raise InvalidSettings(problem, hint=BY_HAND)
    return text


def _changed_in(text: str, keys: Sequence[str], value: Value | None, wanted: dict[str, Any]) -> str:
    """Return the text with one value changed; `wanted` is the document that it must mean."""
    after = _in_layout(text, keys, value)
    if after == text or not _means(after, wanted):
        after = _edited(text, keys, value)
    if not _means(after, wanted):
        raise invalid(escape(".".join(keys)), "cannot be changed separately", BY_HAND)
    return after


def changed_table(
    table: dict[str, Any], keys: Sequence[str], value: Value | None
) -> dict[str, Any]:
    """Return a document with one value set or removed; it is not checked as a whole.

    Raises:
        InvalidSettings: (`invalid_settings`) for a key of an unknown plan.
    """
    _require_plan(table, keys, value)
    return _changed(table, keys, value)


def _require_plan(present: dict[str, Any], keys: Sequence[str], value: Value | None) -> None:
    """Refuse a key of an unknown plan: a plan cannot be created key by key."""
    plans = present.get("plans")
    if value is None or len(keys) != len(("plans", "NAME", "KEY")) or not isinstance(plans, dict):
        return
    name, key = keys[1:]
    if name in plans:
        return
    suggestion = nearest(name, plans)
    meant = f"did you mean plans.{suggestion}.{key}? or " if suggestion else ""
    like = suggestion or next(iter(plans), "PLAN")
    raise invalid(
        f"plans.{escape(name)}",
        "unknown plan",
        Hint(f"{meant}create it as a copy: ", run("config", "set", f"plans.{name}", like)),
    )


def _with_plans(text: str) -> str:
    """Return the text with plans: the shipped ones, if it has none."""
    if "plans" in parse(text):
        return text
    return f"{text.rstrip()}\n\n{plans_text()}".lstrip()


def _changed(table: dict[str, Any], keys: Sequence[str], value: Value | None) -> dict[str, Any]:
    """Return the document with one value set or removed."""
    wanted = copy.deepcopy(table)
    inner: Any = wanted
    for depth, key in enumerate(keys[:-1], start=1):
        if value is None and key not in inner:
            return wanted
        inner = table_at(inner.setdefault(key, {}), ".".join(keys[:depth]))
    if value is not None:
        inner[keys[-1]] = value
    else:
        inner.pop(keys[-1], None)
        if inner == {} and keys[0] == BACKUPS:
            del wanted[BACKUPS]
    return wanted


def _in_layout(text: str, keys: Sequence[str], value: Value | None) -> str:
    """Return the text edited in the layout of `init`.

    In another layout the result may be unchanged or wrong, so the caller checks it.
    """
    name = re.escape(keys[-1])
    if keys == ("plans",) and isinstance(value, dict):
        plans = "\n".join(plan_text(each, values) for each, values in value.items())
        return _BEFORE_STORES.sub(lambda _: f"{plans}\n", _PLAN.sub("", text), count=1)
    if keys[0] == "plans" and len(keys) == len(("plans", "NAME")):
        if isinstance(value, dict):  # after the last plan
            return _BEFORE_STORES.sub(lambda _: f"{plan_text(keys[1], value)}\n", text)
        # The lines of the plan, up to an empty line, a comment or another table.
        lines = rf"^\[plans\.{name}\]\n(?:[^\[#\n].*\n)*\n?"
        return re.sub(lines, "", text, flags=re.MULTILINE)
    if len(keys) == 1 and value is not None and not isinstance(value, dict):
        # Replaces the commented default; the result is wrong if there are two such lines.
        written = f"{keys[0]} = {toml_literal(value)}"
        line = rf"^#[ \t]*{name}[ \t]*=[^\r\n]*"
        return re.sub(line, lambda _: written, text, flags=re.MULTILINE)
    return text


def _means(text: str, wanted: dict[str, Any]) -> bool:
    with suppress(InvalidSettings):
        return parse(text) == wanted
    return False


def _edited(text: str, keys: Sequence[str], value: Value | None) -> str:
    import tomlkit  # noqa: PLC0415 - slow to import, and only edits need it
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - the same

    try:
        document = tomlkit.parse(text)
        inner: Any = document
        for key in keys[:-1]:
            if key not in inner:
                inner[key] = tomlkit.table()
            inner = inner[key]
        if value is not None:
            inner[keys[-1]] = (
                value if isinstance(value, dict) else tomlkit.value(toml_literal(value))
            )
        elif keys[-1] in inner:
            del inner[keys[-1]]
            if not inner and keys[0] == BACKUPS:
                del document[BACKUPS]
                return f"{tomlkit.dumps(document).rstrip()}\n"
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError, RecursionError):
        raise invalid(
            escape(".".join(keys)), "cannot be changed by this command", BY_HAND
        ) from None


def kind_of(dotted: str) -> SettingType:
    """Return the type of the value at a dotted key: `not_due`, `stores.KID`, `plans.trial.users`.

    Raises:
        InvalidSettings: (`invalid_settings`) for an unknown key; the hint names a similar one.
    """
    first, *rest = dotted.split(".")
    refuse_unknown([first], (*KEYS, *TABLES))
    if first in KEYS:
        if rest:
            raise invalid(escape(dotted), f"{first} is a single value", f"use the key {first}")
        return KEYS[first].kind
    if first in BY_KID:
        if len(rest) != 1 or not KID.fullmatch(rest[0]):
            hint = Hint(run("key", "show", "LABEL"), " prints the whole KID")
            raise invalid(escape(dotted), f"must be {first}.KID with the whole KID of a key", hint)
        return BY_KID[first]
    if len(rest) != 2:  # noqa: PLR2004 - the plan and its key
        keys = ", ".join(KINDS)
        raise invalid(escape(dotted), "not a single value", f"use plans.NAME.KEY; keys: {keys}")
    refuse_unknown([rest[1]], KINDS, f"plans.{escape(rest[0])}")
    return KINDS[rest[1]]


def plan_of(dotted_key: str) -> str | None:
    """Return the name of the plan if a key is a whole plan (`plans.NAME`)."""
    table, _, name = dotted_key.partition(".")
    return name if table == "plans" and name and "." not in name else None
