"""The roles of a team's registry in PostgreSQL, and the SQL that grants them.

The server refuses what a role may not do. A command asks for its role first, by the privileges of
the session, so that nothing is half done; an administrator may name the groups otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from polygent_issuer.errors import HomeProblem
from polygent_issuer.registry.errors import Place, display_place
from polygent_issuer.text import Hint, escape, run


class Role(StrEnum):
    """A role in a team's registry; all but the owner's are groups of the server."""

    AUDITOR = "auditor"
    ISSUER = "issuer"
    KEY_ADMIN = "key-admin"
    MANAGER = "manager"
    OWNER = "owner"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleGrants:
    """The group of a role, and its privileges in the schema `polygent`.

    Attributes:
        may: what the role may do, for people.
        privilege: a condition that the session has the role.
        includes: the role whose privileges it has, too.
        tables: the privileges on each table.
    """

    role: Role
    may: str
    privilege: str
    includes: Role | None = None
    tables: dict[str, tuple[str, ...]]

    @property
    def group(self) -> str:
        """The name of the group role; the owner is an ordinary user."""
        return f"polygent_{self.role.replace('-', '_')}"


# What each writing command needs: a row of the journal, whose `server_user` only the server fills.
_JOURNAL: Final = {
    "journal": ("INSERT (seq, previous, bytes, hash)",),
    "row_journal": ("INSERT", "UPDATE (seq)"),
}
_SEALS: Final = {"seals": ("INSERT", "UPDATE (token)")}

GROUPS: Final = (
    RoleGrants(
        role=Role.AUDITOR,
        may="reads everything, and changes nothing",
        privilege="has_table_privilege('polygent.journal', 'SELECT')",
        tables={},
    ),
    RoleGrants(
        role=Role.ISSUER,
        may="signs, renews, retires and sends licenses; adds and edits customers",
        privilege="has_table_privilege('polygent.licenses', 'INSERT')",
        includes=Role.AUDITOR,
        tables={
            **_JOURNAL,
            **_SEALS,
            "licenses": (
                "INSERT",
                "UPDATE (replaced_by, retired_at, retired_reason, sent_at, order_id, note)",
            ),
            "customers": (
                "INSERT",
                "UPDATE (name, folded, folded_reversed, time_zone, crm, contacts, notes)",
                "UPDATE (held_at, held_until, held_reason)",
            ),
            "customer_names": ("INSERT", "DELETE"),
            "documents": ("INSERT",),
            "machines": (
                "INSERT",
                "UPDATE (label, fingerprint, hostname, components, since, document_id)",
            ),
            "machine_identities": ("INSERT",),
            "outbox": ("INSERT", "UPDATE (folder, name, home)", "DELETE"),
        },
    ),
    RoleGrants(
        role=Role.KEY_ADMIN,
        may="adds, activates, backs up and retires signing keys",
        privilege="has_table_privilege('polygent.keys', 'INSERT')",
        includes=Role.AUDITOR,
        tables={
            **_JOURNAL,
            **_SEALS,
            "keys": ("INSERT", "UPDATE (active, retired_at, compromised, backed_up_at)"),
        },
    ),
    RoleGrants(
        role=Role.MANAGER,
        may="merges and archives customers; changes the team's settings",
        privilege="has_table_privilege('polygent.customers', 'DELETE')",
        includes=Role.ISSUER,
        tables={
            "customers": ("UPDATE (archived_at)", "DELETE"),
            "aliases": ("INSERT", "UPDATE (customer_id)"),
            "machines": ("UPDATE (customer_id)", "DELETE"),
            "machine_identities": ("UPDATE (machine_id)",),
            "licenses": ("UPDATE (customer_id, machine_id)",),
            "team_settings": ("INSERT", "UPDATE (value)", "DELETE"),
        },
    ),
)
OWNER: Final = RoleGrants(
    role=Role.OWNER,
    may="creates the registry and upgrades its tables",
    privilege="pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'polygent'), "
    "'MEMBER')",
    tables={},
)
ROLES: Final = (*GROUPS, OWNER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The user of a connection to a server, as an SQL name, and the roles that it has."""

    user: str
    roles: tuple[Role, ...]

    def is_of(self, user: str) -> bool:
        """Return whether a user, as the journal names it, is that of the connection."""
        quoted = user.replace('"', '""')
        return self.user in (user, f'"{quoted}"')


