"""`polygent-issue registry upgrade`: upgrade the tables of a team's registry."""

from pathlib import Path

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.home.registry_place import registry_place
from polygent_issuer.registry import Registry
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.text import Hint, run


def upgrade(invocation: Invocation) -> Report:
    """Upgrade the tables of a team's registry.

    Only the owner of the tables may do this, after a backup. Everything happens in one
    transaction, for which other commands wait. Afterwards older versions of this tool cannot use
    the registry.

    A registry in a file needs no such command: the next command that opens it upgrades it, and
    keeps a copy.
    """
    place = registry_place(invocation.home)
    if isinstance(place, Path):
        text = "a registry in a file is upgraded by the next command that opens it"
        return Report({"upgraded": False, "from": None, "to": None}, [Line(text)])
    with Registry.open(place, migrate=False) as registry:
        registry.require_role(Role.OWNER)
        before = registry.upgrade()
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
