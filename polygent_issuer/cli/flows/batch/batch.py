"""A batch: its items, and what it takes to issue their licenses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from polygent_issuer.batch.outcomes import Job
from polygent_issuer.findings import Consent
from polygent_issuer.keys.signer import Signer


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The items of a batch, and what it takes to issue their licenses.

    Attributes:
        activity: for the progress bar: `renewing`.
        jobs: makes the items, for each pass, with what was consented to.
        unlock: gives the signer of each key that may have to sign; prompts happen there.
        total: how many items there are.
        expect: the digest that the preview must have.
        takes_digest: whether the command has `--expect`.
        default_key: whether an item may have to be signed with the key for all.
        missing_customers: gives the customers whom no item names.
    """

    activity: str
    jobs: Callable[[Consent], Iterable[Job]]
    unlock: Callable[[], Mapping[str, Signer]]
    total: int
    expect: str | None = None
    takes_digest: bool = False
    default_key: bool = True
    missing_customers: Callable[[], tuple[str, ...]] = tuple
