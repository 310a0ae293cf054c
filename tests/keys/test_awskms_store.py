"""Keys in AWS KMS without a server: URIs, requests, answers and errors.

moto, whose server other tests run, has no policies, quotas or states of keys. Such answers are
those of botocore's Stubber here, with the error codes of the API reference.
"""

import hashlib
import socket
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions as of_aws
from botocore import session
from botocore.loaders import Loader, create_loader
from botocore.stub import Stubber
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support import kms
from support.keys import refusal

from polygent_issuer import store_uri
from polygent_issuer.errors import InvalidStore
from polygent_issuer.keys import awskms_store
from polygent_issuer.keys.awskms_store import AwsKms, numbers_of
from polygent_issuer.keys.remote import RemoteStore
from polygent_issuer.keys.signer import PROBE, Presence, TimeoutExpired, generate_private_key
from polygent_issuer.store_uri.remote import RemoteUri, parse_remote_uri
from polygent_issuer.verifier.keys import Key

PRIVATE = generate_private_key()
OURS = Key.from_public_key(PRIVATE.public_key())
ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MULTI_REGION = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef12345678"
ALIAS_ARN = "arn:aws:kms:eu-central-1:111122223333:alias/team/licensing"


@pytest.fixture(scope="module")
def loader() -> Loader:
    """Botocore's descriptions of services, which a client reads from many files."""
    return create_loader()


