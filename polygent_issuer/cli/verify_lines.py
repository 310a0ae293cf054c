"""What judges a chunk of license files, and the line that tells of each, for people or programs."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from polygent_issuer.batch.sources import Source, read
from polygent_issuer.batch.verifying import Brief, Examiner
from polygent_issuer.cli import json_text
from polygent_issuer.cli.blocks import Style
from polygent_issuer.cli.verdicts import EXAMPLE_KEY, UploadWindow, heading, unread
from polygent_issuer.issuing.judging import Judged, Server, Unread, Verdict, judge
from polygent_issuer.registry import Reading, Registry
from polygent_issuer.verifier import KeySet

Work = Callable[[Sequence[str | Source]], list[tuple[Verdict, str, Style]]]


def text_lines(keys: KeySet, server: Server, registry: Registry | None) -> Work:
    """Judges a chunk; a line for people says the verdict, the check that failed, and why."""
    examiner = Examiner(keys, server, registry)

    def work(named: Sequence[str | Source]) -> list[tuple[Verdict, str, Style]]:
        return [
            (each.verdict, _text(each), "good" if each.verdict is Verdict.ACCEPTED else "bad")
            for each in examiner.judge(map(read, named))
        ]

    return work


def json_lines(
    keys: KeySet, server: Server, registry: Registry | None, window: UploadWindow
) -> Work:
    """Judges a chunk; a line for programs is a compact object, ASCII alone."""
    from polygent_issuer.cli.verify_json import answer_json

    def work(named: Sequence[str | Source]) -> list[tuple[Verdict, str, Style]]:
        found = list(map(read, named))
        with nullcontext() if registry is None else registry.reading() as db:
            answers = [_judged(each, keys, server, db) for each in found]
        return [
            (each.verdict, json_text.line(answer_json(each, window)), "plain") for each in answers
        ]

    return work


def _judged(source: Source, keys: KeySet, server: Server, db: Reading | None) -> Judged | Unread:
    if source.problem is not None:
        return Unread(name=source.name, error=source.problem)
    return judge(source.name, source.data, keys, server, db)


def _text(brief: Brief) -> str:
    if brief.problem is not None:
        return unread(brief.name, brief.problem)
    told = heading(brief.name, brief.verdict, brief.failed)
    if brief.failed is not None:
        told += f": {brief.failed.message}"
        if brief.failed.hint and brief.verdict is Verdict.NOT_AUTHENTIC:
            told += f" ({brief.failed.hint})"
    if brief.standing is not None and brief.standing.replaced_by is not None:
        told += f" (in the registry: replaced by {brief.standing.replaced_by[:8]})"
    elif brief.standing is not None and brief.standing.retired:
        told += " (in the registry: retired)"
    return f"{told} ({EXAMPLE_KEY})" if brief.example_key else told
