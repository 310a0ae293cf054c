"""The connection is lost at the COMMIT that creates a registry in PostgreSQL."""

from collections.abc import Iterator

import pytest
from support.cli import Desk
from support.postgres import Cluster
from support.postgres_proxy import Fault, Proxy, proxy

from polygent_issuer.errors import ExitCode
from polygent_issuer.registry import Registry, journal_check


@pytest.fixture(scope="module")
def between(postgres: Cluster) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with proxy(postgres) as running:
        yield running


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_init_reports_whether_the_registry_was_created(
    empty_desk: Desk, postgres: Cluster, between: Proxy, *, answered: bool
) -> None:
    """Before the COMMIT nothing was created, and the same command creates it; after it, it was."""
    name = postgres.create()
    between.arm(Fault(text="COMMIT", answered=answered))
    argv = ("init", "--registry", between.uri(name))
    outcome = empty_desk.run(*argv)
    if not answered:
        assert outcome.code == ExitCode.REGISTRY
        assert "was undone" in outcome.err
        outcome = empty_desk.run(*argv)
    assert outcome.code == 0, outcome
    with Registry.open(postgres.uri(name)) as registry, registry.reading() as db:
        assert journal_check.verify(db).problems == ()
