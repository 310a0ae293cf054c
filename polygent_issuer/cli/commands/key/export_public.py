"""`polygent-issue key export-public`: export public keys for servers."""

from enum import StrEnum
from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument, flag, option
from polygent_issuer.cli.output.files import OutputFile, write
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import KeyUnavailable, UsageProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.registry import KeyRecord, Reading, keys
from polygent_issuer.text import escape
from polygent_issuer.verifier import KeySet


class Form(StrEnum):
    """File formats of public keys."""

    PEM = "pem"
    JWKS = "jwks"


def export_public(
    invocation: Invocation,
    key: Annotated[
        str | None, argument("[KEY]", "Select a key (default: the active key).", candidates.keys)
    ] = None,
    *,
    every: Annotated[
        bool, flag("--all", "Export every key that servers should trust, as JWKS.")
    ] = False,
    form: Annotated[
        Form | None, option("--format", None, "Set the format (default: pem, or jwks with --all).")
    ] = None,
    to: OutputFile = None,
) -> Report:
    """Export public keys for servers.

    By default only the active key is exported. Servers select keys by kid, so with --all they are
    ready for a change of keys. Compromised keys are left out.
    """
    form = form or (Form.JWKS if every else Form.PEM)
    if every and key is not None:
        raise UsageProblem("KEY and --all are mutually exclusive", hint="give one of them")
    if every and form is Form.PEM:
        raise UsageProblem(
            "--all needs --format jwks: a PEM file has only one key", hint="--all --format jwks"
        )
    with invocation.registry.reading() as db:
        chosen = _trusted(db) if every else (_one(db, key),)
        left_out = [escape(each.label) for each in keys.every(db) if each.compromised]
    if every and left_out:
        invocation.note(f"compromised keys left out: {', '.join(left_out)}")
    public = KeySet.of(*(each.public_key for each in chosen))
    data = public.to_jwks() if form is Form.JWKS else chosen[0].public_key.to_pem()
    name = "polygent-public.jwks.json" if form is Form.JWKS else "polygent-public.pem"
    path = write(invocation, data, to, name=name)
    members = {
        "keys": [{"kid": each.kid, "label": each.label} for each in chosen],
        "format": str(form),
        "file": None if path is None else str(path),
        "text": data.decode(),
    }
    labels = ", ".join(each.label for each in chosen)
    file = "stdout" if path is None else str(path)
    fields = Fields((("file", file), *(("kid", each.kid) for each in chosen)))
    done = Line(f"exported the public key of {labels}", "good")
    return Report(members, [done, fields], text_to_stderr=path is None)


def _one(db: Reading, key: str | None) -> KeyRecord:
    """Return the selected key, which may be retired, since its licenses stay valid."""
    if key is None:
        return choose_key(db, None)
    record = keys.find(db, key)
    if record.compromised:
        raise KeyUnavailable(
            f"the key {escape(record.label)} is compromised, so servers must remove it",
            hint=Hint(
                "to export the keys that servers may trust: ",
                run("key", "export-public", "--all", "--format", "jwks"),
            ),
            code="key_compromised",
        )
    return record


def _trusted(db: Reading) -> tuple[KeyRecord, ...]:
    """Return all keys that may be trusted; without any, raise the error of the active key."""
    return tuple(key for key in keys.every(db) if not key.compromised) or (choose_key(db, None),)
