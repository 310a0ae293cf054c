"""`polygent-issue config set`: change one setting; the comments of the file stay."""

from collections.abc import Mapping
from typing import Annotated

from polygent_issuer.cli.commands.config.show import display_value
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import InvalidSettings
from polygent_issuer.hints import Hint, run
from polygent_issuer.home import settings, settings_editing
from polygent_issuer.home.settings import KEYS, Settings, kind_of

_NOTHING = frozenset({"none", "unknown", "not set"})


def set_value(
    invocation: Invocation,
    key: Annotated[
        str, argument("KEY", "As config show names it, such as not_due.", candidates.settings)
    ],
    value: Annotated[
        str,
        argument(
            "VALUE", "As config show prints it; none takes it out.", candidates.setting_values
        ),
    ],
) -> Report:
    """Change a setting, and say what it was.

    What the settings would not load with is refused, and nothing is written then. A new plan
    begins as a copy: config set plans.NEW standard-annual; then change its keys.
    """
    home = invocation.home
    before: Mapping[str, str | None] | None
    try:
        before = settings.load(home, {}).texts
    except InvalidSettings:
        before = None  # a file that this may mend
    try:
        settings_editing.set_value(home, key, _meant(key, value))
    except InvalidSettings as refused:
        raise InvalidSettings(refused.message, hint=_with_example(key, refused)) from None
    after = settings.load(home, {})
    if key == "operator" and settings.OPERATOR_VARIABLE in invocation.environ:
        invocation.warn(f"{settings.OPERATOR_VARIABLE} is set, and counts more than the file")
    old = None if before is None else _text(before, key)
    new = _text(after.texts, key)
    if before is None:
        line = Line(f"{key}: {display_value(new)} (the file could not be read before)", "good")
    elif old == new:
        line = Line(f"{key}: {display_value(new)}, as before", "dim")
    else:
        line = Line(f"{key}: {display_value(old)} → {display_value(new)}", "good")
    path = str(settings.settings_path(home))
    return Report({"path": path, "key": key, "old": old, "new": new}, [line])


def _meant(key: str, value: str) -> str:
    """The value, empty where the word for nothing was typed, as `config show` prints it."""
    word = value.strip().casefold()
    if settings_editing.plan_of(key):
        return "" if word in _NOTHING else value
    may_be_unset = getattr(Settings(), key, value) is None
    if (may_be_unset and word in _NOTHING) or (key == "features" and word == "none"):
        return ""
    return value


def _text(texts: Mapping[str, str | None], key: str) -> str | None:
    """What a key says; of a plan as a whole, all of its keys."""
    if settings_editing.plan_of(key) is None:
        return texts.get(key)
    parts = (
        f"{name.removeprefix(f'{key}.')} {text}"
        for name, text in texts.items()
        if name.startswith(f"{key}.")
    )
    return "; ".join(parts) or None


def _with_example(key: str, refused: InvalidSettings) -> str | None:
    """The hint, and a value that this setting takes, where it was the value that was refused."""
    hint = refused.hint or ""
    try:
        kind = kind_of(key)
    except InvalidSettings:
        return refused.hint
    complete = hint.startswith(("did you mean", "write the absolute path"))  # examples begin with ~
    if complete or not refused.message.startswith(f"{key}: "):
        return refused.hint
    as_typed = kind.example.strip('["]').replace('", "', ",")  # which is TOML
    example = KEYS[key].example if key in KEYS else ""
    command = Hint("for example ", run("config", "set", key, example or as_typed))
    return Hint(hint, "; ", command) if hint else command