@pytest.fixture(autouse=True)
def isolated(loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use dummy credentials, and read the descriptions of services once."""
    kms.isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(session, "create_loader", lambda _folders: loader)


def service(uri: str = f"awskms:{ARN}", seconds: float = 20) -> AwsKms:
    """Return the service of a URI."""
    return AwsKms(parse_remote_uri(uri), timeout=timedelta(seconds=seconds))


def store(service: AwsKms) -> RemoteStore:
    """Return the store of a service."""
    return RemoteStore(service._place, service, timeout=timedelta(seconds=20))


def public_key(private: Any = PRIVATE, **members: str) -> dict[str, Any]:
    """Return an answer to GetPublicKey, as in the API reference."""
    return {
        "KeyId": ARN,
        "PublicKey": private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
        "CustomerMasterKeySpec": "ECC_NIST_P256",
        "KeySpec": "ECC_NIST_P256",
        "KeyUsage": "SIGN_VERIFY",
        "SigningAlgorithms": ["ECDSA_SHA_256"],
    } | members


def signature(data: bytes, **members: Any) -> dict[str, Any]:
    """Return an answer to Sign: the signature of these bytes, hashed once."""
    digest = hashlib.sha256(data).digest()
    der = PRIVATE.sign(digest, ec.ECDSA(Prehashed(SHA256())))
    return {"KeyId": ARN, "Signature": der, "SigningAlgorithm": "ECDSA_SHA_256"} | members


def request(message: bytes, kind: str) -> dict[str, Any]:
    """Return the request for a signature."""
    return {
        "KeyId": ARN,
        "Message": message,
        "MessageType": kind,
        "SigningAlgorithm": "ECDSA_SHA_256",
    }


def stub(service: AwsKms) -> Stubber:
    """Return prepared answers for a service, which connects to nothing."""
    stubber = Stubber(service._connected())
    stubber.activate()
    return stubber


@pytest.mark.parametrize(
    ("uri", "key", "spelling"),
    [
        (f"awskms:{ARN}", ARN, f"awskms:{ARN}"),
        (f"awskms:{MULTI_REGION}", MULTI_REGION, f"awskms:{MULTI_REGION}"),
        (f"awskms:{ALIAS_ARN}", ALIAS_ARN, f"awskms:{ALIAS_ARN}"),
        ("awskms:alias/licensing", "alias/licensing", "awskms:alias/licensing"),
        ("awskms:1234abcd-12ab", "1234abcd-12ab", "awskms:1234abcd-12ab"),
        (
            "awskms:alias/a?endpoint=https://vpce-1.kms.eu-west-1.vpce.amazonaws.com&region=eu-west-1",
            "alias/a",
            "awskms:alias/a?region=eu-west-1&endpoint=https://vpce-1.kms.eu-west-1.vpce.amazonaws.com",
        ),
        (
            f"awskms:{ARN}?endpoint=http://[::1]:5000",
            ARN,
            f"awskms:{ARN}?endpoint=http://%5B::1%5D:5000",
        ),
    ],
)
def test_a_key_of_kms_has_one_spelling(uri: str, key: str, spelling: str) -> None:
    """An ARN, an alias or an id; its options in their order."""
    place = store_uri.parse(uri)
    assert isinstance(place, RemoteUri)
    assert (place.key, place.uri) == (key, spelling)
    assert store_uri.parse(place.uri) == place


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("awskms:", "needs the ARN"),
        ("awskms:?region=eu-central-1", "needs the ARN"),
        ("awskms:alias/", "needs the ARN"),
        ("awskms:arn:aws:s3:eu-central-1:111122223333:key/1", "needs the ARN"),
        ("awskms:arn:aws:kms:eu-central-1:1111:key/1", "needs the ARN"),
        (f"awskms:{ARN}/..", "needs the ARN"),
        (f"awskms:{ARN}?region=eu-central-1", "already has the region"),
        ("awskms:alias/a?region=Frankfurt", "not the name of a region"),
        ("awskms:alias/a?endpoint=http://kms.example.com", "without TLS"),
        ("awskms:alias/a?endpoint=http://127.0.0.1.example.com", "without TLS"),
        ("awskms:alias/a?endpoint=https://geheim@host", "not a URL|percent-encoded"),
        ("awskms:alias/a?endpoint=https://user:geheim%40host", "not a URL"),
        ("awskms:alias/a?profile=x", "unknown attribute profile; allowed: region, endpoint"),
    ],
)
def test_an_invalid_uri_of_kms_is_refused(uri: str, problem: str) -> None:
    """The hint shows how to write it, and a password in an address is not repeated."""
    with pytest.raises(InvalidStore, match=problem) as raised:
        store_uri.parse(uri)
    assert raised.value.message.startswith("invalid awskms: URI: ")
    assert raised.value.hint
    assert "geheim" not in raised.value.message + str(raised.value.hint)


@given(r=st.integers(1, 2**256 - 1), s=st.integers(1, 2**256 - 1))
def test_numbers_are_32_bytes_each(r: int, s: int) -> None:
    """Short numbers are padded."""
    numbers = numbers_of(encode_dss_signature(r, s))
    assert numbers == r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize(
    "der",
    [
        b"",
        encode_dss_signature(0, 1),
        encode_dss_signature(1, 2**256),
        encode_dss_signature(1, 1) + b"\0",
        b"\x30\x06\x02\x01\xff\x02\x01\x01",  # a negative number
        b"\x30\x07\x02\x02\x00\x01\x02\x01\x01",  # a zero that is not needed
        b"\x30\x81\x06\x02\x01\x01\x02\x01\x01",  # a long form of a short length
        b"\x30\x03\x02\x01\x01",
        bytes(64),
    ],
)
def test_another_signature_is_refused(der: bytes) -> None:
    """Only DER with two positive numbers of 32 bytes."""
    with pytest.raises(ValueError):  # noqa: PT011 -- of cryptography, with any text
        numbers_of(der)
    kms_service = service()
    with stub(kms_service) as stubber:
        stubber.add_response("get_public_key", public_key())
        stubber.add_response("sign", signature(PROBE, Signature=der or b"\0"))
        code, message, _ = refusal(store(kms_service).adopt)
    assert (code, message) == ("remote_failed", "AWS KMS returned a malformed signature")


def test_an_alias_is_pinned_by_the_arn_of_its_key() -> None:
    """The ARN has the region, the endpoint stays, and the alias is the label."""
    kms_service = service(
        "awskms:alias/team/licensing?region=eu-central-1&endpoint=https://vpce.example"
    )
    assert kms_service._connected().meta.region_name == "eu-central-1"
    assert kms_service._connected().meta.endpoint_url == "https://vpce.example"
    with stub(kms_service) as stubber:
        stubber.add_response("get_public_key", public_key(), {"KeyId": "alias/team/licensing"})
        stubber.add_response("sign", signature(PROBE), request(PROBE, "RAW"))
        entry = store(kms_service).adopt()
    assert entry.uri == f"awskms:{ARN}?endpoint=https://vpce.example"
    assert (entry.key, entry.label) == (OURS, "team/licensing")


def test_the_region_is_that_of_the_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's is another one; without an ARN it counts."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert service()._connected().meta.region_name == "eu-central-1"
    assert service("awskms:alias/a")._connected().meta.region_name == "us-east-1"
    assert service("awskms:alias/a?region=eu-west-1")._connected().meta.region_name == "eu-west-1"


def test_only_the_uri_names_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pinned key is not asked for elsewhere, and this machine not through a proxy."""
    elsewhere = "https://elsewhere.example"
    config = tmp_path / "config"
    config.write_text(f"[default]\nendpoint_url = {elsewhere}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", elsewhere)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", elsewhere)
    monkeypatch.setenv("https_proxy", elsewhere)
    monkeypatch.setenv("http_proxy", elsewhere)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for endpoint, proxies in (
        ("", {"http": elsewhere, "https": elsewhere}),
        ("https://vpce.example", {"http": elsewhere, "https": elsewhere}),
        ("http://127.0.0.1:5000", {}),
    ):
        client = service(f"awskms:{ARN}" + (endpoint and f"?endpoint={endpoint}"))._connected()
        assert client.meta.endpoint_url == (endpoint or "https://kms.eu-central-1.amazonaws.com")
        used = client._endpoint.http_session._proxy_config._proxies
        assert {name: used[name] for name in ("http", "https") if name in used} == proxies


@pytest.mark.parametrize(("length", "kind"), [(1, "RAW"), (4096, "RAW"), (4097, "DIGEST")])
def test_kms_hashes_up_to_4096_bytes_itself(length: int, kind: str) -> None:
    """Of a longer message it gets the digest; the signature is that of the message."""
    data = b"x" * length
    message = data if kind == "RAW" else hashlib.sha256(data).digest()
    kms_service = service()
    with stub(kms_service) as stubber:
        stubber.add_response("get_public_key", public_key())
        stubber.add_response("sign", signature(data), request(message, kind))
        assert OURS.verifies(store(kms_service).load(OURS).sign(data), data)
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("answer", "code", "problem"),
    [
        (public_key(KeySpec="RSA_2048"), "unsupported_key", "RSA_2048 and SIGN_VERIFY"),
        (public_key(KeySpec="ECC_SECG_P256K1"), "unsupported_key", "ECC_SECG_P256K1"),
        (public_key(KeyUsage="KEY_AGREEMENT"), "unsupported_key", "KEY_AGREEMENT"),
        (public_key(KeyId="1234abcd-12ab-34cd"), "remote_failed", "a key without its ARN"),
        (public_key(KeyId=ALIAS_ARN), "remote_failed", "a key without its ARN"),
        (public_key() | {"PublicKey": b"\0"}, "remote_failed", "a malformed key"),
        (public_key(ec.generate_private_key(ec.SECP384R1())), "remote_failed", "a malformed key"),
    ],
)
def test_another_key_is_refused(answer: dict[str, Any], code: str, problem: str) -> None:
    """Spec, usage and ARN come from KMS, and nothing is signed."""
    kms_service = service()
    with stub(kms_service) as stubber:
        stubber.add_response("get_public_key", answer)
        actual, message, hint = refusal(store(kms_service).adopt)
    assert (actual, problem in message) == (code, True)
    assert ("--key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY" in hint) is (
        code == "unsupported_key"
    )


