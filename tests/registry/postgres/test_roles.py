"""The roles of a team's registry: the server refuses what a role may not do."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors as pg
from support.lic_files import license_id
from support.postgres import Cluster
from support.registries import ACTOR, NOW, REGISTRY_ID, YEAR, add_machine, new_key, writing

from polygent_issuer.errors import HomeProblem
from polygent_issuer.registry import (
    Registry,
    Writing,
    customers,
    journal_check,
    keys,
    licenses,
    seals,
)
from polygent_issuer.registry.postgres.roles import GROUPS, Role, sql
from polygent_issuer.registry.postgres.tables import CREATION

ISSUERS = ("issuer", "manager")
WRITERS = (*ISSUERS, "key_admin")
USERS = ("auditor", "issuer", "key_admin", "manager")
NEXT_ROW = "SELECT seq + 1, hash, bytes, sha256(hash || bytes)"
LAST = "FROM journal ORDER BY seq DESC LIMIT 1"

# Each act with the users who may do it.
ACTS: dict[str, tuple[str, ...]] = {
    # The journal.
    "UPDATE journal SET bytes = bytes": (),
    "UPDATE journal SET server_user = 'ada'": (),
    "DELETE FROM journal": (),
    "TRUNCATE journal": (),
    f"INSERT INTO journal (seq, previous, bytes, hash) {NEXT_ROW} {LAST}": WRITERS,
    f"INSERT INTO journal (seq, previous, bytes, hash, server_user) {NEXT_ROW}, 'ada' {LAST}": (),
    # Each of these would end the chain for everyone.
    "INSERT INTO journal (seq, previous, bytes, hash) "
    f"SELECT seq + 1, hash, bytes, hash {LAST}": (),
    "INSERT INTO journal (seq, previous, bytes, hash) "
    f"SELECT seq + 1, previous, bytes, sha256(previous || bytes) {LAST}": (),
    "INSERT INTO journal (seq, previous, bytes, hash) "
    f"SELECT seq + 2, hash, bytes, sha256(hash || bytes) {LAST}": (),
    "ALTER TABLE journal DISABLE TRIGGER ALL": (),
    "DROP TRIGGER journal_grows_at_its_end ON journal": (),
    "CREATE TRIGGER extra BEFORE INSERT ON journal EXECUTE FUNCTION slug_is_no_alias()": (),
    "CREATE OR REPLACE FUNCTION polygent.journal_is_append_only() RETURNS trigger LANGUAGE plpgsql "
    "AS $$ BEGIN RETURN OLD; END $$": (),
    "SET session_replication_role = replica": (),
    "SET SESSION AUTHORIZATION postgres": (),
    "SET ROLE owner": (),
    "GRANT polygent_manager TO stranger": (),
    "LOCK TABLE journal IN ACCESS EXCLUSIVE MODE": (),
    "INSERT INTO row_journal VALUES ('customers/9', 1)": WRITERS,
    "UPDATE row_journal SET seq = seq": WRITERS,
    "UPDATE row_journal SET name = name": (),
    "DELETE FROM row_journal": (),
    # Licenses.
    "INSERT INTO licenses SELECT * FROM licenses": ISSUERS,
    "UPDATE licenses SET file = file": (),
    "UPDATE licenses SET sha256 = sha256": (),
    "UPDATE licenses SET id = id": (),
    "UPDATE licenses SET kid = kid": (),
    "UPDATE licenses SET expires_at = expires_at": (),
    "UPDATE licenses SET term = term": (),
    "UPDATE licenses SET replaced_by = replaced_by": ISSUERS,
    "UPDATE licenses SET retired_at = retired_at, retired_reason = retired_reason": ISSUERS,
    "UPDATE licenses SET sent_at = sent_at": ISSUERS,
    "UPDATE licenses SET order_id = order_id, note = note": ISSUERS,
    "UPDATE licenses SET customer_id = customer_id, machine_id = machine_id": ("manager",),
    "DELETE FROM licenses": (),
    "TRUNCATE licenses CASCADE": (),
    # Keys.
    "INSERT INTO keys SELECT * FROM keys": ("key_admin",),
    "UPDATE keys SET active = active, retired_at = retired_at": ("key_admin",),
    "UPDATE keys SET compromised = compromised, backed_up_at = backed_up_at": ("key_admin",),
    "UPDATE keys SET public_pem = public_pem": (),
    "UPDATE keys SET kid = kid": (),
    "UPDATE keys SET label = label": (),
    "DELETE FROM keys": (),
    "INSERT INTO seals SELECT * FROM seals": WRITERS,
    "UPDATE seals SET token = token": WRITERS,
    "UPDATE seals SET kid = kid": (),
    "DELETE FROM seals": (),
    # Customers and machines.
    "INSERT INTO customers SELECT * FROM customers": ISSUERS,
    "UPDATE customers SET name = name, crm = crm, held_at = held_at": ISSUERS,
    "UPDATE customers SET slug = slug": (),
    "UPDATE customers SET created_at = created_at": (),
    "UPDATE customers SET archived_at = archived_at": ("manager",),
    "DELETE FROM customers": ("manager",),
    "INSERT INTO aliases VALUES ('other', 1, '')": ("manager",),
    "UPDATE aliases SET customer_id = customer_id": ("manager",),
    "UPDATE aliases SET slug = slug": (),
    "DELETE FROM aliases": (),
    "INSERT INTO machines SELECT * FROM machines": ISSUERS,
    "UPDATE machines SET label = label, fingerprint = fingerprint": ISSUERS,
    "UPDATE machines SET customer_id = customer_id": ("manager",),
    "DELETE FROM machines": ("manager",),
    "INSERT INTO machine_identities SELECT * FROM machine_identities": ISSUERS,
    "UPDATE machine_identities SET machine_id = machine_id": ("manager",),
    "UPDATE machine_identities SET fingerprint = fingerprint": (),
    "DELETE FROM machine_identities": (),
    "INSERT INTO documents SELECT * FROM documents": ISSUERS,
    "UPDATE documents SET content = content": (),
    "DELETE FROM documents": (),
    "DELETE FROM customer_names": ISSUERS,
    # The rest.
    "INSERT INTO outbox (license_id, at) SELECT id, '' FROM licenses": ISSUERS,
    "UPDATE outbox SET folder = NULL, name = NULL": ISSUERS,
    "DELETE FROM outbox": ISSUERS,
    "UPDATE about SET value = value": (),
    "INSERT INTO about VALUES ('x', 'y')": (),
    "DELETE FROM about": (),
    "INSERT INTO team_settings VALUES ('issuer', 'x')": ("manager",),
    "UPDATE team_settings SET value = value": ("manager",),
    "DELETE FROM team_settings": ("manager",),
    "INSERT INTO backup_settings VALUES ('issuer', 'x')": (),
    "UPDATE tables SET version = version": (),
    "CREATE TABLE polygent.extra (id int)": (),
    "ALTER TABLE licenses ADD COLUMN extra text": (),
    "DROP TABLE licenses CASCADE": (),
    "DROP SCHEMA polygent CASCADE": (),
    **{
        f"TABLE {table}": USERS
        for table in ("journal", "licenses", "customers", "keys", "documents", "seals", "tables")
    },
}


@pytest.fixture(scope="module")
def shared(postgres: Cluster) -> str:
    """The database of a registry with a row in most tables, whose roles have a user each."""
    database = postgres.create()
    postgres.share(database)
    uri = postgres.uri(database, "owner")
    with (
        Registry.create(uri, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID) as registry,
        writing(registry) as db,
    ):
        _fill(db)
    postgres.grant(database)
    return database


def _fill(db: Writing) -> None:
    key = keys.add(db, key=new_key(), label="main")
    acme = customers.add(db, slug="acme", name="Acme")
    machine = add_machine(db, acme, "prod", "sha256:" + "ab" * 32)
    licenses.add(
        db,
        license_id=license_id(1),
        file=b"file",
        issued_at=NOW,
        expires_at=NOW + YEAR,
        customer_id=acme.id,
        machine_id=machine.id,
        kid=key.kid,
        tier="standard",
    )


@pytest.fixture
def session(postgres: Cluster, shared: str, user: str) -> Iterator[psycopg.Connection]:
    """A session of the user, which is undone."""
    options = "-c search_path=polygent"
    with closing(psycopg.connect(postgres.uri(shared, user), options=options)) as connection:
        yield connection


@pytest.mark.parametrize("user", [*USERS, "stranger"])
def test_the_server_refuses_what_a_role_may_not_do(session: psycopg.Connection, user: str) -> None:
    """Each act is refused for exactly the users without the role, also as plain SQL."""
    allowed = set()
    for act in ACTS:
        try:
            session.execute(act.encode())
        except (pg.InsufficientPrivilege, pg.UndefinedTable, pg.RaiseException):
            pass  # the schema of a stranger's session has no tables
        except psycopg.IntegrityError:
            allowed.add(act)
        else:
            allowed.add(act)
        session.rollback()
    assert allowed == {act for act, users in ACTS.items() if user in users}


@pytest.mark.parametrize("user", ["issuer"])
def test_no_temporary_table_deceives_the_triggers(session: psycopg.Connection) -> None:
    """The triggers compare with the registry's tables, not with those of the session."""
    session.execute("CREATE TEMPORARY TABLE journal (seq bigint, hash bytea)")
    session.execute("INSERT INTO journal VALUES (98, decode(repeat('ff', 32), 'hex'))")
    with pytest.raises(pg.RaiseException, match="grows at its end"):
        session.execute(
            """INSERT INTO polygent.journal (seq, previous, bytes, hash)
            VALUES (99, decode(repeat('ff', 32), 'hex'), '{}', decode(repeat('00', 32), 'hex'))"""
        )


