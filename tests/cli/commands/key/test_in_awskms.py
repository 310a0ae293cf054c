"""Keys in moto's KMS over HTTP, from `key import` to a batch of renewals."""

import hashlib
import json
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from support import kms
from support.cli import Desk
from support.doctor_rows import look
from support.kms import REGION, KmsServer, kms_server
from support.runbooks import blocks

from polygent_issuer.home.settings import Settings, settings_path
from polygent_issuer.keys.awskms_store import AwsKms
from polygent_issuer.keys.remote import RemoteStore
from polygent_issuer.keys.stores import open_store

pytestmark = pytest.mark.slow  # a server

ENTERPRISE = ("sign", "--customer", "Globex", "--tier", "enterprise")
EARLY = ("--accept", "not-due", "--reason", "early")
SECRETS = ("AKIAONLYFORTESTS", "only-for-tests")


@pytest.fixture(scope="module")
def server() -> Iterator[KmsServer]:
    """Run one server for all tests; each test generates its keys."""
    with kms_server() as running:
        yield running


@pytest.fixture
def at_hand(empty_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Create a desk without a home, in a process with dummy credentials and the output folder."""
    kms.isolate(monkeypatch, tmp_path)
    empty_desk.output.mkdir()
    monkeypatch.chdir(empty_desk.output)
    return empty_desk


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the operations of KMS that the commands of a test request, in order."""
    requested: list[str] = []
    ask = AwsKms._ask

    def recording(self: AwsKms, operation: str, call: Any) -> Any:
        requested.append(operation)
        return ask(self, operation, call)

    monkeypatch.setattr(AwsKms, "_ask", recording)
    return requested


def test_a_key_of_kms_signs_and_renews(at_hand: Desk, server: KmsServer) -> None:
    """The settings pin the ARN, never a login; the journal names the store, and others verify."""
    arn = server.generate("team/first")
    pinned = f"awskms:{arn}?endpoint={server.endpoint}"
    outcome = at_hand.ok("key", "import", server.uri("alias/team/first"), "--json").json
    key = outcome["key"]
    assert (key["label"], key["active"], key["store"]) == ("team/first", True, pinned)
    row = at_hand.ok("journal", "show", "--json").json["rows"][1]
    assert (row["event"], row["details"]) == ("key-imported", {"store": "awskms", "backup": False})
    signed = at_hand.ok(*ENTERPRISE, "--json").json
    renewed = at_hand.ok("renew", "globex", *EARLY, "--json").json
    public = load_pem_public_key(at_hand.ok("key", "export-public", "team/first").out)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for (issued,) in (signed["licenses"], renewed["licenses"]):
        token = Path(issued["file"]).read_bytes().strip()
        claims = jwt.decode(
            token, public, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
        )
        assert claims["jti"] == issued["id"]
    settings = settings_path(at_hand.home).read_text()
    assert f'"{pinned}"' in settings
    assert not any(secret in settings for secret in SECRETS)


def test_an_alias_that_moves_does_not_change_the_key(at_hand: Desk, server: KmsServer) -> None:
    """The pinned key signs on; the alias imports the other key."""
    first, second = server.generate("moving"), server.generate()
    kid = at_hand.ok("key", "import", server.uri("alias/moving"), "--json").json["key"]["kid"]
    server.client.update_alias(AliasName="alias/moving", TargetKeyId=second)
    signed = at_hand.ok(*ENTERPRISE, "--json").json
    assert signed["licenses"][0]["kid"] == kid
    stores = [f"awskms:{arn}?endpoint={server.endpoint}" for arn in (first, second)]
    imported = at_hand.ok(
        "key", "import", server.uri("alias/moving"), "--label", "two", "--json"
    ).json
    assert imported["key"]["store"] == stores[1]
    at_hand.ok("config", "set", f"stores.{kid}", stores[1])
    assert at_hand.refused("renew", "globex", *EARLY)[:2] == (6, "key_mismatch")


def test_a_batch_signs_with_one_client(
    at_hand: Desk, server: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each license is signed by a request of its own; credentials and connection are reused."""
    import boto3  # noqa: PLC0415 -- slow to import, and the quick lane collects this module

    created: list[str] = []
    create = boto3.session.Session.client

    def counting(self: Any, name: str, **arguments: Any) -> Any:
        created.append(name)
        return create(self, name, **arguments)

    rows = at_hand.folder / "rows.csv"
    rows.write_text("customer,tier\n" + "".join(f"Customer {n},enterprise\n" for n in range(5)))
    at_hand.ok("key", "import", server.uri(server.generate()))
    monkeypatch.setattr(boto3.session.Session, "client", counting)
    at_hand.ok("apply", str(rows))
    at_hand.ok("renew", "--due-within", "30d", after=timedelta(days=350))
    assert len(created) <= 4  # per command one to find the key and one to sign
    assert len(at_hand.ok("license", "list", "--json").json["licenses"]) == 10


@pytest.mark.usefixtures("at_hand")
def test_kms_gets_the_digest_of_long_data(server: KmsServer) -> None:
    """Up to 4,096 bytes the signature is that of the data.

    moto ignores the type of the message and hashes a digest again, which KMS does not. So here the
    signature is that of the digest, and tests/keys/test_awskms_store.py checks the request.
    """
    store = open_store(Settings(), server.uri(server.generate()))
    assert isinstance(store, RemoteStore)
    entry = store.adopt()
    short, long = b"x" * 4096, b"x" * 4097
    first, second = store.load(entry.key).sign_many([short, long])
    assert entry.key.verifies(first, short)
    assert not entry.key.verifies(second, long)
    assert entry.key.verifies(second, hashlib.sha256(long).digest())


@pytest.mark.parametrize(
    ("spec", "usage"),
    [
        ("ECC_NIST_P384", "SIGN_VERIFY"),
        ("ECC_SECG_P256K1", "SIGN_VERIFY"),
        ("RSA_2048", "SIGN_VERIFY"),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    ],
)
def test_another_type_of_key_creates_nothing(
    at_hand: Desk, server: KmsServer, spec: str, usage: str
) -> None:
    """The hint generates a key that fits."""
    arn = server.generate(spec=spec, usage=usage)
    code, name, hint = at_hand.refused("key", "import", server.uri(arn))
    assert (code, name) == (6, "unsupported_key")
    assert "aws kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY" in hint
    assert not at_hand.home.exists()


def test_only_signing_signs(at_hand: Desk, server: KmsServer, operations: list[str]) -> None:
    """An import signs once; `doctor`, `key show` and a dry run only read the public key."""
    at_hand.ok("key", "import", server.uri(server.generate()), "--label", "remote")
    assert operations.count("Sign") == 1
    operations.clear()
    assert look(at_hand, "key")["state"] == "ok"
    assert at_hand.ok("key", "show", "remote", "--json").json["key"]["presence"] == "present"
    at_hand.ok(*ENTERPRISE, "--dry-run")
    assert set(operations) == {"GetPublicKey"}
    at_hand.ok(*ENTERPRISE)
    assert operations.count("Sign") == 1


def test_a_lost_key_and_a_lost_login_are_reported(
    at_hand: Desk, server: KmsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` fails with the fix, and nothing is issued."""
    at_hand.ok("key", "import", server.uri(server.generate()), "--label", "remote")
    (kid, uri) = stored(at_hand)
    at_hand.ok("config", "set", f"stores.{kid}", f"{uri.replace('key/', 'key/0', 1)}")
    result = look(at_hand, "key")
    assert (result["state"], "check the region" in result["mend"]) == ("fail", True)
    assert at_hand.refused(*ENTERPRISE)[:2] == (6, "no_such_key")
    at_hand.ok("config", "set", f"stores.{kid}", uri)
    kms.isolate(monkeypatch, tmp_path, credentials=False)
    result = look(at_hand, "key")
    assert (result["state"], "aws sso login" in result["mend"]) == ("fail", True)
    assert at_hand.ok("key", "show", "remote", "--json").json["key"]["presence"] == "unavailable"
    assert at_hand.refused(*ENTERPRISE)[:2] == (6, "remote_credentials")
    assert at_hand.ok("license", "list", "--json").json["licenses"] == []


def stored(desk: Desk) -> tuple[str, str]:
    """Return the kid and the store URI of the only key."""
    (key,) = desk.ok("key", "list", "--json").json["keys"]
    return key["kid"], key["store"]


def test_no_key_is_put_into_kms(at_hand: Desk, server: KmsServer) -> None:
    """The hint generates it there and imports it."""
    store = ("--store", server.uri("alias/new"))
    code, name, hint = at_hand.refused("key", "generate", "two", *store, "--no-backup")
    assert (code, name) == (6, "store_read_only")
    assert "aws kms create-key" in hint
    assert "key import awskms:alias/NAME?region=REGION" in hint.replace("'", "")


def test_the_guide_generates_a_key_and_allows_what_is_needed(
    at_hand: Desk, server: KmsServer, operations: list[str]
) -> None:
    """Its commands for the AWS CLI are run by boto3, and its import with the test's server."""
    *created, last = blocks("AWS KMS", "keys", language="sh")[0].replace("\\\n", "").splitlines()
    region, create, name = map(shlex.split, created)
    assert region == ["export", f"AWS_REGION={REGION}"]
    assert " ".join(create[1:4]) == "kms create-key --key-spec"
    assert create[4:] == ["ECC_NIST_P256", "--key-usage", "SIGN_VERIFY"]
    arn = server.generate()
    assert name[:3] == ["aws", "kms", "create-alias"]
    options = dict(zip(name[3::2], name[4::2], strict=True))
    assert options["--target-key-id"] == "KEY-ID"
    server.client.create_alias(AliasName=options["--alias-name"], TargetKeyId=arn)
    _, *argv, uri = shlex.split(last)
    at_server = f"{uri}&endpoint={server.endpoint}"
    key = at_hand.ok(*argv, at_server, "--json").json["key"]
    assert key["store"] == f"awskms:{arn}?endpoint={server.endpoint}"
    (policy,) = blocks("AWS KMS", "keys", language="json")
    (statement,) = json.loads(policy)["Statement"]
    assert set(statement["Action"]) == {f"kms:{operation}" for operation in operations}
