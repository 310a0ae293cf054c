"""Seal the journal at the end of a command that signed licenses, without another prompt."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.result import note
from polygent_issuer.errors import IssuerError
from polygent_issuer.hints import Hint, run
from polygent_issuer.keys.signer import Signer, SoftwareSigner

if TYPE_CHECKING:
    from polygent_issuer.issuing.sealing import SignedSeal


def seal_at_end(invocation: Invocation, signers: Mapping[str, Signer]) -> None:
    """Seal the journal after the output, if a key that signed is in this process.

    Another key may need a person's touch, so only `journal seal` uses it.
    """
    in_process = (each for each in signers.values() if isinstance(each, SoftwareSigner))
    signer = next(in_process, None)
    if signer is not None:
        invocation.closing.callback(_seal, invocation, signer)


def _seal(invocation: Invocation, signer: Signer) -> None:
    from polygent_issuer.issuing.sealing import seal_journal

    try:
        sealed = seal_journal(
            invocation.registry,
            signer.kid,
            lambda: signer,
            now=invocation.now,
            actor=invocation.actor,
        )
    except IssuerError as error:  # the command itself is done
        hint = "" if error.hint is None else Hint("; ", error.hint)
        invocation.warn(Hint(f"the journal was not sealed: {error.message}", hint))
    except KeyboardInterrupt:
        invocation.warn("the journal was not sealed: interrupted; the next seal covers its rows")
    else:
        warn_if_late(signer.kid, sealed)


def warn_if_late(kid: str, sealed: "SignedSeal | None") -> None:
    """Warn, also with `--quiet`, of a key without a seal: the new seal hides that from now on."""
    if sealed is not None and sealed.is_late:
        text = (
            f"the key {kid} signed licenses before, but the journal had no seal of it: either an "
            "earlier version of this tool wrote the journal, or somebody removed the seal; to "
            "check: "
        )
        note("warning", Hint(text, run("journal", "verify")))
