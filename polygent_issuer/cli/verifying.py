"""The work of `polygent-issue verify`, imported when it is done and not for its help."""

from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from polygent_issuer import dates, files
from polygent_issuer.batch.sources import is_folder
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.documents import read_document
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.public_keys import from_files
from polygent_issuer.cli.verdicts import UploadWindow
from polygent_issuer.cli.verify_question import Question
from polygent_issuer.errors import NotFound
from polygent_issuer.issuing.judging import Server, judge
from polygent_issuer.verifier import KeySet
from polygent_issuer.verifier.jws import MAX_FILE_BYTES

if TYPE_CHECKING:
    from polygent_issuer.registry import Reading

ENOUGH = MAX_FILE_BYTES + 1
"""Bytes of a file that are enough to judge it: a longer one is malformed (FORMAT §1)."""


def answer(invocation: Invocation, asked: Question) -> Result:
    """Verify everything that was named.

    Raises:
        UsageProblem: (`usage`) nothing was named, or two things.
        UnreadableInput: (`unreadable_input`) the only file cannot be read; of several it is one
            of the answers.
        NotFound, Ambiguous: the license or the customer.
    """
    asked.require_one_meaning()
    document = read_document(asked.machine_info)
    fingerprint = document.info.fingerprint if document else asked.fingerprint
    several = len(asked.license_files) > 1 or any(map(is_folder, asked.license_files))
    named = [] if several else _read(asked.license_files) or _kept(invocation, asked)
    with ExitStack() as closing:
        db = None
        if not asked.public_keys:
            db = closing.enter_context(invocation.registry.reading())
        window = _window(invocation, asked)
        server = Server(
            now=_instant(invocation, asked),
            fingerprint=fingerprint,
            host=asked.host,
            window=window.span if asked.install else None,
        )
        keys = from_files(invocation, [*asked.public_keys]) if db is None else pinned(db)
        if several:
            from polygent_issuer.cli.verifying_many import verdicts

            path = None if db is None else invocation.registry.path
            return verdicts(
                invocation,
                asked.license_files,
                keys,
                server,
                window,
                registry=path,
                recursive=asked.recursive,
            )
        from polygent_issuer.cli.verify_view import Verdicts

        answers = tuple(judge(name, data, keys, server, db) for name, data in named)
    return Verdicts(answers=answers, now=server.now, window=window)


def pinned(db: "Reading") -> KeySet:
    """Every key that the registry pins and that was not compromised."""
    from polygent_issuer.registry import keys

    return keys.key_set(db)


def _instant(invocation: Invocation, asked: Question) -> datetime:
    if not asked.at:
        return invocation.now
    from polygent_issuer.terms.parsing import parse_date_or_instant

    return parse_date_or_instant(asked.at)


def _window(invocation: Invocation, asked: Question) -> UploadWindow:
    """The window of the settings; who names public keys needs no home, so there it is assumed."""
    if asked.public_keys:
        return UploadWindow(span=dates.ASSUMED_UPLOAD_WINDOW, assumed=True)
    settings = invocation.settings
    return UploadWindow(
        span=settings.upload_window_or_assumed, assumed=settings.upload_window_is_assumed
    )


def _read(names: tuple[str, ...]) -> list[tuple[str, bytes]]:
    return [(name, files.read_beginning(name, count=ENOUGH, what="license file")) for name in names]


def _kept(invocation: Invocation, asked: Question) -> list[tuple[str, bytes]]:
    from polygent_issuer.cli import names
    from polygent_issuer.registry import licenses

    if asked.customer is None:
        with invocation.registry.reading() as db:
            record = licenses.find(db, asked.license_id or "")
        return [(f"license {record.id}", record.file)]
    customer = names.customer(invocation, asked.customer)
    with invocation.registry.reading() as db:
        current = licenses.current(db, customer)
    if not current:
        raise NotFound(
            f"{customer.name} has no current license",
            hint=f"polygent-issue license list --customer {customer.slug}",
        )
    return [(f"license {record.id}", record.file) for record in current]