@pytest.mark.parametrize("user", ["issuer"])
def test_no_temporary_type_deceives_the_computed_columns(session: psycopg.Connection) -> None:
    """They have what the bytes of a journal row have: a type `name` would cut it off."""
    session.execute("CREATE DOMAIN pg_temp.text AS pg_catalog.name")
    customer = "a" * 70
    session.execute(
        f"""INSERT INTO journal (seq, previous, bytes, hash)
        SELECT seq + 1, hash, each, sha256(hash || each) FROM journal,
        (VALUES ('{{"customer":"{customer}"}}'::bytea)) AS one (each)
        ORDER BY seq DESC LIMIT 1""".encode()  # noqa: S608
    )
    (found,) = session.execute(f"SELECT customer {LAST}".encode()).fetchall()
    assert found == (customer,)


def test_public_has_no_privilege(postgres: Cluster, shared: str) -> None:
    """Nothing in the schema is granted to PUBLIC, not even the execution of a function."""
    granted = """SELECT relname FROM pg_class, aclexplode(relacl) AS acl
        WHERE relnamespace = 'polygent'::regnamespace AND acl.grantee = 0
        UNION ALL SELECT proname FROM pg_proc,
            aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl
        WHERE pronamespace = 'polygent'::regnamespace AND acl.grantee = 0
        UNION ALL SELECT nspname FROM pg_namespace, aclexplode(nspacl) AS acl
        WHERE nspname = 'polygent' AND acl.grantee = 0"""
    assert postgres.rows(granted, shared) == []


