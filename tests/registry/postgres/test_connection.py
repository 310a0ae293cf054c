"""A registry in PostgreSQL."""

from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from support import team_desk
from support.cli import Desk
from support.databases import Databases
from support.lic_files import license_id
from support.postgres import Cluster
from support.postgres_proxy import proxy
from support.registries import ACTOR, NOW, REGISTRY_ID, fill, new_registry, tampering, writing

from polygent_issuer.registry import (
    Customer,
    Reading,
    Registry,
    change,
    customers,
    journal_check,
)
from polygent_issuer.registry.database import connect
from polygent_issuer.registry.errors import RegistryDamaged, RegistryLocked, RegistryMisuse
from polygent_issuer.registry.records import as_int


def test_a_license_is_signed_and_renewed_in_a_database(empty_desk: Desk, postgres: Cluster) -> None:
    """The commands work as with a file, and the journal is intact."""
    uri = postgres.uri(postgres.create())
    desk = empty_desk
    desk.output.mkdir()
    desk.ok("init", "--registry", uri, "--output", str(desk.output))
    key = f"file:{desk.folder}/main.key"
    desk.passphrase_file.write_text("correct horse battery staple\n")
    desk.passphrase_file.chmod(0o600)
    desk.ok("key", "generate", "main", "--store", key, "--no-backup")
    desk.ok("sign", "--machine-info", desk.machine_info(), "--term", "60d", "--yes")
    desk.ok("renew", "acme", "--yes")
    assert [each["status"] for each in desk.ok("license", "list", "--json").json["licenses"]] == [
        "replaced",
        "current",
    ]
    with Registry.open(uri) as registry, registry.reading() as db:
        assert journal_check.verify(db).problems == ()


def test_a_renewal_takes_few_round_trips(empty_desk: Desk, postgres: Cluster) -> None:
    """A renewal, of a machine here, waits at most twelve times for the server, with its seal.

    A statement is whatever is sent at once, and the end of a snapshot is not waited for.
    """
    with proxy(postgres) as between:
        desk = team_desk.open_on(empty_desk, between.uri(postgres.create()))
        desk.ok("sign", "--machine-info", desk.machine_info(), "--term", "60d", "--yes")
        between.arm()
        desk.ok("renew", "acme-gmbh", "--yes")
        waits = [each for each in between.statements if each != "ROLLBACK"]
    assert len(waits) <= 12, waits


def test_the_begin_has_read_the_head(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head of the journal, the registry's id and an empty outbox are not read again."""
    with (
        Registry.create(
            postgres.uri(postgres.create()), now=NOW, actor=ACTOR, registry_id=REGISTRY_ID
        ) as registry,
        registry.reading() as db,
        monkeypatch.context() as patch,
    ):
        patch.setattr(psycopg.Connection, "execute", None)
        assert (db.head()[0], db.newest_at()) == (1, NOW)
        assert db.registry_id() == REGISTRY_ID
        assert change.pending(db) == ()


def test_a_connection_that_was_lost_while_idle_waits_in_vain_and_is_usable(
    tmp_path: Path, databases: Databases
) -> None:
    """The transaction on the new connection is undone after the limit, and the next one begins."""
    with new_registry(tmp_path, databases=databases) as registry:
        uri = str(registry.place)
        with Registry.open(uri, busy_timeout=timedelta(milliseconds=200)) as other:
            _, row = other.connection.first("SELECT pg_backend_pid()")
            pid = as_int(row and row[0])
            with writing(registry) as db:
                db.execute(f"SELECT pg_terminate_backend({pid}, 10000) LIMIT 1")
                with pytest.raises(RegistryLocked), writing(other):
                    pass
            with writing(other), pytest.raises(RegistryMisuse), writing(other):
                pass
    databases.take_back_all()


def test_no_setting_of_a_user_hides_the_warning_of_a_commit(postgres: Cluster) -> None:
    """Otherwise a COMMIT that its standby has not confirmed would be reported as durable."""
    uri = postgres.uri(name := postgres.create())
    postgres.execute(f"ALTER DATABASE {name} SET client_min_messages = error")
    with closing(connect(uri)) as connection:
        _, row = connection.first("SHOW client_min_messages")
    assert row == ("warning",)


def test_an_edit_between_two_transactions_is_not_recorded(postgres: Cluster) -> None:
    """A later change of the row records what was compared, so `journal verify` finds the edit."""
    uri, new = postgres.uri(postgres.create()), license_id(2)
    with Registry.create(uri, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID) as registry:
        fill(registry)
        with registry.writing(now=NOW, actor=ACTOR) as db:
            db.update("licenses", new, order_id="1")
            db.record("test", customer="acme", license=new)
        with tampering(uri) as raw:
            raw.execute("UPDATE licenses SET note = 'edited' WHERE id = ?", (new,))
        with suppress(RegistryDamaged), registry.writing(now=NOW, actor=ACTOR) as db:
            db.update("licenses", new, order_id="2")
            db.record("test", customer="acme", license=new)
        with registry.reading() as db:
            assert any(new in problem for problem in journal_check.verify(db).problems)


@pytest.mark.parametrize("look", [customers.get, customers.find], ids=["get", "find"])
def test_an_edited_customer_does_not_decide(
    postgres: Cluster, look: Callable[[Reading, str], Customer]
) -> None:
    """A later transaction uses the row that was compared, or refuses the edited one."""
    uri = postgres.uri(postgres.create())
    with Registry.create(uri, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID) as registry:
        fill(registry)
        with registry.reading() as db:
            before = look(db, "acme")
        with tampering(uri) as raw:
            raw.execute("UPDATE customers SET crm = 'edited' WHERE slug = 'acme'")
        with registry.reading() as db:
            assert look(db, "acme") == before
        with registry.reading() as db:
            db.row_check.read_customer("acme")
            with pytest.raises(RegistryDamaged, match="customers/"):
                look(db, "acme")


def test_a_missing_table_is_named(postgres: Cluster) -> None:
    """`journal verify` names each change of the tables, as in a file."""
    uri = postgres.uri(postgres.create())
    with Registry.create(uri, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID) as registry:
        with tampering(uri) as raw:
            raw.execute("DROP TABLE seals")
        with registry.reading() as db:
            problems = journal_check.verify(db).problems
        assert "the table seals is not as this tool creates it" in problems
