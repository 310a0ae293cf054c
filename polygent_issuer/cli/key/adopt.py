"""`polygent-issue key import pkcs11:…`: a key that a token holds already."""

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.keeping import KeepingOptions, custodian, known_keys, settings_in_force
from polygent_issuer.cli.key.key_view import KeptReport
from polygent_issuer.custody import require_ready
from polygent_issuer.errors import UsageProblem
from polygent_issuer.keystore import Passphrase, location


def adopt(
    invocation: Invocation,
    uri: str,
    label: str | None,
    keeping: KeepingOptions,
    passphrase: Passphrase,
) -> KeptReport:
    """Pin the public half of a key in a token, or note where a pinned key is.

    Raises:
        UsageProblem: (`usage`) when something is said that only a copy of the key could follow.
        InvalidStore: (`invalid_store`) for a URI that is not exactly right.
        KeyUnavailable: each code of a token and its key; no home is made then.
    """
    if keeping.store is not None or keeping.backup is not None:
        given = "--backup" if keeping.store is None else "--store"
        raise UsageProblem(
            f"a key in a token stays there and is not copied, so {given} has no meaning for it",
            hint=f"leave out {given}",
        )
    held, place = settings_in_force(invocation), location.parse_token(uri)
    known_keys(invocation)  # refuses a home that cannot be used
    require_ready(held, place)
    custody = custodian(invocation, passphrase, store=uri, backup=None)
    return KeptReport(kept=custody.adopt(place, label=label), verb="took in")
