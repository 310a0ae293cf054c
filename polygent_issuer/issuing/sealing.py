"""Seal the journal: sign its head, as `registry.change` does (FORMAT §7)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.hints import Hint, run
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Actor, Reading, Registry, change, seals
from polygent_issuer.registry.seals import Due, Seal
from polygent_issuer.verifier import jws


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedSeal:
    """A new seal; `is_late` as in `seals.Due`."""

    seal: Seal
    token: str
    is_late: bool


def seal_journal(
    registry: Registry,
    kid: str,
    signer: Callable[[], Signer],
    *,
    now: datetime,
    actor: Actor,
    judge: Callable[[Reading], None] = lambda _: None,
) -> SignedSeal | None:
    """Seal the journal with a key; None if the whole journal is sealed.

    Args:
        registry: with a pinned key `kid`.
        kid: the key.
        signer: returns its signer; called outside any transaction, only if there is something to
            seal.
        now, actor: of the command.
        judge: raises an error if the journal must not be sealed.

    Raises:
        RegistryDamaged: (`registry_damaged`) a present seal fails a check.
        RegistryChanged: (`registry_changed`) the registry was replaced meanwhile.
        KeyUnavailable: (`signature_refused`) the signature does not verify, and is discarded.
    """

    def decide(db: Reading) -> Due | None:
        judge(db)
        return seals.due(db, kid, now=now)

    ahead = seals.QUERIES
    decided = change.decide(registry, decide, now=now, actor=actor, ahead=ahead)
    due = decided.decision
    if due is None:
        return None
    token = sign_seal(due.seal, signer())
    # Rows that other commands wrote meanwhile do not matter: `keep` looks for the sealed one.
    change.carry_out_items(
        decided, lambda db, _: seals.keep(db, due.seal, token), ahead=seals.queries_of(kid)
    )
    return SignedSeal(seal=due.seal, token=token, is_late=due.is_late)


def sign_seal(seal: Seal, signer: Signer) -> str:
    """Return the token of a seal, verified with the signer's pinned public key.

    Raises:
        KeyUnavailable: (`signature_refused`) it does not verify, and is discarded.
    """
    signing_input = jws.signing_input(seal.kid, seal.to_payload(), typ=seals.TYPE)
    token = jws.assemble(signing_input, signer.sign(signing_input)).decode().rstrip("\n")
    try:
        is_ours = seals.read(token, signer.public_key, registry=seal.registry) == seal
    except ValueError:
        is_ours = False
    if not is_ours:
        raise KeyUnavailable(
            f"the signature of the key {seal.kid} does not verify with its pinned public key; it "
            "was discarded and the journal was not sealed",
            hint=Hint("check the key: ", run("key", "show", seal.kid)),
            code="signature_refused",
        )
    return token
