"""AWS KMS for tests: moto's server on a free port of loopback, and dummy credentials for it.

As a script it runs the server until its stdin is closed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

REGION: Final = "eu-central-1"
_SECRET: Final = "only-for-tests"


def isolate(monkeypatch: pytest.MonkeyPatch, folder: Path, *, credentials: bool = True) -> None:
    """Hide the AWS login of whoever runs the tests; without credentials none are looked for."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if credentials:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAONLYFORTESTS")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)


class KmsServer:
    """A running server.

    Attributes:
        endpoint: its address.
    """

    def __init__(self, endpoint: str) -> None:
        """Store the argument."""
        self.endpoint = endpoint

    @property
    def client(self) -> Any:
        """Return a client of the server's administrator."""
        import boto3  # noqa: PLC0415 -- slow to import, and most tests of a process need none

        return boto3.session.Session().client(
            "kms",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="admin",
            aws_secret_access_key=_SECRET,
        )

    def generate(
        self, alias: str = "", *, spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY"
    ) -> str:
        """Generate a key, as the guide does; return its ARN."""
        created = self.client.create_key(KeySpec=spec, KeyUsage=usage)
        arn: str = created["KeyMetadata"]["Arn"]
        if alias:
            self.client.create_alias(AliasName=f"alias/{alias}", TargetKeyId=arn)
        return arn

    def uri(self, key: str) -> str:
        """Return the store URI of an ARN or an alias."""
        region = "" if key.startswith("arn:") else f"region={REGION}&"
        return f"awskms:{key}?{region}endpoint={self.endpoint}"


@contextmanager
def kms_server() -> Iterator[KmsServer]:
    """Run moto's server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()  # printed when it listens
        assert endpoint, "moto's server did not start"
        try:
            yield KmsServer(endpoint)
        finally:
            process.stdin.close()
            process.wait(30)


def _serve() -> None:
    from moto.kms.responses import KmsResponse  # noqa: PLC0415 -- only in the server's process
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- as above

    answer = KmsResponse.get_public_key

    def as_aws(self: Any) -> str:
        """Answer as AWS does: KeyId is the ARN (moto: the id), and KeySpec is there, too.

        https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html
        """
        members = json.loads(answer(self))
        key = self.kms_backend.describe_key(members["KeyId"])
        return json.dumps(members | {"KeyId": key.arn, "KeySpec": key.key_spec})

    KmsResponse.get_public_key = as_aws  # type: ignore[method-assign]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    print(f"http://127.0.0.1:{port}", flush=True)  # noqa: T201 -- its output
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    _serve()
