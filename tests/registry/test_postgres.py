"""A registry in PostgreSQL."""

from support.cli import Desk
from support.postgres import Cluster

from polygent_issuer.registry import Registry, journal_check


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
