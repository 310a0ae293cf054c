"""What puts a failed check right, as far as the registry tells more than the check itself."""

from polygent_issuer import advice
from polygent_issuer.cli.license.standing import list_command, made_again
from polygent_issuer.issuing.judging import Judged
from polygent_issuer.verifier import CheckCode, CheckRow
from polygent_issuer.verifier.errors import quoted

_OF_A_FILE = frozenset({CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE})
"""The checks that the same bytes, sent again or read with another key, would pass."""

_NOT_OURS = "none of this home's keys signed it: another operator's license, or a forgery"


_FORGED = (
    "no such file was issued here, so take it for a forgery; what was issued with that key is "
    "issued again with another"
)
_OURS = "this very file was issued here: issue it again with the key that signs now"


def words(judged: Judged, row: CheckRow) -> str:
    """What is to be done, in words."""
    heir, kept = judged.heir, judged.kept
    if row.code is CheckCode.UNKNOWN_KEY and kept is None:
        return _unknown(judged)
    if heir is not None and kept is not None and heir.id != kept.id:
        return f"this license was replaced; its successor is {heir.id[:8]}, see whether it was sent"
    if kept is not None and not kept.is_current:
        return "this license was retired; see what the customer has instead"
    if row.code is CheckCode.UNKNOWN_KEY:
        return _OURS
    return advice.for_check(row.code).do


def command(judged: Judged, row: CheckRow) -> str:
    """The mending command; for a license that we know, of this very license or its last heir."""
    held, heir = judged.license, judged.heir
    if row.code is CheckCode.UNKNOWN_KEY and heir is None:
        return _which_key(judged)
    if heir is not None and judged.kept is not None:
        if heir.id != judged.kept.id:
            return f"polygent-issue license show {heir.id[:8]}"
        if not heir.is_current:
            return f"polygent-issue customer show {heir.customer_slug}"
        if row.code is CheckCode.UNKNOWN_KEY:
            return made_again(heir, judged.at)
        if row.code not in _OF_A_FILE:
            customer = f"{heir.customer_slug} --license {heir.id[:8]}"
            return advice.FOR[row.code].mend.format(customer=customer, license=heir.id[:8])
    return advice.mend(
        row.code,
        customer=held.sub if held else None,
        license_id=held.jti if held else None,
    )


def _unknown(judged: Judged) -> str:
    """What is to be done with a file whose key is not trusted, and that we know nothing of."""
    if judged.leaked is not None:
        return _FORGED
    if judged.own_keys:
        return _NOT_OURS
    kid = quoted(judged.kid or "")
    return (
        f"this public key is not the signer's: name the one of the file's kid {kid}; a server that "
        "has only this one refuses the file until it is given that one"
    )


def _which_key(judged: Judged) -> str:
    if judged.leaked is not None:
        return list_command(judged.leaked.label)
    if judged.own_keys:
        return "polygent-issue key list"
    return "polygent-issue verify FILE --public-key PUBLIC-KEY-FILE"
