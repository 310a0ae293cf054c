"""What a batch does with each of its items: a job, and the outcome that it ends with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.registry import LicenseRecord, Reading, licenses
from polygent_issuer.registry.errors import RegistryFailed, RegistryLocked, RegistryMisuse

OF_ALL: Final = (RegistryFailed, RegistryLocked, RegistryMisuse)
"""What is no fault of the item at which it comes up, so that the batch ends with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What an item needs.

    Attributes:
        proposals: the licenses to be issued; none when everything is as it should be.
        note: why there are none, or what the operator should know beside them.
        kept: the license that stays as it is.
    """

    proposals: tuple[Proposal, ...] = ()
    note: str | None = None
    kept: LicenseRecord | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One item of a batch.

    Attributes:
        place: how people know it: a customer, a license, a row of a file.
        subject: whose license it is about, as long as the batch says the same.
        decide: what it needs, in the transaction that is open; an `IssuerError` is its outcome.
        consent: what was accepted for it, and why.
        own: what the item itself says of that, such as a row of a file; whether that counts or
            not, it is a part of what is reviewed.
        license_id: the license that it rests on, where that is known; it is read ahead.
    """

    place: str
    subject: str
    decide: Callable[[Reading], Decision]
    consent: Consent
    own: Consent = field(default_factory=Consent)
    license_id: str | None = None


def read_ahead(db: Reading, jobs: Iterable[Job]) -> None:
    """Read at once what many jobs will decide on, as far as that is known."""
    licenses.read_ahead(db, [job.license_id for job in jobs if job.license_id is not None])


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Issued: license row, journal row and file are durable."""

    job: Job
    issued: tuple[Issued, ...]
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Nothing was to be done."""

    job: Job
    decision: Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """Not issued, or issued without its file.

    Attributes:
        issued: what is issued and kept all the same; its file is not where it should be.
    """

    job: Job
    error: IssuerError
    issued: tuple[Issued, ...] = ()


Outcome = Done | Kept | Failed
