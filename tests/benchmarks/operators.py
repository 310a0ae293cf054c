"""Eight operators at one registry at once: `python tests/benchmarks/operators.py [ISSUES]`.

Each operator is a process that renews its own licenses one after the other, with the protocol of a
single command and a signer that takes 20 ms, like a remote key. Printed are for each engine, which
both sync every commit, the licenses per second of all together, and how long an issue took beyond
its signature: the median, the 99th percentile and the longest. A refused issue ends the benchmark.
"""

import os
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from batches import ADA, NOW, SIGNER, make  # type: ignore[import-not-found]
from support import postgres

from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.next_license import RenewalRequest, propose_renewals
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.issuing.signing import publish
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import REGISTRY_FILE, Reading, Registry, change
from polygent_issuer.registry.errors import Place
from polygent_issuer.registry.row_check import customer_queries
from polygent_issuer.terms.parsing import Changes

OPERATORS: Final = 8
SIGNING: Final = 0.02


class SlowSigner(Signer):
    """A signer that takes as long as a remote key."""

    public_key = SIGNER.public_key

    def sign(self, data: bytes) -> bytes:
        """Sign bytes after a while."""
        time.sleep(SIGNING)
        return bytes(SIGNER.sign(data))


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One process: renews the license of each of these customers with a transaction of its own."""

    place: Place
    folder: Path
    customers: tuple[str, ...]

    def work(self, start: Barrier) -> list[float]:
        """Return the seconds of each issue, and the length of the whole work last."""
        with Registry.open(self.place) as registry:
            start.wait()
            begun, took = time.perf_counter(), []
            for customer in self.customers:
                issue = time.perf_counter()
                self._renew(registry, customer)
                took.append(time.perf_counter() - issue - SIGNING)
            return [*took, time.perf_counter() - begun]

    def _renew(self, registry: Registry, customer: str) -> None:
        new_id = str(uuid.uuid4())
        request = RenewalRequest(action=Action.RENEW, customer=customer, changes=Changes())

        def decide(db: Reading) -> tuple[Proposal, ...]:
            return propose_renewals(
                db, request, settings=Settings(), now=NOW, id_after=lambda _: new_id
            )

        ahead = customer_queries(customer)
        decided = change.decide(registry, decide, now=NOW, actor=ADA, ahead=ahead)
        publish(
            decided,
            signers={SIGNER.kid: SlowSigner()},
            consent=Consent(),
            destination=Destination(folder=self.folder / "out"),
        )


_START: list[Barrier] = []


def _work(operator: Operator) -> list[float]:
    return operator.work(_START[0])


def main() -> None:
    """Measure both engines, and print the figures."""
    issues = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    for name in ("SQLite", "PostgreSQL"):
        sys.stdout.write(f"{name}: {measure(issues, server=name == 'PostgreSQL')}\n")


def measure(issues: int, *, server: bool) -> str:
    """Return the figures of a registry on a server, or in a file."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "out").mkdir()
        uri = None
        if server:
            running = stack.enter_context(postgres.cluster(settings=(), in_memory=False))
            uri = running.uri(running.create())
        make(folder, OPERATORS * issues, uri)
        operators = [
            Operator(
                place=uri or folder / REGISTRY_FILE,
                folder=folder,
                customers=tuple(
                    f"customer-{number:06}"
                    for number in range(first, OPERATORS * issues, OPERATORS)
                ),
            )
            for first in range(OPERATORS)
        ]
        fork = get_context("fork")
        _START[:] = [fork.Barrier(OPERATORS)]
        with fork.Pool(OPERATORS) as pool:
            results = pool.map(_work, operators, chunksize=1)
        issued = len(os.listdir(folder / "out"))  # noqa: PTH208 - only the number
    assert issued == OPERATORS * issues
    longest = max(each[-1] for each in results)
    took = sorted(seconds for each in results for seconds in each[:-1])
    return (
        f"{issued / longest:.0f} licenses a second; beyond the signature an issue took "
        f"{statistics.median(took):.3f} s, the 99th percentile {took[len(took) * 99 // 100]:.3f} s,"
        f" the longest {took[-1]:.3f} s"
    )


if __name__ == "__main__":
    main()
