"""`polygent-issue key import pkcs11:…|file:…`: a key that stays where it is already."""

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.keeping import KeepingOptions, custodian, known_keys, settings_in_force
from polygent_issuer.cli.key.kept_view import KeptReport
from polygent_issuer.custody import require_ready
from polygent_issuer.errors import UsageProblem
from polygent_issuer.keystore import Passphrase, location
from polygent_issuer.settings.token_uri import TokenUri


def adopt(
    invocation: Invocation,
    uri: str,
    label: str | None,
    keeping: KeepingOptions,
    passphrase: Passphrase,
) -> KeptReport:
    """Pin the public half of a key where it is, or note where a pinned key is.

    It is in a token, or in a file that is not to be copied: a secret that a container mounts.

    Raises:
        UsageProblem: (`usage`) when something is said that only a copy of the key could follow.
        InvalidStore: (`invalid_store`) for a URI that is not exactly right.
        KeyUnavailable: each code of a token and its key; no home is made then.
    """
    if keeping.store is not None or keeping.backup is not None:
        given = "--backup" if keeping.store is None else "--store"
        raise UsageProblem(
            f"a key that is named by its place stays there, so {given} has no meaning for it",
            hint=f"leave out {given}; or name its file without file: to have it copied",
        )
    held, place = settings_in_force(invocation), location.parse(uri)
    assert not isinstance(place, location.KeyringLocation)  # noqa: S101 - it has no such URI
    known_keys(invocation)  # refuses a home that cannot be used
    if isinstance(place, TokenUri):
        require_ready(held, place)
    custody = custodian(invocation, passphrase, store=uri, backup=None)
    return KeptReport(kept=custody.adopt(place, label=label), verb="took in")
