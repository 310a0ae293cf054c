"""Batches for tests of faults: into a folder or an archive, in one group or in several."""

from collections.abc import Callable
from dataclasses import replace

from support.batch_aftermath import BatchAftermath, BundleAftermath
from support.batch_items import BUNDLE, due, mixed
from support.cli import Desk
from support.forks import Forks
from support.scenarios import NO_LINKS, Task


def _renew_many(desk: Desk, _: Forks) -> Task:
    return Task(argv=due(desk), judged=BatchAftermath, repeatable=False)


def _reissue_many(desk: Desk, _: Forks) -> Task:
    """Reissue files whose upload deadline has passed, with the same terms."""
    due(desk)
    return Task(argv=("reissue", "--all", "--json"), judged=BatchAftermath, repeatable=False)


def _bundle(desk: Desk, _: Forks) -> Task:
    argv = (*due(desk), "--bundle", str(desk.folder / BUNDLE))
    return Task(argv=argv, judged=BundleAftermath, repeatable=False)


def _apply(desk: Desk, _: Forks) -> Task:
    return Task(argv=mixed(desk), judged=BatchAftermath, repeatable=False, group=7)


def _apply_without_links(desk: Desk, forks: Forks) -> Task:
    return replace(_apply(desk, forks), always=(NO_LINKS,), group=None)


BATCHES: dict[str, Callable[[Desk, Forks], Task]] = {
    "renew many": _renew_many,
    "reissue many": _reissue_many,
    "renew many into an archive": _bundle,
    "apply": _apply,
    "apply without hard links": _apply_without_links,
}
