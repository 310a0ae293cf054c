"""The work of `polygent-issue verify`, imported when it is done and not for its help."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer import dates, files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.documents import read_document
from polygent_issuer.cli.public_keys import from_files
from polygent_issuer.cli.verify_view import Verdicts
from polygent_issuer.errors import NotFound, UnreadableInput, UsageProblem
from polygent_issuer.issuing.judging import Judged, Server, Unread, judge
from polygent_issuer.verifier import KeySet
from polygent_issuer.verifier.jws import MAX_FILE_BYTES

if TYPE_CHECKING:
    from polygent_issuer.registry import Reading

ENOUGH = MAX_FILE_BYTES + 1
"""Bytes of a file that are enough to judge it: a longer one is malformed (FORMAT §1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is to be verified, and as which server; the options as they were typed."""

    license_files: tuple[str, ...]
    license_id: str | None
    customer: str | None
    machine_info: str | None
    fingerprint: str | None
    host: str | None
    at: str | None
    install: bool
    public_keys: tuple[Path, ...]


def answer(invocation: Invocation, asked: Question) -> Verdicts:
    """Verify everything that was named.

    Raises:
        UsageProblem: (`usage`) nothing was named, or two things.
        UnreadableInput: (`unreadable_input`) the only file cannot be read; of several it is one
            of the answers.
        NotFound, Ambiguous: the license or the customer.
    """
    _one_kind(asked)
    document = read_document(asked.machine_info)
    named = _from_files(asked.license_files) or _kept(invocation, asked)
    window, assumed = dates.ASSUMED_UPLOAD_WINDOW, True
    with ExitStack() as closing:
        db = None
        if not asked.public_keys:
            db = closing.enter_context(invocation.registry.reading())
            settings = invocation.settings
            window = settings.upload_window_or_assumed
            assumed = settings.upload_window_is_assumed
        server = Server(
            now=dates.parse_date_or_instant(asked.at) if asked.at else invocation.now,
            fingerprint=document.info.fingerprint if document else asked.fingerprint,
            host=asked.host,
            window=window if asked.install else None,
        )
        keys = from_files(invocation, [*asked.public_keys]) if db is None else pinned(db)
        answers: tuple[Judged | Unread, ...] = tuple(
            Unread(name=name, error=found)
            if isinstance(found, UnreadableInput)
            else judge(name, found, keys, server, db)
            for name, found in named
        )
    return Verdicts(answers=answers, now=server.now, window=window, window_assumed=assumed)


def pinned(db: "Reading") -> KeySet:
    """Every key that the registry pins and that was not compromised."""
    from polygent_issuer.registry import keys

    return keys.key_set(db)


def _one_kind(asked: Question) -> None:
    ways = sum(bool(each) for each in (asked.license_files, asked.license_id, asked.customer))
    if ways != 1:
        raise UsageProblem(
            "more than one thing says which license is meant"
            if ways
            else "nothing says which license is meant",
            hint="polygent-issue verify FILE, or --license ID, or --customer NAME",
        )
    if (*asked.license_files, asked.machine_info).count("-") > 1:
        raise UsageProblem("stdin can be read once", hint="give - in one place only")
    if asked.machine_info and asked.fingerprint:
        raise UsageProblem("a server has one machine", hint="--machine-info or --fingerprint")


def _from_files(names: tuple[str, ...]) -> list[tuple[str, bytes | UnreadableInput]]:
    return [(name, _read(name, alone=len(names) == 1)) for name in names]


def _read(name: str, *, alone: bool) -> bytes | UnreadableInput:
    try:
        return files.read_beginning(name, count=ENOUGH, what="license file")
    except UnreadableInput as problem:
        if alone:
            raise
        return problem


def _kept(invocation: Invocation, asked: Question) -> list[tuple[str, bytes | UnreadableInput]]:
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
