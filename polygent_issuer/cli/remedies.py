"""What fixes a failed check, as far as the registry knows more than the check itself."""

from polygent_issuer import advice
from polygent_issuer.cli.license.standing import list_command, made_again
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.verification import VerificationResult
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


def explanation(result: VerificationResult, row: CheckRow) -> str:
    """Return what to do, in words."""
    latest, stored = result.latest, result.stored
    if row.code is CheckCode.UNKNOWN_KEY and stored is None:
        return _unknown(result)
    if latest is not None and stored is not None and latest.id != stored.id:
        successor = latest.id[:8]
        return f"this license was replaced; its successor is {successor}, see whether it was sent"
    if stored is not None and not stored.is_current:
        return "this license was retired; see what the customer has instead"
    if row.code is CheckCode.UNKNOWN_KEY:
        return _OURS
    return advice.for_check(row.code).do


def command(result: VerificationResult, row: CheckRow) -> Hint:
    """Return the command that does it; for a known license, that of it or its last successor."""
    license_, latest = result.license, result.latest
    if row.code is CheckCode.UNKNOWN_KEY and latest is None:
        return _which_key(result)
    if latest is not None and result.stored is not None:
        if latest.id != result.stored.id:
            return run("license", "show", latest.id[:8])
        if not latest.is_current:
            return run("customer", "show", latest.customer_slug)
        if row.code is CheckCode.UNKNOWN_KEY:
            return made_again(latest, result.at)
        if row.code not in _OF_A_FILE:
            this = (latest.customer_slug, "--license", latest.id[:8])
            return advice.mend(row.code, customer=this, license_id=latest.id[:8])
    return advice.mend(
        row.code,
        customer=(license_.sub,) if license_ else None,
        license_id=license_.jti if license_ else None,
    )


def _unknown(result: VerificationResult) -> str:
    """What is to be done with a file whose key is not trusted, and that we know nothing of."""
    if result.compromised is not None:
        return _FORGED
    if result.own_keys:
        return _NOT_OURS
    kid = quoted(result.kid or "")
    return (
        f"this public key is not the signer's: name the one of the file's kid {kid}; a server that "
        "has only this one refuses the file until it is given that one"
    )


def _which_key(result: VerificationResult) -> Hint:
    if result.compromised is not None:
        return list_command(result.compromised.label)
    if result.own_keys:
        return run("key", "list")
    return run("verify", "FILE", "--public-key", "PUBLIC-KEY-FILE")
