"""`polygent-issue journal seal`: sign the journal's head."""

from typing import Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.issue import signers_of, warn_if_late
from polygent_issuer.cli.options.common import PassphraseOptions, passphrase_source
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.issuing.signing import choose_key, seal_journal
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Reading, journal_check
from polygent_issuer.registry.journal_check import head_text
from polygent_issuer.terms import dates


def seal(invocation: Invocation, *, passphrases: PassphraseOptions) -> Report:
    """Sign the journal's head with the active key.

    A seal shows later that the journal was not rewritten up to its row. First the journal and
    registry are checked, as by journal verify; a journal with problems is not sealed.

    Commands that sign licenses with a key file or keyring seal the journal automatically. Use this
    command for other keys, and for changes since the last license.
    """
    source = passphrase_source(invocation, passphrases)
    with invocation.registry.reading() as db:
        key = choose_key(db, None)

    def require_intact(db: Reading) -> None:
        problems = journal_check.verify(db).problems
        if problems:
            raise db.tampered(problems[0])

    def signer() -> Signer:
        return signers_of(invocation, [key], source)[key.kid]

    sealed = seal_journal(
        invocation.registry,
        key.kid,
        signer,
        now=invocation.now,
        actor=invocation.actor,
        judge=require_intact,
    )
    if sealed is None:
        line = Line("the whole journal is sealed already; nothing was signed")
        return Report({"sealed": False, "seal": None}, [line], is_idle=True)
    warn_if_late(key.kid, sealed)
    head, at = head_text(sealed.seal.seq, sealed.seal.head), dates.instant(sealed.seal.at)
    members: dict[str, Any] = {
        "sealed": True,
        "seal": {
            "kid": key.kid,
            "key": key.label,
            "size": sealed.seal.seq,
            "head": head,
            "at": at,
            "token": sealed.token,
        },
    }
    fields = Fields(
        (("rows", str(sealed.seal.seq)), ("head", head), ("key", f"{key.label} ({key.kid})"))
    )
    return Report(members, [Line("sealed the journal", "good"), fields])
