"""`polygent-issue key passphrase`: change the passphrase of a key file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.consent import ConsentOptions, parse_consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_storage import of_existing_home
from polygent_issuer.cli.options.common import (
    PassphraseOptions,
    argument,
    option,
    passphrase_source,
)
from polygent_issuer.cli.output.key import key_json
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import MissingInput
from polygent_issuer.hints import Hint
from polygent_issuer.hints import option as option_hint
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys import passphrases as sources
from polygent_issuer.keys.passphrase_change import (
    PassphraseChange,
    change_passphrase,
    require_in_file,
)
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signing import place_of
from polygent_issuer.registry import KeyRecord


def passphrase(
    invocation: Invocation,
    key: Annotated[
        str | None,
        argument("[KEY]", "Select a key (default: the active key).", candidates.keys),
    ] = None,
    new_file: Annotated[
        Path | None,
        option("--new-passphrase-file", "FILE", "Read the new passphrase from a file."),
    ] = None,
    *,
    passphrases: PassphraseOptions,
    consents: ConsentOptions,
) -> Report:
    """Change the passphrase of a key file.

    On a terminal it prompts for the present passphrase and for the new one. A new passphrase of
    fewer than 12 characters needs consent (weak-passphrase). The file is replaced only when the new
    one was read back and opened, so that one of the two passphrases opens it at any time.

    A recorded backup with the same passphrase gets the new one, too. One that is out of reach
    keeps the old passphrase, and is named.
    """
    old, consent = passphrase_source(invocation, passphrases), parse_consent(consents)
    with invocation.registry.reading() as db:
        record = choose_key(db, key)
    require_in_file(invocation.settings, record)
    new = _new_source(invocation, new_file)
    changed = change_passphrase(of_existing_home(invocation, new, consent), record, old=old)
    members = {
        "key": key_json(record, place_of(invocation.settings, record.kid)),
        "file": str(changed.file),
        "backups": list(map(str, changed.backups)),
        "unchanged_backups": [
            {"file": str(each.path), "reason": each.reason} for each in changed.unchanged
        ],
    }
    return Report(members, _blocks(record, changed, outdated=sources.name_of(old)))


def _new_source(invocation: Invocation, new_file: Path | None) -> Passphrase:
    if new_file is not None:
        return sources.from_file(new_file, warn=invocation.warn)
    if invocation.interactive:
        return sources.TerminalPassphrase()
    raise MissingInput(
        "no new passphrase given",
        hint=Hint("add ", option_hint("--new-passphrase-file", "FILE"), ", or use a terminal"),
    )


def _blocks(key: KeyRecord, changed: PassphraseChange, *, outdated: str | None) -> Iterable[Block]:
    yield Line(f"changed the passphrase of the key {key.label}", "good")
    rows = [("key file", str(changed.file))]
    yield Fields((*rows, *(("backup", str(path)) for path in changed.backups)))
    for each in changed.unchanged:
        yield Line(f"the backup {each.path} keeps its passphrase: {each.reason}", "warn")
    if key.backed_up_at is not None and not (changed.backups or changed.unchanged):
        day = key.backed_up_at.date().isoformat()
        yield Line(f"the backup of {day} keeps the old passphrase; its place is unknown", "warn")
    if outdated is not None:
        yield Line(f"now outdated: {outdated}", "warn")
