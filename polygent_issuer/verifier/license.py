"""A license: what a customer is entitled to, as a value and as a file's payload (FORMAT §1)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from . import claims as read
from .claims import VERSION
from .clock import EPOCH
from .domain import AllowedDomain
from .errors import invalid_claim
from .features import Tier
from .identifiers import is_license_id, is_slug
from .strict_json import loads_object

MAX_EXP: Final = 253_402_300_799
"""The last second of year 9999."""

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many may use the product at once: users, and hosts of agents (0: none may connect)."""

    users: int
    session_hosts: int
    deploy_hosts: int

    @classmethod
    def from_claims(cls, claims: Mapping[str, object]) -> "Limits":
        """The claim `limits`.

        Raises:
            LicenseError: (`invalid_claims`) when it breaks FORMAT §1.
        """
        given = read.require(claims, "limits", dict)
        return cls(
            users=read.limit(given, "users", least=1),
            session_hosts=read.limit(given, "sessionHosts", least=0),
            deploy_hosts=read.limit(given, "deployHosts", least=0),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class License:
    """The claims of a license, each by the name that FORMAT §1 gives it, in snake case.

    `from_claims` and `from_payload` let nothing pass that breaks FORMAT §1 to §3; the constructor
    checks nothing, so who builds one by hand reads its payload back.

    Attributes:
        iss: who issued it.
        sub: the customer's slug.
        jti: the license ID, a UUID in lower case; the license's identity.
        iat: issued at, seconds since 1970 UTC.
        exp: expires at, likewise; expired from this second on.
        customer: the customer's name for people.
        tier: standard (one machine) or enterprise.
        features: sorted; may hold some that this version does not know.
        limits: users and hosts.
        machine_fingerprint: canonical (FORMAT §4); standard only.
        allowed_domain: enterprise only, if at all.
        replaces: the ids of licenses that this one supersedes, in the order of the file.
        ver: the version of the format.
    """

    iss: str
    sub: str
    jti: str
    iat: int
    exp: int
    customer: str
    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    machine_fingerprint: str | None = None
    allowed_domain: AllowedDomain | None = None
    replaces: tuple[str, ...] = ()
    ver: int = VERSION

    @property
    def issued_at(self) -> datetime:
        """`iat` in UTC."""
        return EPOCH + timedelta(seconds=self.iat)

    @property
    def expires_at(self) -> datetime:
        """`exp` in UTC: the first instant at which the license no longer holds."""
        return EPOCH + timedelta(seconds=self.exp)

    @classmethod
    def from_payload(cls, payload: bytes) -> "License":
        """The license that the payload of a file holds.

        Raises:
            LicenseError: (`malformed`) when it is not JSON as FORMAT §1 wants it;
                (`invalid_claims`) when a claim breaks FORMAT §1 to §3.
        """
        return cls.from_claims(loads_object(payload, what="the payload"))

    @classmethod
    def from_claims(cls, claims: Mapping[str, object]) -> "License":
        """The license that these claims describe; names that are not listed are ignored.

        Raises:
            LicenseError: (`invalid_claims`) when a claim breaks FORMAT §1 to §3.
        """
        read.check_version(claims)
        tier = read.tier(claims)
        iat = read.integer(claims, "iat", least=1, most=MAX_EXP - 1)
        jti = read.word(claims, "jti", is_license_id)
        return cls(
            iss=read.display_name(claims, "iss"),
            sub=read.word(claims, "sub", is_slug),
            jti=jti,
            iat=iat,
            exp=read.integer(claims, "exp", least=iat + 1, most=MAX_EXP),
            customer=read.display_name(claims, "customer"),
            tier=tier,
            features=read.features(claims, tier),
            limits=Limits.from_claims(claims),
            machine_fingerprint=read.machine_fingerprint(claims, tier),
            allowed_domain=read.allowed_domain(claims, tier),
            replaces=read.replaces(claims, jti),
        )

    def to_claims(self) -> dict[str, Any]:
        """The claims by their names in the file, features sorted, what is absent left out."""
        claims: dict[str, Any] = {
            "ver": self.ver,
            "iss": self.iss,
            "sub": self.sub,
            "jti": self.jti,
            "iat": self.iat,
            "exp": self.exp,
            "customer": self.customer,
            "tier": str(self.tier),
            "features": sorted(self.features),
            "limits": {
                "users": self.limits.users,
                "sessionHosts": self.limits.session_hosts,
                "deployHosts": self.limits.deploy_hosts,
            },
        }
        if self.machine_fingerprint is not None:
            claims["machineFingerprint"] = self.machine_fingerprint
        if self.allowed_domain is not None:
            claims["allowedDomain"] = self.allowed_domain.text
        if self.replaces:
            claims["replaces"] = list(self.replaces)
        return claims

    def to_payload(self) -> bytes:
        """The payload as FORMAT §1, "Issuing", writes it: sorted names, no white space, UTF-8.

        Raises:
            LicenseError: (`invalid_claims`) when a text cannot be UTF-8 (a lone surrogate).
        """
        try:
            return _encode(self.to_claims()).encode()
        except UnicodeEncodeError:
            raise invalid_claim("payload", "a claim holds a lone surrogate") from None
