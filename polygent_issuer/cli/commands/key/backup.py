"""`polygent-issue key backup`: write an encrypted backup of a private key."""

import shlex
from typing import Annotated

from polygent_issuer.cli.consent import ConsentOptions, parse_consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_storage import backup_file, of_existing_home
from polygent_issuer.cli.options.common import (
    KeyName,
    PassphraseOptions,
    argument,
    passphrase_source,
)
from polygent_issuer.cli.output.key import key_json
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.keys.signing import place_of
from polygent_issuer.registry import keys


def backup(
    invocation: Invocation,
    key: KeyName,
    to: Annotated[str, argument("FILE", "Write the backup to this new file or folder.")],
    *,
    passphrases: PassphraseOptions,
    consents: ConsentOptions,
) -> Report:
    """Write an encrypted backup of a private key.

    It prompts for the passphrase of the key file and for a new one for the backup. A passphrase
    from an option is used for both. A new passphrase of fewer than 12 characters needs consent
    (weak-passphrase). An existing file is never overwritten.
    """
    source, consent = passphrase_source(invocation, passphrases), parse_consent(consents)
    path = backup_file(to)
    with invocation.registry.reading() as db:
        record = keys.find(db, key)
    written = of_existing_home(invocation, source, consent).back_up(record, path)
    with invocation.registry.reading() as db:
        record = keys.find(db, record.kid)
    file, again = str(written), shlex.quote(str(written))
    done = Line(f"backed up the key {record.label}", "good")
    fields = Fields((("file", file), ("format", "OpenSSH, encrypted")))
    restore = Line(f"to restore it: polygent-issue key import {again} --no-backup", "dim")
    store = place_of(invocation.settings, record.kid)
    members = {"key": key_json(record, store), "backup": file}
    return Report(members, [done, fields, restore])
