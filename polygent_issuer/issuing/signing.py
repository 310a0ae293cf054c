"""From a proposal to the bytes of its file, proven good before anyone sees them."""

from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.custody import typed
from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.hints import run
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.stored import verifier_of
from polygent_issuer.signer import Signer
from polygent_issuer.verifier import jws
from polygent_issuer.verifier.errors import LicenseError


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
