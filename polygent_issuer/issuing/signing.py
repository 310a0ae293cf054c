"""The signing key, and signing: from a proposal to bytes that are proven good."""

from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.hints import run
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.stored_license import verifier_of
from polygent_issuer.keys.activation import signing_command
from polygent_issuer.keys.labels import typed
from polygent_issuer.keys.signer import Signer
from polygent_issuer.keys.signing import require_usable
from polygent_issuer.registry import KeyRecord, Reading, keys
from polygent_issuer.verifier import jws
from polygent_issuer.verifier.errors import LicenseError


class NoKey(KeyUnavailable):
    """No key signs: there is none yet, or none is chosen since the last one was compromised."""

    code = "no_key"


def choose_key(db: Reading, wanted: str | None) -> KeyRecord:
    """The key named by label or kid, else the active one.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
        NoKey: (`no_key`) when none was named and none is active.
        KeyUnavailable: (`key_retired`, `key_compromised`) when it shall not sign.
    """
    found = keys.active(db) if wanted is None else keys.find(db, wanted)
    if found is None:
        known = keys.every(db)
        none = "no key is chosen to sign" if known else "there is no signing key yet"
        raise NoKey(none, hint=signing_command(known))
    require_usable(found)
    return found


class SignatureRefused(KeyUnavailable):
    """A signature that we made does not verify with the pinned key; it was dropped."""

    code = "signature_refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A license that is signed.

    Attributes:
        file: the bytes of its file.
        path: where that is to be; `None` for stdout.
    """

    proposal: Proposal
    file: bytes
    path: Path | None


def sign(proposal: Proposal, signer: Signer, path: Path | None) -> Issued:
    """Sign, and verify the bytes to be written with the pinned public key (FORMAT §1).

    Raises:
        SignatureRefused: (`signature_refused`) when they do not verify; they are dropped.
    """
    expected = proposal.license
    signing_input = jws.signing_input(proposal.key.kid, expected.to_payload())
    file = jws.assemble(signing_input, signer.sign(signing_input))
    try:
        read = verifier_of(proposal.key).verify(
            file, now=expected.issued_at, fingerprint=expected.machine_fingerprint
        )
    except LicenseError:
        read = None
    if read != expected:
        raise SignatureRefused(
            f"what the key {proposal.key.label!a} signed does not verify with its pinned public "
            "half; the signature was dropped and nothing was issued",
            hint=run("key", "show", *typed(proposal.key.label)),
        )
    return Issued(proposal=proposal, file=file, path=path)
