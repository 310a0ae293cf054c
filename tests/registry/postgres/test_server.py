"""Waiting for the lock of all writers: the error names the session that holds it."""

from datetime import timedelta

import psycopg
import pytest
from support.postgres import Cluster
from support.registries import ACTOR, NOW, REGISTRY_ID

from polygent_issuer.registry import Registry
from polygent_issuer.registry.errors import RegistryLocked
from polygent_issuer.registry.postgres.server import LOCK


def test_the_session_that_holds_the_lock_is_named(postgres: Cluster) -> None:
    """Also one of a user without a role; its begin is for those who may see it."""
    database = postgres.create()
    postgres.share(database)
    Registry.create(
        postgres.uri(database, "owner"), now=NOW, actor=ACTOR, registry_id=REGISTRY_ID
    ).close()
    postgres.grant(database)
    with psycopg.connect(postgres.uri(database, "stranger"), application_name="psql") as session:
        session.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        pid = session.info.backend_pid
        for user, since in (("issuer", f"process {pid}"), ("postgres", f"process {pid}, since 20")):
            uri = postgres.uri(database, user)
            with Registry.open(uri, busy_timeout=timedelta(milliseconds=200)) as registry:
                with pytest.raises(RegistryLocked) as caught:
                    registry.connection.begin_writing()
                assert f"by another command: the user stranger (psql) in the server's {since}" in (
                    caught.value.message
                )
                assert f"end it: SELECT pg_terminate_backend({pid})" in (caught.value.hint or "")
                with registry.reading() as db:  # reading waits for no lock
                    assert db.newest_at() == NOW
