"""`polygent-issue registry roles` and `upgrade`: the roles and the tables of a team's registry."""

from collections.abc import Iterator
from pathlib import Path

from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.registry import Registry
from polygent_issuer.registry.postgres.roles import ROLES, Role, RoleGrants, Session
from polygent_issuer.registry.postgres.roles import sql as sql_of_roles
from polygent_issuer.text import Hint, run


def roles(
    invocation: Invocation,
    *,
    sql: bool = flag("--sql", "Print the SQL that creates the roles in PostgreSQL."),
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
    session = invocation.registry.connection.session()
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


def upgrade(invocation: Invocation) -> Report:
    """Upgrade the tables of a team's registry.

    Only the owner of the tables may do this, after a backup. Everything happens in one
    transaction, for which other commands wait. Afterwards older versions of this tool cannot use
    the registry.

    A registry in a file needs no such command: the next command that opens it upgrades it, and
    keeps a copy.
    """
    place = invocation.registry_place
    if isinstance(place, Path):
        text = "a registry in a file is upgraded by the next command that opens it"
        return Report({"upgraded": False, "from": None, "to": None}, [Line(text)])
    with Registry.open(place, migrate=False) as registry:
        registry.require_role(Role.OWNER)
        before = registry.connection.upgrade()
        after = registry.tables
    members = {"upgraded": before != after, "from": before, "to": after}
    if before == after:
        text = f"the tables of the registry have the newest version, {after}"
        return Report(members, [Line(text)], is_idle=True)
    return Report(
        members,
        [
            Line(f"upgraded the tables of the registry from version {before} to {after}", "good"),
            Line(Hint("next, grant the roles again: ", run("registry", "roles", "--sql"))),
        ],
    )