PROBLEMS = [
    ("AccessDeniedException", "remote_refused", "allow kms:"),
    ("UnrecognizedClientException", "remote_credentials", "aws sso login"),
    ("ExpiredTokenException", "remote_credentials", "aws sso login"),
    ("InvalidSignatureException", "remote_credentials", "the clock of this machine"),
    ("DisabledException", "remote_key_disabled", "aws kms enable-key"),
    ("KMSInvalidStateException", "remote_key_disabled", "aws kms cancel-key-deletion"),
    ("InvalidKeyUsageException", "unsupported_key", "--key-usage SIGN_VERIFY"),
    ("UnsupportedOperationException", "unsupported_key", "--key-spec ECC_NIST_P256"),
    ("NotFoundException", "no_such_key", "check the region"),
    ("InvalidArnException", "no_such_key", "check the region"),
    ("ThrottlingException", "remote_absent", "quota"),
    ("KMSInternalException", "remote_absent", "later"),
    ("NewException", "remote_failed", "check the log"),
]


@pytest.mark.parametrize(("problem", "code", "fix"), PROBLEMS)
def test_a_refusal_states_what_to_do(problem: str, code: str, fix: str) -> None:
    """Of the key when it is looked for, and of the signature; the presence never fails."""
    kms_service = service()
    with stub(kms_service) as stubber:
        for _ in range(2):
            stubber.add_client_error("get_public_key", problem, "the text of AWS")
        actual, message, hint = refusal(store(kms_service).require_ready)
        assert (actual, fix in hint, "the text of AWS" in message) == (code, True, False)
        presence = store(kms_service).presence(OURS.kid)
        assert presence is (Presence.ABSENT if code == "no_such_key" else Presence.UNAVAILABLE)
        stubber.add_response("get_public_key", public_key())
        stubber.add_client_error("sign", problem)
        signer = store(kms_service).load(OURS)
        actual, message, hint = refusal(lambda: signer.sign(b"x"))
        assert (actual, fix in hint) == (code, True)
        if code == "remote_refused":
            assert message.endswith("the permission kms:Sign is missing")
            assert "allow kms:Sign for this key" in hint


