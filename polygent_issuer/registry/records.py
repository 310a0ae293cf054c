"""What the registry holds, as frozen values; times are aware UTC datetimes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from polygent_issuer.hints import run
from polygent_issuer.registry.errors import RegistryDamaged

if TYPE_CHECKING:
    from polygent_issuer.verifier.keys import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acts: the operator by the settings and, beside it, the OS user by uid and the host."""

    operator: str
    os_user: str
    uid: int | None
    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """Whom licenses are for; `slug` is their `sub`, `aliases` are slugs of merged customers."""

    id: int
    slug: str
    name: str
    created_at: datetime
    archived_at: datetime | None
    time_zone: str | None
    crm: str | None
    contacts: tuple[str, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A customer's machine as it is today: its label, and since when it is this fingerprint."""

    id: int
    customer_id: int
    label: str
    fingerprint: str
    hostname: str | None
    components: Mapping[str, str]
    since: datetime
    document_id: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What one machine was, `since` … `until`; `until` is None today."""

    fingerprint: str
    hostname: str | None
    components: Mapping[str, str]
    since: datetime
    until: datetime | None
    document_id: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownFingerprint:
    """Whose machine a fingerprint is, or was; with the digest of the document that said so.

    `hostname` is what the machine was called under this fingerprint.
    """

    customer: Customer
    machine: Machine
    since: datetime
    until: datetime | None
    hostname: str | None
    document_sha256: str | None


class LicenseStatus(StrEnum):
    """What became of a license; a current one may have expired."""

    CURRENT = "current"
    REPLACED = "replaced"
    RETIRED = "retired"


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseRecord:
    """A license that was issued, with the exact bytes of its `.lic`.

    `id` is the `jti`; `term` and `plan` are what the next renewal goes by.
    """

    id: str
    customer_id: int
    customer_slug: str
    machine_id: int | None
    machine_label: str | None
    kid: str
    file: bytes
    sha256: str
    tier: str
    issued_at: datetime
    expires_at: datetime
    term: str | None
    plan: str | None
    document_id: int | None
    replaced_by: str | None
    retired_at: datetime | None
    retired_reason: str | None
    sent_at: datetime | None

    @property
    def status(self) -> LicenseStatus:
        """Current, replaced or retired; only one of them."""
        if self.replaced_by is not None:
            return LicenseStatus.REPLACED
        return LicenseStatus.CURRENT if self.retired_at is None else LicenseStatus.RETIRED

    @property
    def is_current(self) -> bool:
        """Neither replaced nor retired."""
        return self.status is LicenseStatus.CURRENT


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRecord:
    """A signing key's public half, pinned: `kid` is its RFC 7638 thumbprint."""

    kid: str
    label: str
    public_pem: bytes
    created_at: datetime
    active: bool
    retired_at: datetime | None
    compromised: bool
    backed_up_at: datetime | None

    @property
    def may_sign(self) -> bool:
        """Neither retired nor compromised."""
        return self.retired_at is None and not self.compromised

    @property
    def public_key(self) -> "Key":
        """The public half, decoded at each call.

        Raises:
            RegistryDamaged: (`registry_damaged`) when the stored key is not the one of `kid`.
        """
        # Listing licenses opens the registry too; only here is cryptography needed (30 ms).
        from polygent_issuer.verifier.errors import InvalidKey  # noqa: PLC0415
        from polygent_issuer.verifier.keys import Key  # noqa: PLC0415

        try:
            key = Key.from_pem(self.public_pem)
        except InvalidKey as error:
            raise RegistryDamaged(
                f"the public key of {self.kid} in the registry is refused: {error.message}",
                hint=run("journal", "verify"),
            ) from error
        if key.kid != self.kid:
            raise RegistryDamaged(
                f"the public key stored for {self.kid} is another one",
                hint=run("journal", "verify"),
            )
        return key


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyUse:
    """What was signed with a key.

    Attributes:
        licenses: how many were; `current` of them are neither replaced nor retired.
        last_end: when the last of them ends, replaced and retired ones too: their files run on.
    """

    licenses: int
    current: int
    last_end: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A `machine-info.json` as it was received, byte for byte."""

    id: int
    sha256: str
    content: bytes
    fingerprint: str
    generated_at: datetime
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalRow:
    """Who did what, when and why; `previous` and `hash` are SHA-256 in hex.

    `accepted` are codes of findings, `details` explains the act; `body` is all of it, with the
    digests of the rows that were written.
    """

    seq: int
    at: datetime
    event: str
    operator: str
    customer: str | None
    license: str | None
    kid: str | None
    accepted: tuple[str, ...]
    reason: str | None
    details: Mapping[str, Any]
    body: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRow:
    """A committed license whose file may not have reached its place yet.

    `folder` is None for stdout.
    """

    license_id: str
    folder: str | None
    name: str | None
    at: datetime
