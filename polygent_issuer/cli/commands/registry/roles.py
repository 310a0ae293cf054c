"""`polygent-issue registry roles`: show the roles in a team's registry, or their SQL."""

from collections.abc import Iterator
from typing import Annotated

from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.registry.postgres.roles import ROLES, Role, RoleGrants, Session
from polygent_issuer.registry.postgres.roles import sql as sql_of_roles
from polygent_issuer.text import Hint, run


def roles(
    invocation: Invocation,
    *,
    sql: Annotated[
        bool, flag("--sql", "Print the SQL that creates the roles in PostgreSQL.")
    ] = False,
) -> Report:
    """Show the roles in a team's registry, or their SQL.

    A registry in PostgreSQL has a group for each role, and the server refuses what a role may not
    do. The database's administrator reads the SQL and runs it, and puts each person into a group.
    A registry in a file has no roles.
    """
    if sql:
        text = sql_of_roles()
        return Report(
            {"sql": text}, [Line(line, verbatim=True) for line in text.rstrip("\n").split("\n")]
        )
    session = invocation.registry.session
    commands = {each.role: tuple(_commands(COMMANDS, each.role)) for each in ROLES}
    members = [
        {
            "role": each.role,
            "group": _group(each),
            "may": each.may,
            "includes": each.includes,
            "commands": list(commands[each.role]),
            "yours": None if session is None else each.role in session.roles,
        }
        for each in ROLES
    ]
    blocks: list[Block] = []
    for each in ROLES:
        blocks += [Line(each.role, "title"), _fields(each, commands[each.role])]
    blocks.append(_yours(session))
    return Report({"user": None if session is None else session.user, "roles": members}, blocks)


def _commands(entry: Entry, role: Role, path: str = "") -> Iterator[str]:
    """Yield the commands that need a role."""
    from polygent_issuer.cli.main import role_of

    for child in entry.entries:
        name = f"{path} {child.name}".strip()
        if role_of(child) == role:
            yield name
        yield from _commands(child, role, name)


def _group(each: RoleGrants) -> str | None:
    return None if each.role is Role.OWNER else each.group


def _fields(each: RoleGrants, commands: tuple[str, ...]) -> Fields:
    return Fields(
        (
            ("may", each.may),
            ("group", _group(each)),
            ("includes", each.includes),
            ("commands", ", ".join(commands)),
        )
    )


def _yours(session: Session | None) -> Line:
    if session is None:
        text = Hint("this registry is a file: it has no roles (", run("help", "team"), ")")
        return Line(text, "dim")
    has = ", ".join(session.roles) or "none"
    return Line(f"roles of the user {session.user} in this registry: {has}")
