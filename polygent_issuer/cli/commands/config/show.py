"""`polygent-issue config show`, `path` and `mail-template`: print what is set."""

from collections.abc import Iterable
from typing import Annotated, Any

from polygent_issuer import files
from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument, flag
from polygent_issuer.cli.output.model import Block, Fields, Line, Table
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import HomeProblem, OutputExists
from polygent_issuer.home.settings import KEYS, Entry, Loaded, Where, settings_path
from polygent_issuer.text import Hint, run


def show(
    invocation: Invocation,
    key: Annotated[
        str | None,
        argument(
            "[KEY]", "Show only this setting, or a group such as plans.trial.", candidates.settings
        ),
    ] = None,
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
    write: Annotated[
        bool, flag("--write", "Write the default template to the home for editing.")
    ] = False,
) -> Report:
    """Print the template of mail drafts.

    The first line is the subject of the drafts that --eml writes. Placeholders such as $customer
    are replaced by values of the license. An edited template is checked for mistakes.
    """
    from polygent_issuer.delivery.template import DEFAULT, PLACEHOLDERS, load, template_path

    path = template_path(invocation.home)
    if write:
        try:
            files.write_private(DEFAULT.encode(), path)
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
