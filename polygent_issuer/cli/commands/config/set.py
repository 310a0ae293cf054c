"""`polygent-issue config set`: change a setting and keep the comments of the file."""

from collections.abc import Mapping
from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.commands.config.show import display_value
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import InvalidSettings
from polygent_issuer.home import settings, settings_editing, team_settings
from polygent_issuer.home.folder import settings_text
from polygent_issuer.home.registry_place import registry_place
from polygent_issuer.home.settings import KEYS, Settings
from polygent_issuer.home.settings_editing import kind_of, plan_of
from polygent_issuer.registry import change
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.registry.team_settings import NAMES
from polygent_issuer.text import Hint, run

_UNSET_WORDS = frozenset({"none", "unknown", "not set"})


def set_value(
    invocation: Invocation,
    key: Annotated[str, argument("KEY", "Select a setting, such as not_due.", candidates.settings)],
    value: Annotated[
        str,
        argument("VALUE", "Set this value (none clears the setting).", candidates.setting_values),
    ],
) -> Report:
    """Change a setting.

    Keys and values have the form that config show prints. An invalid value is refused, and the
    file stays unchanged. A new plan starts as a copy of another: config set plans.NEW
    standard-annual; then change its keys.

    The issuer, upload window, plans, default plan, features and require_order_id of a team are in
    its registry, with the journal. To change them there you need the role manager.
    """
    if team_settings.is_shared(key) and _is_in_registry(invocation):
        return _set_in_registry(invocation, key, _normalized(key, value))
    home = invocation.home
    if key == "registry":
        raise InvalidSettings(
            "the registry of a home is not changed by a setting: its content would stay behind",
            hint=Hint(
                run("registry", "move", "--to", "PLACE"),
                " moves it; a new home joins a team's registry: ",
                run("init", "--registry", "URI"),
            ),
        )
    before: Mapping[str, str | None] | None
    try:
        before = settings.load(home, {}).texts
    except InvalidSettings:
        before = None  # the new value may fix the file
    try:
        settings_editing.set_value(home, key, _normalized(key, value))
    except InvalidSettings as refused:
        raise InvalidSettings(refused.message, hint=_with_example(key, refused)) from None
    after = settings.load(home, {})
    if key == "operator" and settings.OPERATOR_VARIABLE in invocation.environ:
        invocation.warn(f"{settings.OPERATOR_VARIABLE} is set and overrides the settings file")
    old = None if before is None else _text(before, key)
    new = _text(after.texts, key)
    path = str(settings.settings_path(home))
    return _report(path, key, old, new, was_readable=before is not None)


def _report(
    path: str, key: str, old: str | None, new: str | None, *, was_readable: bool = True
) -> Report:
    if not was_readable:
        line = Line(f"{key}: {display_value(new)} (the old value was unreadable)", "good")
    elif old == new:
        line = Line(f"{key} is already {display_value(new)}; nothing was changed", "dim")
    else:
        line = Line(f"{key}: {display_value(old)} → {display_value(new)}", "good")
    return Report({"path": path, "key": key, "old": old, "new": new}, [line])


def _is_in_registry(invocation: Invocation) -> bool:
    """Return whether the registry has the settings of the team, or is to have them."""
    return isinstance(registry_place(invocation.home), str) or invocation.team is not None


def _set_in_registry(invocation: Invocation, key: str, text: str) -> Report:
    path, place = settings.settings_path(invocation.home), invocation.registry.place
    invocation.registry.require_role(Role.MANAGER)
    before, file = invocation.loaded, (settings_text(path), path)
    try:
        decided = invocation.decide(lambda db: team_settings.decide(db, place, file, key, text))
    except InvalidSettings as refused:
        raise InvalidSettings(refused.message, hint=_with_example(key, refused)) from None
    change.carry_out(decided.unasked(), lambda db: team_settings.write(db, decided.decision))
    after = team_settings.team_of(decided.decision.after, place)
    new = settings.load(invocation.home, invocation.environ, after)
    if invocation.team is None:
        invocation.note(f"from now on the registry has these settings: {', '.join(NAMES)}")
    return _report(str(place), key, _text(before.texts, key), _text(new.texts, key))


def _normalized(key: str, value: str) -> str:
    """Return the value; empty for `none`, `unknown` and `not set`, as `config show` prints it."""
    word = value.strip().casefold()
    if plan_of(key):
        return "" if word in _UNSET_WORDS else value
    may_be_unset = getattr(Settings(), key, value) is None or key.startswith("backups.")
    if (may_be_unset and word in _UNSET_WORDS) or (key == "features" and word == "none"):
        return ""
    return value


def _text(texts: Mapping[str, str | None], key: str) -> str | None:
    """Return the value of a key; for a whole plan, the values of all its keys."""
    if plan_of(key) is None:
        return texts.get(key)
    parts = (
        f"{name.removeprefix(f'{key}.')} {text}"
        for name, text in texts.items()
        if name.startswith(f"{key}.")
    )
    return "; ".join(parts) or None


def _with_example(key: str, refused: InvalidSettings) -> str | None:
    """Return the hint, with an example of a valid value if the value was refused."""
    hint = refused.hint or ""
    try:
        kind = kind_of(key)
    except InvalidSettings:
        return refused.hint
    complete = hint.startswith(("did you mean", "write the absolute path"))  # examples begin with ~
    if complete or not refused.message.startswith(f"{key}: "):
        return refused.hint
    as_typed = kind.example.strip('["]').replace('", "', ",")  # the example is TOML
    example = KEYS[key].example if key in KEYS else ""
    command = Hint("for example ", run("config", "set", key, example or as_typed))
    return Hint(hint, "; ", command) if hint else command
