"""What puts a failed check right, as far as the registry tells more than the check itself."""

import shlex

from polygent_issuer import advice
from polygent_issuer.cli.judging import Judged
from polygent_issuer.text import shown
from polygent_issuer.verifier import CheckCode, CheckRow
from polygent_issuer.verifier.errors import quoted

_OF_A_FILE = frozenset({CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE})
"""The checks that the same bytes, sent again or read with another key, would pass."""

_NOT_OURS = "none of this home's keys signed it: another operator's license, or a forgery"


def compromised(label: str) -> str:
    """What a file is worth that names a key which others may hold."""
    return (
        f"it names the key {shown(label)}, which is marked as compromised: servers must refuse it, "
        "ours or a forgery; what was ours is issued again with another key"
    )


def words(judged: Judged, row: CheckRow) -> str:
    """What is to be done, in words."""
    heir, kept = judged.heir, judged.kept
    if row.code is CheckCode.UNKNOWN_KEY:
        if judged.compromised is not None:
            return compromised(judged.compromised)
        if judged.own_keys:
            return _NOT_OURS
        kid = quoted(judged.kid or "")
        return f"this public key is not the signer's: name the one of the file's kid {kid}"
    if heir is not None and kept is not None and heir.id != kept.id:
        return f"this license was replaced; its successor is {heir.id[:8]}, see whether it was sent"
    if kept is not None and not kept.is_current:
        return "this license was retired; see what the customer has instead"
    return advice.for_check(row.code).do


def command(judged: Judged, row: CheckRow) -> str:
    """The mending command; for a license that we know, of this very license or its last heir."""
    held, heir = judged.license, judged.heir
    if row.code is CheckCode.UNKNOWN_KEY:
        return _which_key(judged)
    if heir is not None and judged.kept is not None:
        if heir.id != judged.kept.id:
            return f"polygent-issue license show {heir.id[:8]}"
        if not heir.is_current:
            return f"polygent-issue customer show {heir.customer_slug}"
        if row.code not in _OF_A_FILE:
            customer = f"{heir.customer_slug} --license {heir.id[:8]}"
            return advice.FOR[row.code].mend.format(customer=customer, license=heir.id[:8])
    return advice.mend(
        row.code,
        customer=held.sub if held else None,
        license_id=held.jti if held else None,
    )


def _which_key(judged: Judged) -> str:
    if judged.compromised is not None:
        label = shlex.quote(judged.compromised)
        return f"polygent-issue license list --status current --key={label}"
    if judged.own_keys:
        return "polygent-issue key list"
    return "polygent-issue verify FILE --public-key PUBLIC-KEY-FILE"
