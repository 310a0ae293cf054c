"""`polygent-issue key show`: show a signing key and whether it can sign."""

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import KeyName
from polygent_issuer.cli.output.key import (
    backup_json,
    backup_lines,
    backup_state,
    key_json,
    no_server_needs,
    whereabouts,
)
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.records import list_command
from polygent_issuer.cli.output.result import Report
from polygent_issuer.keys import backups
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import LOST, has_backup, place_of, presence
from polygent_issuer.registry import keys
from polygent_issuer.store_uri import stays
from polygent_issuer.terms import dates


def show(invocation: Invocation, key: KeyName) -> Report:
    """Show a signing key and whether it can sign.

    The public key and the number of licenses signed with it are shown, too. The key store is only
    checked for the private key, without unlocking it and without prompts. Each backup that this
    tool wrote is looked for at its place.
    """
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
        command = f"to list them: {list_command(record.label)}"
        text.append(Line(command, "bad" if record.compromised else "dim"))
    elif not record.may_sign and not record.compromised:
        text.append(Line(no_server_needs(use.last_end if use else None, invocation.now), "dim"))
    text += [Line(), *map(Line, pem.splitlines())]
    return Report({"key": members}, text)
