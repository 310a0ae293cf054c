"""`polygent-issue key list`, `show` and `export-public`: signing keys for people and servers."""

from datetime import datetime
from enum import StrEnum

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import KeyName, argument, flag, option
from polygent_issuer.cli.output.blocks import Block, Fields, Line, Style, Table
from polygent_issuer.cli.output.files import OutputFile, write
from polygent_issuer.cli.output.key import (
    backup_json,
    backup_lines,
    backup_state,
    brief_place,
    key_json,
    no_server_needs,
    whereabouts,
)
from polygent_issuer.cli.output.records import list_command
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import KeyUnavailable, UsageProblem
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.stores import LOST, has_backup, place_of, presence
from polygent_issuer.registry import KeyRecord, Reading, keys
from polygent_issuer.store_uri import stays
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, run
from polygent_issuer.verifier import KeySet


def list_all(invocation: Invocation) -> Report:
    """List signing keys.

    For each key the list shows its state, the store of the private key, the backup and the number
    of current licenses signed with it.
    """
    members, rows, lines = [], [], []
    styles: list[Style] = []
    with invocation.registry.reading(checked=False) as db:
        uses = keys.uses(db)
        for key in keys.every(db):
            store = place_of(invocation.settings, key.kid)
            current = uses[key.kid].current if key.kid in uses else 0
            since = keys.compromised_since(db, key) or key.retired_at
            members.append(
                {
                    **key_json(key, store),
                    "current_licenses": current,
                    "compromised_since": dates.optional_instant(since if key.compromised else None),
                }
            )
            state = key.state
            ended = "" if since is None else f" since {since.date().isoformat()}"
            rows.append(
                (
                    *(key.label, f"{state}{ended}", key.kid[:8], str(current)),
                    *(_day(key.backed_up_at), _day(key.created_at), brief_place(store)),
                )
            )
            styles.append("good" if key.active else "plain")
            if current and not key.may_sign:
                line = Hint(
                    f"to list licenses signed with {key.label} ({state}): ", list_command(key.label)
                )
                lines.append(Line(line, "bad" if key.compromised else "dim"))
    if not members:
        none = Line(Hint("no keys yet; to generate one: ", run("key", "generate")), "dim")
        return Report({"keys": []}, [none])
    headers = ("label", "state", "kid", "current licenses", "backup", "created", "store")
    return Report({"keys": members}, [Table(headers, rows, styles), *lines])


def _day(moment: datetime | None) -> str:
    return "none" if moment is None else moment.date().isoformat()


def show(invocation: Invocation, key: KeyName) -> Report:
    """Show a signing key and whether it can sign.

    The public key and the number of licenses signed with it are shown, too. The key store is only
    checked for the private key, without unlocking it and without prompts. Each backup that this
    tool wrote is looked for at its place.
    """
    from polygent_issuer.keys import backups

    with invocation.registry.reading() as db:
        record = keys.find(db, key)
        use, since = keys.uses(db).get(record.kid), keys.compromised_since(db, record)
    signed, current = (0, 0) if use is None else (use.licenses, use.current)
    store = place_of(invocation.settings, record.kid)
    present = presence(invocation.settings, record.kid)
    copies = backups.recorded(invocation.settings, invocation.home, record.kid)
    pem = record.public_key.to_pem().decode()
    members = {
        **key_json(record, store),
        "presence": str(present),
        "public_pem": pem,
        "licenses": signed,
        "current_licenses": current,
        "compromised_since": dates.optional_instant(since),
        "backups": list(map(backup_json, copies)),
    }
    fields = Fields(
        (
            ("kid", record.kid),
            ("state", record.state),
            ("private key", whereabouts(record, store, present)),
            ("backup", backup_state(record)),
            *(("backup file", str(copy.path)) for copy in copies),
            ("created", dates.instant(record.created_at)),
            ("retired", dates.optional_instant(record.retired_at)),
            ("compromised", dates.optional_instant(since)),
            ("licenses", f"{signed}, {current} of them current"),
        )
    )
    text: list[Block] = [Line(record.label, "title"), fields, *backup_lines(record, copies)]
    if (
        record.may_sign
        and present is Presence.ABSENT
        and not stays(store)
        and not has_backup(invocation.settings, record)
    ):
        text.append(Line(LOST, "warn"))
    if current:
        command = Hint("to list its current licenses: ", list_command(record.label))
        text.append(Line(command, "bad" if record.compromised else "dim"))
    elif not record.may_sign and not record.compromised:
        text.append(Line(no_server_needs(use.last_end if use else None, invocation.now), "dim"))
    text += [Line(), *map(Line, pem.splitlines())]
    return Report({"key": members}, text)


class Form(StrEnum):
    """File formats of public keys."""

    PEM = "pem"
    JWKS = "jwks"


def export_public(
    invocation: Invocation,
    key: str | None = argument(
        "[KEY]", "Select a key (default: the active key).", candidates.keys, default=None
    ),
    *,
    every: bool = flag("--all", "Export every key that servers should trust, as JWKS."),
    form: Form | None = option(
        "--format", None, "Set the format (default: pem, or jwks with --all)."
    ),
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
        return _active(db)
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
    return tuple(key for key in keys.every(db) if not key.compromised) or (_active(db),)


def _active(db: Reading) -> KeyRecord:
    from polygent_issuer.issuing.signing import choose_key

    return choose_key(db, None)
