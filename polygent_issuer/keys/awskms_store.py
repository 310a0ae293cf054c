"""Keys in AWS KMS: `ECC_NIST_P256` keys for `SIGN_VERIFY`, which never leave it.

This needs the optional library boto3 (`polygent-issuer[awskms]`), which is imported when such a key
is used. The credentials come from boto3's own chain. An error of it is identified by its class or
its code alone, since its text may quote the output of a credential process.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import remote
from polygent_issuer.keys.signer import StoreEntry, TimeoutExpired
from polygent_issuer.store_uri.remote import KMS_ARN, is_loopback, parse_remote_uri
from polygent_issuer.text import escape, escape_short
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import COORDINATE_BYTES, Key

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.exceptions import BotoCoreError, ClientError

RAW_LIMIT: Final = 4096
"""The longest message in bytes that KMS hashes itself; of a longer one it takes the digest."""

_ALGORITHM: Final = "ECDSA_SHA_256"
_SPEC: Final = ("ECC_NIST_P256", "SIGN_VERIFY")
_ATTEMPTS: Final = 3
_READ, _SIGN = "GetPublicKey", "Sign"
"""The names of the operations; the IAM actions are these after `kms:`."""

_ALIAS: Final = re.compile(r"(?:^|:)alias/(.+)")
_MISSING: Final = frozenset({"InvalidArnException", "NotFoundException"})
_LOGIN_HINT: Final = (
    "log in, such as with aws sso login; or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY; to check: aws sts get-caller-identity"
)
# The error codes of Sign, GetPublicKey, and
# https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
_PROBLEMS: Final[Sequence[tuple[str, str, str, str]]] = (
    (
        "remote_credentials",
        (
            "ExpiredToken ExpiredTokenException IncompleteSignature IncompleteSignatureException "
            "InvalidClientTokenId InvalidSignatureException MissingAuthenticationToken "
            "MissingAuthenticationTokenException RequestExpired UnrecognizedClientException"
        ),
        "AWS KMS needs a login: the credentials are wrong or expired ({code})",
        f"{_LOGIN_HINT}; and check the clock of this machine",
    ),
    (
        "remote_refused",
        "AccessDenied AccessDeniedException NotAuthorized",
        "AWS KMS refused access: the permission kms:{operation} is missing",
        "allow kms:{operation} for this key in the IAM policy of the caller or in the key policy",
    ),
    (
        "remote_key_disabled",
        "DisabledException KMSInvalidStateException",
        "the key in AWS KMS is disabled or pending deletion ({code})",
        (
            "enable it: aws kms enable-key --key-id ARN; if its deletion is pending, first: "
            "aws kms cancel-key-deletion --key-id ARN"
        ),
    ),
    (
        "unsupported_key",
        "InvalidKeyUsageException UnsupportedOperationException",
        "the key in AWS KMS is not for signatures ({code})",
        "generate another key: {generating}",
    ),
    (
        "remote_absent",
        "LimitExceededException Throttling ThrottlingException",
        "AWS KMS cannot be reached: too many requests ({code})",
        "run the command again later; or request a higher quota for ECC operations",
    ),
    (
        "remote_absent",
        (
            "DependencyTimeoutException InternalFailure KMSInternalException "
            "KeyUnavailableException ServiceUnavailable ServiceUnavailableException"
        ),
        "AWS KMS cannot be reached: it has a problem of its own ({code})",
        "run the command again later; its status: https://health.aws.amazon.com",
    ),
)


class AwsKms(remote.Service):
    """The KMS key of a store URI: `awskms:ARN`, or `awskms:alias/NAME?region=REGION`.

    KMS has no operation that returns a private key, so `check_stays` checks nothing.
    """

    _client: "BaseClient | None" = None

    def keys(self) -> list[StoreEntry]:
        """Return the key of the URI, pinned by its ARN; an alias is its label.

        Raises:
            KeyUnavailable: (`remote_library_missing`, `remote_credentials`, `remote_refused`,
                `remote_absent`, `remote_failed`, `remote_key_disabled`), and (`unsupported_key`)
                for another spec or usage.
        """
        answer = self._ask(_READ, lambda client: client.get_public_key(KeyId=self._place.key))
        if answer is None:
            return []
        if (answer.get("KeySpec"), answer.get("KeyUsage")) != _SPEC:
            has = escape(f"{answer.get('KeySpec')} and {answer.get('KeyUsage')}")
            raise KeyUnavailable(
                f"signing keys must be P-256 keys for signatures, and the key in AWS KMS has {has}",
                hint=f"generate another key: {self._place.scheme.generating}",
                code="unsupported_key",
            )
        arn = str(answer.get("KeyId"))
        if not KMS_ARN.fullmatch(arn) or ":key/" not in arn:
            raise remote.failed(self._place, "a key without its ARN")
        try:
            key = Key.from_public_key(load_der_public_key(answer["PublicKey"]))
        except (InvalidKey, KeyError, TypeError, ValueError):
            raise remote.failed(self._place, "a malformed key") from None
        options = tuple(pair for pair in self._place.options if pair[0] != "region")
        alias = _ALIAS.search(self._place.key)
        return [
            StoreEntry(
                key=key,
                uri=replace(self._place, key=arn, options=options).uri,
                label=alias[1] if alias else "",
            )
        ]

    def sign(self, entry: StoreEntry, items: Sequence[bytes]) -> list[bytes]:
        """Return the signature of the item with the key of the entry.

        Raises:
            KeyUnavailable: as `keys`, and (`no_such_key`).
        """
        arn = parse_remote_uri(entry.uri).key
        return [self._signature(arn, data) for data in items]

    def _signature(self, arn: str, data: bytes) -> bytes:
        raw = len(data) <= RAW_LIMIT
        request = {
            "KeyId": arn,
            "Message": data if raw else hashlib.sha256(data).digest(),
            "MessageType": "RAW" if raw else "DIGEST",
            "SigningAlgorithm": _ALGORITHM,
        }
        answer = self._ask(_SIGN, lambda client: client.sign(**request))
        if answer is None:
            raise remote.missing(self._place, f"the key {arn}")
        try:
            return numbers_of(answer["Signature"])
        except (KeyError, TypeError, ValueError):
            raise remote.failed(self._place, "a malformed signature") from None

    def _ask(
        self, operation: str, call: Callable[[Any], Mapping[str, Any]]
    ) -> Mapping[str, Any] | None:
        """Return the answer of KMS, or None if it does not know the key."""
        try:
            import boto3  # noqa: F401, PLC0415 -- an extra, which takes most of a second
            from botocore import exceptions as of_aws  # noqa: PLC0415 -- as above
        except ImportError:
            raise remote.library_missing(self._place, "boto3") from None
        try:
            return call(self._connected())
        except of_aws.ClientError as error:
            if error.operation_name == operation and _code(error) in _MISSING:
                return None
            problem: Exception = self._refusal(error, operation)
        except (of_aws.ConnectTimeoutError, of_aws.ReadTimeoutError):
            problem = TimeoutExpired()
        except of_aws.BotoCoreError as error:
            problem = self._failure(error)
        raise problem from None

    def _connected(self) -> "BaseClient":
        """Return the client, which threads may share: its connections stay open for a batch."""
        if self._client is None:
            import boto3  # noqa: PLC0415 -- as in _ask
            from botocore.config import Config  # noqa: PLC0415 -- as in _ask

            each = self._timeout.total_seconds() / _ATTEMPTS
            arn = KMS_ARN.fullmatch(self._place.key)
            endpoint = self._place.option("endpoint")
            self._client = boto3.session.Session().client(
                "kms",
                region_name=arn["region"] if arn else self._place.option("region"),
                endpoint_url=endpoint,
                config=Config(
                    ignore_configured_endpoint_urls=True,  # the URI alone names the server
                    proxies={} if endpoint and is_loopback(endpoint) else None,
                    connect_timeout=each,
                    read_timeout=each,
                    retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                ),
            )
        return self._client

    def _refusal(self, error: "ClientError", operation: str) -> KeyUnavailable:
        """Return the error for an answer with an error code."""
        code = _code(error)
        if error.operation_name != operation:  # of a role or a login, before KMS was asked
            return self._no_credentials(f"{error.operation_name} failed with {escape_short(code)}")
        words = {"code": code, "operation": operation, "generating": self._place.scheme.generating}
        for own_code, codes, message, hint in _PROBLEMS:
            if code in codes.split():
                return KeyUnavailable(
                    message.format(**words), hint=hint.format(**words), code=own_code
                )
        return remote.failed(self._place, f"the error {escape_short(code)}")

    def _failure(self, error: "BotoCoreError") -> KeyUnavailable:
        """Return the error for a request that got no answer."""
        from botocore import exceptions as of_aws  # noqa: PLC0415 -- as in _ask

        name = type(error).__name__
        if isinstance(error, of_aws.NoCredentialsError):
            return self._no_credentials("no credentials were found")
        if isinstance(error, of_aws.NoRegionError):
            hint = "add it to the store URI: region=REGION; or write the ARN of the key"
            return self._absent("its region is not known", hint)
        if isinstance(error, of_aws.SSLError):
            hint = "if a proxy or a VPC endpoint has its own CA, name its file in AWS_CA_BUNDLE"
            return self._absent("its TLS certificate is not valid", hint)
        if isinstance(error, of_aws.ConnectionError | of_aws.HTTPClientError):
            hint = "check the region or the endpoint in the store URI, the network and the proxy"
            return self._absent(f"no connection ({name})", hint)
        if re.search("Credential|Token|SSO|Login|Profile|Config", name):
            return self._no_credentials(f"the credentials cannot be loaded ({name})")
        return remote.failed(self._place, f"an error ({name})")

    def _no_credentials(self, why: str) -> KeyUnavailable:
        return remote.no_credentials(self._place, why, hint=_LOGIN_HINT)

    def _absent(self, why: str, hint: str) -> KeyUnavailable:
        endpoint = self._place.option("endpoint")
        prefix = "" if endpoint is None else f"{escape(endpoint)}: "
        return remote.absent(self._place, f"{prefix}{why}", hint=hint)


def numbers_of(signature: bytes) -> bytes:
    """Return R‖S, 64 bytes, of an ECDSA signature in DER.

    Raises:
        ValueError: if it is not DER, or a number is not positive or has more than 32 bytes.
    """
    numbers = decode_dss_signature(signature)
    if not all(0 < number < 1 << 8 * COORDINATE_BYTES for number in numbers):
        raise ValueError("a number is out of range")
    return b"".join(number.to_bytes(COORDINATE_BYTES, "big") for number in numbers)


def _code(error: "ClientError") -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