def failing(error: Exception) -> AwsKms:
    """Return a service whose requests raise an error."""

    def fail(**_: str) -> None:
        raise error

    kms_service = service(f"awskms:{ARN}?endpoint=https://vpce.example")
    kms_service._client = SimpleNamespace(get_public_key=fail)
    return kms_service


@pytest.mark.parametrize(
    ("error", "code", "fix"),
    [
        (of_aws.ConnectTimeoutError(endpoint_url="u"), "remote_timeout", "keyring_timeout"),
        (of_aws.ReadTimeoutError(endpoint_url="u"), "remote_timeout", "keyring_timeout"),
        (of_aws.EndpointConnectionError(endpoint_url="u"), "remote_absent", "endpoint"),
        (of_aws.ConnectionClosedError(endpoint_url="u"), "remote_absent", "endpoint"),
        (of_aws.ProxyConnectionError(proxy_url="u"), "remote_absent", "proxy"),
        (of_aws.SSLError(endpoint_url="u", error="e"), "remote_absent", "AWS_CA_BUNDLE"),
        (of_aws.NoRegionError(), "remote_absent", "region=REGION"),
        (of_aws.TokenRetrievalError(provider="p", error_msg="geheim"), "remote_credentials", "sso"),
        (of_aws.UnauthorizedSSOTokenError(), "remote_credentials", "aws sso login"),
        (of_aws.ApiVersionNotFoundError(data_path="geheim", api_version="1"), "remote_failed", ""),
        (
            of_aws.ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole"),
            "remote_credentials",
            "aws sts get-caller-identity",
        ),
        (
            of_aws.ClientError({"Error": {"Code": "NotFoundException"}}, "GetRoleCredentials"),
            "remote_credentials",
            "aws sso login",
        ),
    ],
)
def test_a_request_without_an_answer_states_what_to_do(
    error: Exception, code: str, fix: str
) -> None:
    """Errors of boto3 count by their class; their texts, which may have secrets, are dropped."""
    actual, message, hint = refusal(store(failing(error)).adopt)
    assert (actual, fix in hint) == (code, True)
    assert "geheim" not in message + hint
    assert ("https://vpce.example" in message) is (code == "remote_absent")


def test_without_credentials_the_hint_logs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None at all, a profile that is not there, and a process that fails and prints a secret."""
    kms.isolate(monkeypatch, tmp_path, credentials=False)
    code, message, hint = refusal(store(service()).adopt)
    assert (code, message) == (
        "remote_credentials",
        "AWS KMS needs a login: no credentials were found",
    )
    assert "aws sso login" in hint
    config = tmp_path / "config"
    config.write_text("[default]\ncredential_process = sh -c 'echo geheim >&2; exit 1'\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    code, message, hint = refusal(store(service()).adopt)
    assert (code, "CredentialRetrievalError" in message) == ("remote_credentials", True)
    assert "geheim" not in message + hint
    monkeypatch.setenv("AWS_PROFILE", "none")
    code, message, _ = refusal(store(service()).adopt)
    assert (code, "ProfileNotFound" in message) == ("remote_credentials", True)


def test_without_the_extra_the_hint_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The presence of a key is `unavailable` then."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    code, _, hint = refusal(store(service()).adopt)
    assert code == "remote_library_missing"
    assert hint == "install it: pip install 'polygent-issuer[awskms]'"
    assert store(service()).presence(OURS.kid) is Presence.UNAVAILABLE


def test_the_attempts_together_have_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts and stays silent is left by boto3 itself, so that its thread ends."""
    config = service(seconds=6)._connected().meta.config
    assert config.retries["total_max_attempts"] * config.read_timeout == 6
    assert config.connect_timeout == config.read_timeout
    monkeypatch.setattr(awskms_store, "_ATTEMPTS", 1)  # without the pauses between attempts
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TimeoutExpired):
            service(f"awskms:{ARN}?endpoint={endpoint}", seconds=0.05).keys()


def test_stubbed_signatures_are_valid() -> None:
    """The tests above sign the digest once, as KMS does."""
    r, s = decode_dss_signature(signature(b"x")["Signature"])
    assert OURS.verifies(r.to_bytes(32, "big") + s.to_bytes(32, "big"), b"x")
