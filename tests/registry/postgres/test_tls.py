"""Away from a local socket, only a server that proves its name by a certificate is used."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import cluster

from polygent_issuer.registry import Registry
from polygent_issuer.registry.errors import RegistryFailed, RegistryMissing


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    """A self-signed certificate for `localhost`; its key `server.key` is the server's."""
    folder = Path(tempfile.mkdtemp(prefix="tls-", dir="/tmp"))
    folder.chmod(0o755)
    path, key = folder / "server.crt", folder / "server.key"
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    subprocess.run([*made, *names, "-keyout", key, "-out", path], check=True, capture_output=True)
    if os.geteuid() == 0:
        shutil.chown(key, "postgres")
    yield path
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def port(certificate: Path) -> Iterator[int]:
    """The port of a server with the certificate, on the loopback interface; any user may enter."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = int(taken.getsockname()[1])
    tls = (
        "ssl=on",
        f"ssl_cert_file={certificate}",
        f"ssl_key_file={certificate.parent}/server.key",
    )
    with cluster(("listen_addresses=127.0.0.1", f"port={number}", *tls)):
        yield number


@pytest.fixture(autouse=True)
def no_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let libpq look for its files in an empty folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


def refused(uri: str) -> str:
    """Return the message of the refusal to connect."""
    with pytest.raises(RegistryFailed) as raised:
        Registry.open(uri)
    return raised.value.message


def test_a_server_with_a_trusted_certificate_of_its_name_is_used(
    certificate: Path, port: int
) -> None:
    """The connection is made: the database, which is empty, answers."""
    with pytest.raises(RegistryMissing):
        Registry.open(f"postgresql://postgres@localhost:{port}/postgres?sslrootcert={certificate}")


def test_a_server_without_a_trusted_certificate_is_refused(certificate: Path, port: int) -> None:
    """Its certificate must be known, and be for the host in the URI."""
    assert "certificate" in refused(f"postgresql://postgres@localhost:{port}/postgres")
    other = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslrootcert={certificate}"
    assert "does not match" in refused(other)
    addressed = "host=/nowhere&hostaddr=127.0.0.1"
    posing = f"postgresql://postgres@/postgres?{addressed}&port={port}&sslrootcert={certificate}"
    assert "does not match" in refused(posing)
    mixed = f"postgresql://postgres@/postgres?host=/nowhere,localhost&port={port},{port}"
    assert "certificate" in refused(mixed)


@pytest.mark.parametrize("name", ["PGSSLMODE", "PGREQUIRESSL", "service"])
def test_libpqs_own_settings_cannot_weaken_this(
    name: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service file and the environment cannot allow a connection that is not verified."""
    service = f"[team]\nhost=localhost\nport={port}\ndbname=postgres\nsslmode=disable\n"
    (tmp_path / ".pg_service.conf").write_text(service)
    if name == "service":
        assert "certificate" in refused("postgresql://postgres@/?service=team")
        return
    monkeypatch.setenv(name, "0" if name == "PGREQUIRESSL" else "disable")
    assert "certificate" in refused(f"postgresql://postgres@localhost:{port}/postgres")


def test_a_ticket_of_kerberos_does_not_replace_the_certificate(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default GSSAPI is tried before TLS, whatever `sslmode` is."""
    monkeypatch.setenv("PGGSSENCMODE", "require")
    assert "certificate" in refused(f"postgresql://postgres@localhost:{port}/postgres")
