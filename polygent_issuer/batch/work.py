"""Work on many items in chunks: what a job is, and the share of it that one process does."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import Any, Final, Protocol

from polygent_issuer.errors import IssuerError

CHUNK: Final = 128
"""How many items make one result: some 20 ms of verifying, so that a reader sees them come."""


class Job(Protocol):
    """What is to be done; it reaches another process by pickle."""

    def begin(self) -> AbstractContextManager[Callable[[Sequence[Any]], Any]]:
        """Open what the work needs, once for each process; what makes a chunk's result."""
        ...


class WorkFailed(Exception):
    """What no job foresaw: a mistake of ours, told by its kind and place.

    It is none of the exceptions by which a stream says that it cannot be written.
    """


@dataclass(frozen=True, slots=True)
class Done:
    """The result for one chunk."""

    result: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Every `step`-th chunk of the items, from the chunk `first` on."""

    job: Job
    items: Sequence[Any]
    first: int = 0
    step: int = 1

    def outcomes(self) -> Iterator[Done | Exception]:
        """What was done for each chunk, in order; an exception ends the work."""
        beginnings = range(0, len(self.items), CHUNK)
        try:
            with self.job.begin() as work:
                for begin in islice(beginnings, self.first, None, self.step):
                    yield Done(work(self.items[begin : begin + CHUNK]))
        except IssuerError as error:
            yield error
        except Exception as error:  # noqa: BLE001 - it is raised where the results are read
            yield _failed(error)


def chunks(items: Sequence[Any]) -> int:
    """How many chunks there are."""
    return -(-len(items) // CHUNK)


def result(outcome: Done | Exception) -> Any:  # noqa: ANN401 - the job's own
    """The result, or what ended the work, raised."""
    if isinstance(outcome, Done):
        return outcome.result
    raise outcome


def _failed(error: Exception) -> WorkFailed:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return WorkFailed(f"{type(error).__name__} at {PurePath(where.filename).name}:{where.lineno}")