def missing(place: Place, role: str, user: str) -> HomeProblem:
    """Return the error for a user without a role (`registry_role`)."""
    group = next((each.group for each in GROUPS if each.role == role), None)
    user = escape(user)
    how = "run it as the owner of the schema polygent (PGUSER, or the user in the URI)"
    if group is not None:
        how = f"the database's administrator can run: GRANT {group} TO {user}"
    return HomeProblem(
        f"the user {user} lacks the role {role} in the registry {display_place(place)}; "
        "nothing was changed",
        hint=Hint(f"{how}; about roles: ", run("help", "team")),
        code="registry_role",
    )


def none(place: Place, user: str) -> HomeProblem:
    """Return the error for a user without any role (`registry_role`)."""
    user = escape(user)
    first, *others = (each.group for each in GROUPS)
    grant = f"GRANT {first} TO {user}, or instead {', '.join(others)}"
    return HomeProblem(
        f"the user {user} has no role in the registry {display_place(place)}",
        hint=Hint(
            f"the database's administrator can run: {grant}; without these groups, first the SQL "
            "of ",
            run("registry", "roles", "--sql"),
        ),
        code="registry_role",
    )


# A GRANT of a group that already has it would print a notice.
_BEGIN: Final = "BEGIN;\nSET LOCAL client_min_messages = warning;"
_KINDS: Final = ("TABLES", "SEQUENCES", "ROUTINES")
_HEAD: Final = """\
-- The roles of a Polygent registry in PostgreSQL. Read this, then run it in the database of the
-- registry, after `polygent-issue init --registry URI`. Run it as a superuser, or as the owner of
-- the schema polygent with the attribute CREATEROLE. From PostgreSQL 16 on, an owner who did not
-- create the groups needs more, once, from a superuser:
--
--     GRANT polygent_auditor, polygent_issuer, polygent_key_admin, polygent_manager
--         TO polygent_owner WITH ADMIN OPTION;
--
-- Run it so:
--
--     polygent-issue registry roles --sql | psql --set ON_ERROR_STOP=1 --dbname URI
--
-- It can be run again, and must be after `polygent-issue registry upgrade`. It takes every
-- privilege on the schema from PUBLIC and the groups, then grants what follows to the groups.
--
-- Each person has a user, and the groups of the person's roles:
--
--     CREATE ROLE ada LOGIN;
--     GRANT polygent_issuer TO ada;
--     REVOKE polygent_issuer FROM ada;
--
-- All databases of a server share its groups. For registries with different operators, use two
-- servers, or change the names of the groups here: polygent-issue only looks at privileges. If
-- PUBLIC may not connect to the database, GRANT CONNECT ON DATABASE … TO polygent_auditor.
--
-- No group may change or delete a row of the journal, the file of a license or a public key. The
-- server writes the user of the session into journal.server_user. Only the owner changes tables.
"""


def sql() -> str:
    """Return the SQL that creates the groups and grants their privileges; it can be run again."""
    groups = [each.group for each in GROUPS]
    return "\n".join(
        [_HEAD, _BEGIN, *_creation(groups), *_revocation(groups), *_grants(), "", "COMMIT;", ""]
    )


def _creation(groups: list[str]) -> Iterator[str]:
    names = ",\n        ".join(f"'{group}'" for group in groups)
    yield "\nDO $$ DECLARE name text; BEGIN"
    yield f"    FOREACH name IN ARRAY ARRAY[\n        {names}] LOOP"
    yield "        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN"
    yield "            EXECUTE format('CREATE ROLE %I NOLOGIN', name);"
    yield "        END IF;"
    yield "    END LOOP;"
    yield "END $$;\n"


def _revocation(groups: list[str]) -> Iterator[str]:
    everyone = ", ".join(["PUBLIC", *groups])
    for kind in ("SCHEMA", *(f"ALL {each} IN SCHEMA" for each in _KINDS)):
        yield f"REVOKE ALL ON {kind} polygent\n    FROM {everyone};"


def _grants() -> Iterator[str]:
    for each in GROUPS:
        includes = (
            "" if each.includes is None else f"\n-- It has the privileges of {each.includes}, too."
        )
        yield f"\n-- {each.role}: {each.may}.{includes}"
        if each.includes is None:
            yield f"GRANT USAGE ON SCHEMA polygent TO {each.group};"
            yield f"GRANT SELECT ON ALL TABLES IN SCHEMA polygent TO {each.group};"
            yield f"GRANT EXECUTE ON ALL ROUTINES IN SCHEMA polygent TO {each.group};"
        else:
            group = next(other.group for other in GROUPS if other.role is each.includes)
            yield f"GRANT {group} TO {each.group};"
        for table, privileges in each.tables.items():
            granted = ",\n    ".join(privileges)
            yield f"GRANT {granted}\n    ON polygent.{table} TO {each.group};"
