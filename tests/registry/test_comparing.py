"""What the journal tells against what there is: nothing is missed, however many rows there are."""

import tempfile
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import OutputProblem
from polygent_issuer.registry import comparing
from polygent_issuer.registry.comparing import Deviation, Named, Told

NAMES = st.sampled_from([f"licenses/{number}" for number in range(6)] + ["aliases/\ud800\n"])
DIGESTS = st.none() | st.sampled_from(["00", "11"])


def deviations(
    told: list[Mapping[str, str | None]], found: list[Named]
) -> list[tuple[str, Deviation]]:
    """What deviates, sorted."""
    journal = Told()
    for rows in told:
        journal.tell(rows)
    return sorted(journal.deviations(iter(found)))


def expected(
    told: list[Mapping[str, str | None]], found: list[Named]
) -> Iterator[tuple[str, Deviation]]:
    """The same, the plain way: the last that was told of a row counts, for one row."""
    last: dict[str, str | None] = {}
    for rows in told:
        last |= rows
    for name, digest in found:
        said = last.pop(name, None)
        if said is None:
            yield name, Deviation.ADDED
        elif said != digest:
            yield name, Deviation.CHANGED
    yield from ((name, Deviation.DELETED) for name, said in last.items() if said is not None)


@given(
    st.lists(st.dictionaries(NAMES, DIGESTS)),
    st.lists(st.tuples(NAMES, st.sampled_from(["00", "11"]))),
    st.integers(1, 9),
)
def test_in_a_file_it_is_as_in_memory(
    told: list[Mapping[str, str | None]], found: list[Named], together: int
) -> None:
    """Changed, added, deleted, told again, told as deleted, there twice; whenever it spills."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "_TOGETHER", together)
        assert deviations(told, found) == sorted(expected(told, found))
    assert deviations(told, found) == sorted(expected(told, found))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows() -> None:
    """Of ten times as many rows as many are in memory, or nearly."""

    def most(count: int) -> int:
        tracemalloc.start()
        told = Told()
        for number in range(count):
            told.tell({f"licenses/{number:036}": f"{number:064}"})
        rows = ((f"licenses/{number:036}", f"{number:064}") for number in range(count))
        assert list(told.deviations(rows)) == []
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(200_000) < 1.3 * most(20_000)


def test_a_full_disk_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it; a small registry needs no disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    told = Told()
    for number in range(100):
        told.tell({f"licenses/{number}": "00"})
    assert len(list(told.deviations(()))) == 100
    many: dict[str, str | None] = {f"licenses/{number}": "00" for number in range(20_000)}
    with pytest.raises(OutputProblem, match="a temporary file for the check") as caught:
        told.tell(many)
    assert "TMPDIR" in str(caught.value.hint)
