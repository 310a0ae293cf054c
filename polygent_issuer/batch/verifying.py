"""Many license files as the customer's server would judge them: of each its verdict, and why.

The same words as `issuing.judging`, which says everything of one file; here no row is made for a
check that passed, and the registry is asked once for a whole chunk.
"""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

from polygent_issuer.batch.sources import Source
from polygent_issuer.errors import UnreadableInput
from polygent_issuer.issuing import leaked_key
from polygent_issuer.issuing.check_rows import for_people, with_source
from polygent_issuer.issuing.foreign_files import named_kid
from polygent_issuer.issuing.judging import Server, Verdict
from polygent_issuer.registry import Reading, Registry
from polygent_issuer.registry.standing import Standing, of_licenses
from polygent_issuer.verifier import (
    EXAMPLE_KID,
    CheckCode,
    CheckRow,
    KeySet,
    License,
    LicenseError,
    Outcome,
    Verifier,
    policy,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """A file's verdict.

    Attributes:
        name: the file as it was named.
        failed: the first check of FORMAT §5 that failed.
        problem: why it cannot be read.
        standing: how the license stands in the registry; `None` when it is not there.
        example_key: whether it is authentic only by the example key.
    """

    name: str
    verdict: Verdict
    failed: CheckRow | None = None
    problem: UnreadableInput | None = None
    standing: Standing | None = None
    example_key: bool = False


class Examiner:
    """Judges files in chunks, by keys and a registry that stay the same for all of them."""

    def __init__(self, keys: KeySet, server: Server, registry: Registry | None) -> None:
        """Judge as this server, which trusts these keys."""
        self._verifier = Verifier(keys)
        self._server = server
        self._circumstances = server.circumstances(server.fingerprint)
        self._registry = registry
        self._has_example = keys.get(EXAMPLE_KID) is not None

    def judge(self, sources: Iterable[Source]) -> list[Brief]:
        """The verdicts on these files, in their order; what the registry says is of one snapshot.

        Raises:
            RegistryLocked: (`registry_locked`) when another process held it for too long.
        """
        opened = [(source, self._opened(source)) for source in sources]
        with nullcontext() if self._registry is None else self._registry.reading() as db:
            ids = [found.jti for _, found in opened if isinstance(found, License)]
            known = {} if db is None else of_licenses(db, ids)
            return [self._brief(source, found, known, db) for source, found in opened]

    def _opened(self, source: Source) -> License | LicenseError | None:
        if source.problem is not None:
            return None
        try:
            return self._verifier.authenticate(source.data)
        except LicenseError as refusal:
            return refusal

    def _brief(
        self,
        source: Source,
        found: License | LicenseError | None,
        known: Mapping[str, Standing],
        db: Reading | None,
    ) -> Brief:
        if isinstance(found, License):
            return self._accepted_or_not(source, found, known.get(found.jti))
        if isinstance(found, LicenseError):
            failed = _not_authentic(source.data, found, db)
            return Brief(name=source.name, verdict=Verdict.NOT_AUTHENTIC, failed=failed)
        return Brief(name=source.name, verdict=Verdict.UNREADABLE, problem=source.problem)

    def _accepted_or_not(self, source: Source, held: License, standing: Standing | None) -> Brief:
        at, told = self._circumstances, "the command line"
        if at.fingerprint is None and held.machine_fingerprint is not None:
            told = "the registry"
            # Where nobody knows the machine nothing is compared, and nothing fails.
            fingerprint = standing.fingerprint if standing else None
            at = replace(at, fingerprint=fingerprint or held.machine_fingerprint)
        failed = policy.first_failure(held, at)
        return Brief(
            name=source.name,
            verdict=Verdict.ACCEPTED if failed is None else Verdict.NOT_ACCEPTED,
            failed=None if failed is None else with_source(failed, told),
            standing=standing,
            example_key=self._has_example and named_kid(source.data) == EXAMPLE_KID,
        )


def _not_authentic(data: bytes, refusal: LicenseError, db: Reading | None) -> CheckRow:
    row = CheckRow(
        code=refusal.code, outcome=Outcome.FAILED, message=refusal.message, hint=refusal.hint
    )
    kid = named_kid(data) if refusal.code is CheckCode.UNKNOWN_KEY else None
    leaked = None if db is None or kid is None else leaked_key.find(db, kid)
    return for_people(row, leaked, authentic=False)
