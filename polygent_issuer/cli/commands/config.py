"""`polygent-issue config`: show the settings, or change one and keep the comments of the file."""

from collections.abc import Iterable, Mapping
from typing import Any

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument, flag
from polygent_issuer.cli.output.blocks import Block, Fields, Line, Table
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import HomeProblem, InvalidSettings, OutputExists
from polygent_issuer.files import publication
from polygent_issuer.home import settings, settings_editing
from polygent_issuer.home.settings import KEYS, Entry, Loaded, Settings, Where, settings_path
from polygent_issuer.home.settings_editing import kind_of, plan_of
from polygent_issuer.text import Hint, run

_UNSET_WORDS = frozenset({"none", "unknown", "not set"})


def show(
    invocation: Invocation,
    key: str | None = argument(
        "[KEY]",
        "Show only this setting, or a group such as plans.trial.",
        candidates.settings,
        default=None,
    ),
) -> Report:
    """Show the settings and the source of each.

    Each setting is shown with its meaning. The environment overrides the file, and the file
    overrides the defaults. The settings in a team's registry override those in the file.
    """
    path, loaded = settings_path(invocation.home), _loaded(invocation)
    entries = tuple(loaded.entries.values()) if key is None else loaded.entries_of(key)
    members = entries_json(entries)
    for entry in entries:
        members[entry.key]["about"] = entry.about
    text = [Line(f"settings file: {path}", "dim")]
    if loaded.overridden:
        names = ", ".join(loaded.overridden)
        text.append(Line(f"overridden by the registry, so without effect there: {names}", "dim"))
    return Report(
        {"path": str(path), "overridden": list(loaded.overridden), "settings": members},
        [*text, *_tables(entries, explained=key is not None)],
    )


def _loaded(invocation: Invocation) -> Loaded:
    """Return the settings; those of the home alone if the registry cannot be read."""
    try:
        return invocation.loaded
    except HomeProblem as problem:
        own = invocation.own_settings
        invocation.warn(f"settings in the registry are not shown: {problem.message}")
        return own


def entries_json(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the JSON members of settings by dotted key."""
    return {
        entry.key: {
            "value": entry.value,
            "origin": str(entry.where),
            "detail": entry.detail or None,
        }
        for entry in entries
    }


def _tables(entries: tuple[Entry, ...], *, explained: bool) -> Iterable[Block]:
    """Yield the settings; meanings of stores and plans only with `explained`."""
    if not entries:
        yield Line("no such setting is set", "dim")
    single = tuple(each for each in entries if explained or each.key in KEYS)
    if single:
        yield _table(single, explained=True)
    if len(single) < len(entries):
        others = tuple(each for each in entries if each not in single)
        plan = others[-1].key.rpartition(".")[0]
        yield Line(Hint("for the meanings in a plan: ", run("config", "show", plan)), "dim")
        yield _table(others, explained=False)


def _table(entries: tuple[Entry, ...], *, explained: bool) -> Table:
    rows = ((each.key, _origin(each), _cell(each), each.about) for each in entries)
    columns = 4 if explained else 3
    return Table(
        ("setting", "from", "value", "meaning")[:columns],
        tuple(row[:columns] for row in rows),
        tuple("dim" if each.where is Where.DEFAULT else "plain" for each in entries),
    )


def display_value(value: str | None) -> str:
    """Return a value as text; an empty value is an empty list."""
    return "not set" if value is None else value or "none"


def _cell(entry: Entry) -> str:
    """Return a value for the table, which folds a list between its items."""
    value = display_value(entry.value)
    return value.replace(",", ", ") if entry.key.endswith("features") else value


def _origin(entry: Entry) -> str:
    return entry.detail if entry.where is Where.ENVIRONMENT else str(entry.where)


def path(invocation: Invocation) -> Report:
    """Print the path of the settings file."""
    file = str(settings_path(invocation.home))
    return Report({"path": file}, [Line(file)])


def mail_template(
    invocation: Invocation,
    *,
    write: bool = flag("--write", "Write the default template to the home for editing."),
) -> Report:
    """Print the template of mail drafts.

    The first line is the subject of the drafts that --eml writes. Placeholders such as $customer
    are replaced by values of the license. An edited template is checked for mistakes.
    """
    from polygent_issuer.delivery.template import DEFAULT, PLACEHOLDERS, load, template_path

    path = template_path(invocation.home)
    if write:
        try:
            publication.write_private(DEFAULT.encode(), path)
        except OutputExists as exists:
            raise OutputExists(exists.message, hint="edit this file") from None
    template = load(invocation.home)
    if not template.edited:
        invocation.note(
            Hint(
                "this is the default template; to edit a copy: ",
                run("config", "mail-template", "--write"),
            )
        )
    text: Iterable[Block] = (Line(line, verbatim=True) for line in template.text.splitlines())
    if write:
        done = f"wrote {path}; edit it to change all future drafts"
        names = tuple((f"${name}", about) for name, about in PLACEHOLDERS.items())
        text = [Line(done, "good"), Fields(names)]
    members = {
        "path": str(path),
        "edited": template.edited,
        "text": template.text,
        "placeholders": dict(PLACEHOLDERS),
    }
    return Report(members, text)


def set_value(
    invocation: Invocation,
    key: str = argument("KEY", "Select a setting, such as not_due.", candidates.settings),
    value: str = argument(
        "VALUE", "Set this value (none clears the setting).", candidates.setting_values
    ),
) -> Report:
    """Change a setting.

    Keys and values have the form that config show prints. An invalid value is refused, and the
    file stays unchanged. A new plan starts as a copy of another: config set plans.NEW
    standard-annual; then change its keys.

    The issuer, upload window, plans, default plan, features and require_order_id of a team are in
    its registry, with the journal. To change them there you need the role manager.
    """
    from polygent_issuer.home import team_settings

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
    old = None if before is None else _setting_text(before, key)
    new = _setting_text(after.texts, key)
    path = str(settings.settings_path(home))
    return _change_report(path, key, old, new, was_readable=before is not None)


def _change_report(
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
    return isinstance(invocation.registry_place, str) or invocation.team is not None


def _set_in_registry(invocation: Invocation, key: str, text: str) -> Report:
    from polygent_issuer.home import team_settings
    from polygent_issuer.home.folder import settings_text
    from polygent_issuer.registry import change
    from polygent_issuer.registry.postgres.roles import Role
    from polygent_issuer.registry.reading import SHARED

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
        invocation.note(f"from now on the registry has these settings: {', '.join(SHARED)}")
    return _change_report(
        str(place), key, _setting_text(before.texts, key), _setting_text(new.texts, key)
    )


def _normalized(key: str, value: str) -> str:
    """Return the value; empty for `none`, `unknown` and `not set`, as `config show` prints it."""
    word = value.strip().casefold()
    if plan_of(key):
        return "" if word in _UNSET_WORDS else value
    may_be_unset = getattr(Settings(), key, value) is None or key.startswith("backups.")
    if (may_be_unset and word in _UNSET_WORDS) or (key == "features" and word == "none"):
        return ""
    return value


def _setting_text(texts: Mapping[str, str | None], key: str) -> str | None:
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