def test_the_sql_can_be_run_again(postgres: Cluster, shared: str) -> None:
    """A second run changes nothing, and takes privileges that were added by hand."""
    acl = """SELECT relname, relacl::text FROM pg_class
        WHERE relnamespace = 'polygent'::regnamespace ORDER BY 1"""
    columns = """SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute
        WHERE attacl IS NOT NULL ORDER BY 1, 2"""
    before = postgres.rows(acl, shared), postgres.rows(columns, shared)
    postgres.execute(
        "GRANT DELETE ON polygent.journal TO polygent_issuer",
        "GRANT UPDATE (file) ON polygent.licenses TO polygent_manager",
        database=shared,
    )
    assert (postgres.rows(acl, shared), postgres.rows(columns, shared)) != before
    postgres.grant(shared)
    assert (postgres.rows(acl, shared), postgres.rows(columns, shared)) == before


def test_each_table_is_granted_to_a_role_or_only_read() -> None:
    """A new table of the registry is not forgotten."""
    granted = {table for group in GROUPS for table in group.tables}
    assert sorted(set(postgres_tables()) - granted) == ["about", "backup_settings", "tables"]


def postgres_tables() -> Iterator[str]:
    """Yield the tables of the schema."""
    for statement in CREATION:
        words = statement.split()
        if words[:2] == ["CREATE", "TABLE"]:
            yield words[2]


@pytest.mark.parametrize(
    ("user", "roles"),
    [
        ("auditor", {Role.AUDITOR}),
        ("issuer", {Role.AUDITOR, Role.ISSUER}),
        ("key_admin", {Role.AUDITOR, Role.KEY_ADMIN}),
        ("manager", {Role.AUDITOR, Role.ISSUER, Role.MANAGER}),
        ("owner", set(Role)),
        ("postgres", set(Role)),
    ],
)
def test_the_session_has_the_roles_of_its_privileges(
    postgres: Cluster, shared: str, user: str, roles: set[Role]
) -> None:
    """A role includes those below it; the owner has all of them."""
    with Registry.open(postgres.uri(shared, user)) as registry:
        session = registry.connection.session()
        assert session is not None
        assert (session.user, set(session.roles)) == (user, roles)


def test_a_user_without_a_role_is_refused(postgres: Cluster, shared: str) -> None:
    """The hint has the GRANT, also for a user who sees the schema but none of its tables."""
    grant = "can run: GRANT polygent_auditor TO stranger, or instead polygent_issuer, "
    for change in ("GRANT USAGE ON SCHEMA polygent TO", "REVOKE ALL ON SCHEMA polygent FROM"):
        with pytest.raises(HomeProblem) as caught:
            Registry.open(postgres.uri(shared, "stranger"))
        assert caught.value.code == "registry_role"
        assert "the user stranger has no role in the registry" in caught.value.message
        assert grant in (caught.value.hint or "")
        postgres.execute(f"{change} stranger", database=shared)


def test_the_server_writes_its_user_into_the_journal(postgres: Cluster, shared: str) -> None:
    """The journal names the user of the session, whatever the client claims."""
    with Registry.open(postgres.uri(shared, "issuer")) as registry:
        with registry.writing(now=NOW + timedelta(days=1), actor=ACTOR) as db:
            db.record("test")
        with registry.reading() as db:
            assert journal_check.verify(db).problems == ()
            assert seals.check(db) == ()
    newest = "SELECT operator, server_user FROM polygent.journal ORDER BY seq DESC LIMIT 1"
    assert postgres.rows(newest, shared) == [("Ada", "issuer")]


def test_the_sql_explains_how_to_add_a_person() -> None:
    """A database's administrator reads what to run for each person."""
    assert "GRANT polygent_issuer TO ada;" in sql()
    assert all(f"-- {group.role}: {group.may}." in sql() for group in GROUPS)
