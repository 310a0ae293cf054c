"""What a batch is told to do."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from polygent_issuer.batch.outcomes import Job
from polygent_issuer.findings import Consent
from polygent_issuer.signer import Signer


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What is to be done.

    Attributes:
        what: in a word, for the progress bar.
        jobs: the items, anew for each pass, with what was consented to.
        unlock: gives the signer of each key that may have to sign; prompts happen there.
        total: how many items there are, when that is known.
        expect: the digest that the review must have.
        expectable: whether the command takes such a digest.
        default_key: whether an item may have to be signed with the key for all.
        unnamed: the customers of whom no item tells.
    """

    what: str
    jobs: Callable[[Consent], Iterable[Job]]
    unlock: Callable[[], Mapping[str, Signer]]
    total: int | None = None
    expect: str | None = None
    expectable: bool = False
    default_key: bool = True
    unnamed: Callable[[], tuple[str, ...]] = tuple
