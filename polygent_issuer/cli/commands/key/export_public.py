"""`polygent-issue key export-public`: public keys for the customers' servers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.files import write
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import UsageProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys.errors import CompromisedKey
from polygent_issuer.registry import KeyRecord, Reading, keys
from polygent_issuer.text import escape
from polygent_issuer.verifier import KeySet


class Form(StrEnum):
    """How servers take public keys."""

    PEM = "pem"
    JWKS = "jwks"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedPublic(Result):
    """Public keys that were written; `path` is None for stdout."""

    keys: tuple[KeyRecord, ...]
    form: Form
    text: str
    path: Path | None

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout carries the keys themselves."""
        return self.path is None

    def to_json(self) -> Mapping[str, Any]:
        """`text` is what a server is given, wherever it went."""
        return {
            "keys": [{"kid": key.kid, "label": key.label} for key in self.keys],
            "format": str(self.form),
            "file": None if self.path is None else str(self.path),
            "text": self.text,
        }

    def blocks(self) -> Iterable[Block]:
        """Which keys, and where they are."""
        labels = ", ".join(key.label for key in self.keys)
        yield Line(f"exported the public half of {labels}", "good")
        file = "stdout" if self.path is None else str(self.path)
        yield Fields((("file", file), *(("kid", key.kid) for key in self.keys)))


def export_public(
    invocation: Invocation,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="[KEY]", autocompletion=candidates.keys, help="The active one by default."
        ),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All keys that servers are to trust; JWKS.")
    ] = False,
    form: Annotated[
        Form | None, typer.Option("--format", help="pem by default; jwks with --all.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where it goes; else stdout."),
    ] = None,
) -> ExportedPublic:
    """Write the public half of a key, for the servers.

    Servers choose keys by their kid, so with --all they are ready for a change of key. A key that
    was compromised is left out.
    """
    form = form or (Form.JWKS if every else Form.PEM)
    if every and key is not None:
        raise UsageProblem("--all means every key, and KEY one of them", hint="give one")
    if every and form is Form.PEM:
        raise UsageProblem("a PEM file holds one key", hint="--all --format jwks")
    with invocation.registry.reading() as db:
        chosen = _trusted(db) if every else (_one(db, key),)
        left_out = [escape(each.label) for each in keys.every(db) if each.compromised]
    if every and left_out:
        invocation.tell(f"left out, since others may hold them: {', '.join(left_out)}")
    public = KeySet.of(*(each.public_key for each in chosen))
    data = public.to_jwks() if form is Form.JWKS else chosen[0].public_key.to_pem()
    name = "polygent-public.jwks.json" if form is Form.JWKS else "polygent-public.pem"
    path = write(invocation, data, to, name=name)
    return ExportedPublic(keys=chosen, form=form, text=data.decode(), path=path)


def _one(db: Reading, key: str | None) -> KeyRecord:
    """The key that was named, retired or not, since its licenses run on.

    Raises:
        CompromisedKey: (`key_compromised`) for one that servers must drop.
    """
    if key is None:
        return choose_key(db, None)
    record = keys.find(db, key)
    if record.compromised:
        raise CompromisedKey(
            f"the key {escape(record.label)} is marked as compromised: servers must drop it, "
            "not be given it",
            hint=Hint(
                "all that they may trust: ",
                run("key", "export-public", "--all", "--format", "jwks"),
            ),
        )
    return record


def _trusted(db: Reading) -> tuple[KeyRecord, ...]:
    """All that may be trusted; without any there is no active one, and that is the error."""
    return tuple(key for key in keys.every(db) if not key.compromised) or (choose_key(db, None),)
